"""Faults of the line and of the country, made in namespaces."""

from collections.abc import Callable
from dataclasses import replace

import faults
from qa.bench import Bench, Watch
from qa.case import Play, Scene
from qa.country import ABROAD, DOMESTIC, NOBODY, PORTAL, SITE, Country, answer_truly
from qa.vantage import IT, Job

from netwatch.agent.health.health import HealthState
from netwatch.model.measurement import Target

__all__ = [
    "at_border",
    "at_home",
    "cable_out_and_in",
    "controls_down",
    "echo_blocked",
    "happening",
    "nobody_in_between",
    "nothing_wrong",
    "overloaded",
    "portal",
    "provider_cut",
    "proxy_in_between",
    "resolver_silent",
    "throttled",
    "through",
]

BODY = b"x" * 100_000


async def _country(bench: Bench) -> Country:
    return await bench.stack.enter_async_context(Country(bench))


def nothing_wrong(family: int = 4) -> Scene:
    """The country as it is on a good day."""

    async def scene(bench: Bench) -> Job:
        return (await _country(bench)).job(host=SITE[family])

    return scene


def at_home(*commands: str, family: int = 4, probe: str = "tcp", trick: str = "") -> Scene:
    """`ip` commands are run at the vantage's own machine."""

    async def scene(bench: Bench) -> Job:
        country = await _country(bench)
        country.home.ip(*commands)
        return country.job(probe, SITE[family]).at(trick=trick)

    return scene


def at_border(*commands: str) -> Scene:
    """`ip` commands are run at the country's router."""

    async def scene(bench: Bench) -> Job:
        country = await _country(bench)
        country.country.ip(*commands)
        return country.job()

    return scene


def happening(change: Callable[[Country], None], *, family: int = 4, period: float = 0.5) -> Scene:
    """Something happens to a country before the vantage looks at it."""

    async def scene(bench: Bench) -> Job:
        country = await _country(bench)
        change(country)
        return country.job(host=SITE[family]).at(period=period)

    return scene


def portal(probe: str, host: str, *, port: int = 0, path: str = "", address: str = PORTAL) -> Scene:
    """A captive portal answers for everything that has a name."""

    async def scene(bench: Bench) -> Job:
        answer = faults.dns_answer(address)
        country = Country(bench, resolver=lambda query: [(0, answer(query))])
        await bench.stack.enter_async_context(country)
        await country.open_portal(bench.authority.serving("portal.example"))
        job = country.job(probe, host, port, path=path)
        canary = Target(
            "canary",
            "http",
            "canary.example",
            port=80,
            path="/generate_204#204",
            group="witness-captive",
        )
        # Behind a portal one round in ten is kept.
        return job.at(targets=(canary, *job.targets), authority=bench.trusted(), period=0.2)

    return scene


async def nobody_in_between(bench: Bench) -> Job:
    """A host that runs no name server is asked all the same."""
    return _asking_nobody(await _country(bench))


async def proxy_in_between(bench: Bench) -> Job:
    """The provider catches whatever goes to port 53 of that host."""
    country = await _country(bench)
    country.country.ip(f"route add local {NOBODY} dev lo")
    await country.answer(country.country, NOBODY, answer_truly)
    return _asking_nobody(country)


def _asking_nobody(country: Country) -> Job:
    job = country.job("dns", NOBODY, 53, path=".")
    *witnesses, it = job.targets
    return job.at(targets=(*witnesses, replace(it, group="witness-silent")))


async def resolver_silent(bench: Bench) -> Job:
    """The provider's resolver is deaf; everything that has a number still works."""
    country = Country(bench, resolver=lambda _: [])
    await bench.stack.enter_async_context(country)
    return country.job(host="site.example").at(timeout=3.0)


async def provider_cut(bench: Bench) -> Job:
    """The provider is there, and nothing behind it."""
    country = await _country(bench)
    country.silence_border(4)
    country.silence_border(6)
    for family in (4, 6):
        country.country.ip(*(f"addr del {host} dev lo" for host in DOMESTIC[family]))
    return country.job()


def controls_down(*gone: str) -> Scene:
    """Some of the hosts that are asked to tell about the line do not answer themselves."""

    async def scene(bench: Bench) -> Job:
        country = await _country(bench)
        for host in gone:
            where = country.abroad if host in (*ABROAD[4], *ABROAD[6]) else country.country
            where.ip(f"addr del {host} dev lo", f"route add blackhole {host}")
        return country.job()

    return scene


def through(interface: str) -> Scene:
    """The home's way out is an interface of another name."""

    async def scene(bench: Bench) -> Job:
        country = Country(bench, line=interface)
        await bench.stack.enter_async_context(country)
        return country.job()

    return scene


async def overloaded(bench: Bench) -> Job:
    """Something in the vantage's process holds it up; a silent site would look dead anyway."""
    country = await _country(bench)
    country.silence(SITE[4])
    return country.job().at(trick="overload")


async def echo_blocked(bench: Bench) -> Job:
    """The site's host answers no echo request, as a policy; TCP to it works."""
    country = await _country(bench)
    country.abroad.set(ipv4__icmp_echo_ignore_all=1)
    return country.job("icmp")


async def throttled(bench: Bench) -> Job:
    """What comes to the home passes a bucket of 64 kbit/s."""
    country = await _country(bench)
    await country.serve(country.abroad, SITE[4], faults.http_answer("200 OK", body=BODY), port=80)
    country.throttle_lan()
    return country.job("transfer", SITE[4], 80).at(timeout=4.0, period=2.0)


async def cable_out_and_in(bench: Bench) -> tuple[Job, Play]:
    """The cable is pulled while the vantage measures, and plugged in again."""
    country = await _country(bench)

    async def play(watch: Watch) -> None:
        assert await watch.until(lambda: watch.state() is watch.state(6) is HealthState.OK)
        country.pull_lan()
        assert await watch.until(lambda: watch.state() is HealthState.LAN_DOWN)
        assert await watch.until(lambda: getattr(watch.last(IT), "scope", "") == "local")
        country.plug_in_lan()

    return country.job(), play
