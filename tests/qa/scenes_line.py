"""Faults of the line and of the country, made in namespaces."""

from collections.abc import Awaitable, Callable

from qa.bench import Bench
from qa.case import Scene
from qa.country import SITE, Country
from qa.vantage import Job

__all__ = ["at_border", "at_home", "nothing_wrong"]


async def _country(bench: Bench) -> Country:
    return await bench.stack.enter_async_context(Country(bench))


def nothing_wrong(probe: str = "tcp", family: int = 4) -> Scene:
    """The country as it is on a good day."""

    async def scene(bench: Bench) -> Job:
        return (await _country(bench)).job(probe, SITE[family])

    return scene


def at_home(*commands: str, family: int = 4, probe: str = "tcp", trick: str = "") -> Scene:
    """`ip` commands are run at the vantage's own machine."""

    async def scene(bench: Bench) -> Job:
        country = await _country(bench)
        country.home.ip(*commands)
        return country.job(probe, SITE[family]).at(trick=trick)

    return scene


def at_border(
    *commands: str, family: int = 4, host: str = "", probe: str = "tcp", timeout: float = 1.0
) -> Scene:
    """`ip` commands are run at the country's router."""

    async def scene(bench: Bench) -> Job:
        country = await _country(bench)
        country.country.ip(*commands)
        return country.job(probe, host or SITE[family]).at(timeout=timeout)

    return scene


def happening(
    change: Callable[[Country], Awaitable[None] | None], *, family: int = 4, period: float = 0.5
) -> Scene:
    """Something happens to a country before the vantage looks at it."""

    async def scene(bench: Bench) -> Job:
        country = await _country(bench)
        ended = change(country)
        if ended is not None:
            await ended
        return country.job(host=SITE[family]).at(period=period)

    return scene
