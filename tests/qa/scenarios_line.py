"""Scenarios of lines, made in network namespaces."""

from collections.abc import Callable
from dataclasses import replace

import server_faults
from qa.bench import Bench, Watch
from qa.case import Actions, Scenario
from qa.country import ABROAD, DOMESTIC, PORTAL, SITE, UNUSED, Country, answer_truly
from qa.vantage import SUBJECT, Job

from netwatch.agent.health.judge_health import HealthState
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


def nothing_wrong(family: int = 4) -> Scenario:
    """A country without any fault."""

    async def scenario(bench: Bench) -> Job:
        return (await _country(bench)).job(host=SITE[family])

    return scenario


def at_home(*commands: str, family: int = 4, probe: str = "tcp", host_fault: str = "") -> Scenario:
    """`ip` commands run on the vantage's own machine."""

    async def scenario(bench: Bench) -> Job:
        country = await _country(bench)
        country.home.ip(*commands)
        return country.job(probe, SITE[family]).at(host_fault=host_fault)

    return scenario


def at_border(*commands: str) -> Scenario:
    """`ip` commands run on the country's router."""

    async def scenario(bench: Bench) -> Job:
        country = await _country(bench)
        country.country.ip(*commands)
        return country.job()

    return scenario


def happening(
    change: Callable[[Country], None], *, family: int = 4, period: float = 0.5
) -> Scenario:
    """A country is changed before the vantage starts."""

    async def scenario(bench: Bench) -> Job:
        country = await _country(bench)
        change(country)
        return country.job(host=SITE[family]).at(period=period)

    return scenario


def portal(
    probe: str, host: str, *, port: int = 0, path: str = "", address: str = PORTAL
) -> Scenario:
    """A captive portal answers for every name."""

    async def scenario(bench: Bench) -> Job:
        answer = server_faults.dns_answer(address)
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

    return scenario


async def nobody_in_between(bench: Bench) -> Job:
    """A DNS query to a host without a name server."""
    return _without_name_server(await _country(bench))


async def proxy_in_between(bench: Bench) -> Job:
    """The provider intercepts port 53 of that host."""
    country = await _country(bench)
    country.country.ip(f"route add local {UNUSED} dev lo")
    await country.answer(country.country, UNUSED, answer_truly)
    return _without_name_server(country)


def _without_name_server(country: Country) -> Job:
    job = country.job("dns", UNUSED, 53, path=".")
    *witnesses, it = job.targets
    return job.at(targets=(*witnesses, replace(it, group="witness-silent")))


async def resolver_silent(bench: Bench) -> Job:
    """The provider's resolver is silent; addresses still work."""
    country = Country(bench, resolver=lambda _: [])
    await bench.stack.enter_async_context(country)
    return country.job(host="site.example").at(timeout=3.0)


async def provider_cut(bench: Bench) -> Job:
    """The provider responds, and nothing behind it."""
    country = await _country(bench)
    country.drop_at_border(4)
    country.drop_at_border(6)
    for family in (4, 6):
        country.country.ip(*(f"addr del {host} dev lo" for host in DOMESTIC[family]))
    return country.job()


def controls_down(*gone: str) -> Scenario:
    """Some witnesses themselves are down."""

    async def scenario(bench: Bench) -> Job:
        country = await _country(bench)
        for host in gone:
            where = country.abroad if host in (*ABROAD[4], *ABROAD[6]) else country.country
            where.ip(f"addr del {host} dev lo", f"route add blackhole {host}")
        return country.job()

    return scenario


def through(interface: str) -> Scenario:
    """The home's default route uses an interface of another name."""

    async def scenario(bench: Bench) -> Job:
        country = Country(bench, line=interface)
        await bench.stack.enter_async_context(country)
        return country.job()

    return scenario


async def overloaded(bench: Bench) -> Job:
    """The event loop is blocked, and the site is silent."""
    country = await _country(bench)
    country.drop(SITE[4])
    return country.job().at(host_fault="overload")


async def echo_blocked(bench: Bench) -> Job:
    """The site's host ignores echo requests; TCP works."""
    country = await _country(bench)
    country.abroad.set(ipv4__icmp_echo_ignore_all=1)
    return country.job("icmp")


async def throttled(bench: Bench) -> Job:
    """The line to the home is limited to 64 kbit/s."""
    country = await _country(bench)
    await country.serve(
        country.abroad, SITE[4], server_faults.http_answer("200 OK", body=BODY), port=80
    )
    country.throttle_lan()
    return country.job("transfer", SITE[4], 80).at(timeout=4.0, period=2.0)


async def cable_out_and_in(bench: Bench) -> tuple[Job, Actions]:
    """The cable is pulled while the vantage measures, and plugged in again."""
    country = await _country(bench)

    async def actions(watch: Watch) -> None:
        assert await watch.until(lambda: watch.state() is watch.state(6) is HealthState.OK)
        country.pull_lan()
        assert await watch.until(lambda: watch.state() is HealthState.LAN_DOWN)
        assert await watch.until(lambda: getattr(watch.last(SUBJECT), "scope", "") == "local")
        country.plug_in_lan()

    return country.job(), actions
