"""The measurer on real sockets: a cable that is out, a budget that is spent, a quiet night."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from faults import deaf_port
from servers import free_port, tcp_server, until

from netwatch.agent.gaps import GapWatch
from netwatch.agent.health.gateway import Gateway, GatewayMonitor
from netwatch.agent.health.health import Flag, HealthState
from netwatch.agent.measure.measure_loop import MeasureLoop
from netwatch.config import AgentConfig
from netwatch.model.duration import Duration
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.protocols import Probe
from netwatch_probes.tcp import TcpProbe
from netwatch_probes.traceroute import TracerouteProbe

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
FAST = AgentConfig(
    period=Duration(seconds=0.3),
    timeout=Duration(seconds=0.3),
    witness_period=Duration(seconds=0.2),
)


@asynccontextmanager
async def measuring(
    *targets: Target, config: AgentConfig = FAST, gateway: GatewayMonitor | None = None
) -> AsyncIterator[tuple[MeasureLoop, list[Measurement]]]:
    found: list[Measurement] = []
    measurer = MeasureLoop(
        "a1",
        targets,
        probes={"tcp": TcpProbe(), "traceroute": TracerouteProbe()},
        clock=lambda: datetime.now(UTC),
        config=config,
        gateway=gateway,
    )
    task = asyncio.ensure_future(measurer.run(found.append))
    try:
        yield measurer, found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def details(found: list[Measurement]) -> set[str]:
    return {step.detail for one in found if one.target == "site" for step in one.observations}


def witness(rung: str, port: int) -> Target:
    return Target(rung, "tcp", "127.0.0.1", port=port, group=f"witness-{rung}")


async def test_a_national_shutdown_is_told_from_a_dead_cable() -> None:
    """First all answer; then abroad is deaf; then home is, and the gateway too."""
    with deaf_port() as deaf:
        async with tcp_server() as home, tcp_server() as gateway:
            targets = [
                witness("lan", gateway),
                witness("domestic", home),
                witness("international", deaf),
                Target("site", "tcp", "127.0.0.1", port=deaf),
            ]
            async with measuring(*targets) as (measurer, found):
                await until(lambda: measurer.ladder.state() is HealthState.INTL_CUT)
                await until(lambda: "controls_failed" in details(found))
            assert {one.scope for one in found if one.target == "site"} == {"timeout"}
            targets = [
                witness("lan", deaf),
                witness("domestic", deaf),
                witness("international", deaf),
                Target("site", "tcp", "127.0.0.1", port=deaf),
            ]
            async with measuring(*targets) as (measurer, found):
                await until(lambda: measurer.ladder.state() is HealthState.LAN_DOWN)
                await until(lambda: ("site", "local") in {(one.target, one.scope) for one in found})


async def test_a_refusing_gateway_is_alive() -> None:
    async with measuring(witness("lan", free_port()), witness("international", free_port())) as (
        measurer,
        _,
    ):
        await until(lambda: measurer.ladder.state() is HealthState.OK)


async def test_the_gateway_is_a_witness_that_nobody_has_to_name() -> None:
    """It is there, then the cable is out; nothing of it is measured, sent, or named."""
    routes = {4: Gateway("lo", "127.0.0.1")}
    watch = GatewayMonitor(look=lambda: routes, neighbour=lambda _: 0, ports=(free_port(),))
    with deaf_port() as deaf:
        targets = [witness("international", deaf), Target("site", "tcp", "127.0.0.1", port=deaf)]
        async with measuring(*targets, gateway=watch) as (measurer, found):
            await until(lambda: measurer.ladder.state() is HealthState.ISP_CUT)
            routes.clear()
            await until(lambda: measurer.ladder.state() is HealthState.LAN_DOWN)
            await until(lambda: ("site", "local") in {(one.target, one.scope) for one in found})
    assert {one.target for one in found} == {"international", "site", "@health-v4"}


async def test_a_default_route_into_a_tunnel_is_a_flag_and_nothing_else() -> None:
    routes = {4: Gateway("wg0")}
    watch = GatewayMonitor(look=lambda: routes, neighbour=lambda _: 0)
    async with (
        tcp_server() as port,
        measuring(witness("international", port), gateway=watch) as (measurer, found),
    ):
        await until(lambda: Flag.VPN in measurer.ladder.flags)
        assert measurer.ladder.state() in {HealthState.OK, HealthState.UNKNOWN}
        routes[4] = Gateway("eth0")
        await until(lambda: Flag.VPN not in measurer.ladder.flags)
    flags = [(one.target, one.failure) for one in found if one.target.startswith("@flag")]
    assert flags == [("@flag-vpn", "vpn"), ("@flag-vpn", None)]


async def test_a_way_is_followed_when_health_changes_and_only_then() -> None:
    way = Target("way", "traceroute", "127.0.0.1")
    async with (
        tcp_server() as port,
        measuring(witness("international", port), way) as (measurer, found),
    ):
        await until(lambda: measurer.ladder.state() is HealthState.OK)
        await until(lambda: len(found) > 5)
        assert not any("way" in one.target for one in found)
        measurer.ladder.raise_flag(Flag.OVERLOADED, up=True, time=NOON)
        await until(lambda: any(one.target == "@way-way" for one in found))
    assert measurer.budget.traces == 1
    (said,) = [one for one in found if one.target == "@way-way"]
    assert [step.operation for step in said.observations] == ["traceroute"]


async def test_a_change_is_looked_at_more_closely_where_the_host_allows_it() -> None:
    config = AgentConfig(
        period=Duration(seconds=8), witness_period=Duration(seconds=0.2), burst=True
    )
    async with tcp_server() as port:
        targets = [witness("international", port), Target("site", "tcp", "127.0.0.1", port=port)]
        async with measuring(*targets, config=config) as (measurer, found):
            await until(lambda: measurer.ladder.state() is HealthState.OK)
            measurer.ladder.raise_flag(Flag.OVERLOADED, up=True, time=NOON)
            await until(lambda: sum(one.target == "site" for one in found) >= 2)
    assert measurer.budget.hurried > 0


async def test_confirmations_are_counted_in_the_days_budget() -> None:
    """One failure, its second look, and two looks at a control: four probes are paid for."""
    asked: list[str] = []

    class Outside(Probe):
        """Says what a machine elsewhere would, without a packet."""

        name = "tcp"

        async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
            asked.append(target.id)
            failure = "generic_timeout_error" if target.id == "site" else None
            return (Observation("connect", failure, 0.01),)

    site = Target("site", "tcp", "198.51.100.1")
    abroad = Target("abroad", "tcp", "203.0.113.1", group="witness-international")
    measurer = MeasureLoop(
        "a1",
        [site, abroad],
        probes={"tcp": Outside()},
        clock=lambda: datetime.now(UTC),
        config=AgentConfig(period=Duration(hours=1), witness_period=Duration(hours=1)),
    )
    found = await measurer._runner.measure(site)
    said = await measurer._confirmer.confirm(found, site)
    assert said.observations[-1].detail == "confirmed"
    # What the control said serves for two seconds; on a slow machine it is asked again.
    assert asked[:3] == ["site", "abroad", "site"]
    assert asked[3:] in ([], ["abroad"])
    assert measurer.budget.spent == 250 * (len(asked) - 1), "the first was paid for by its turn"


async def test_a_quiet_hour_leaves_the_witnesses_only() -> None:
    now = datetime.now(UTC)
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    config = AgentConfig(
        period=Duration(seconds=0.1), witness_period=Duration(seconds=0.1), quiet_hours=hours
    )
    async with tcp_server() as port:
        targets = [witness("lan", port), Target("site", "tcp", "127.0.0.1", port=port)]
        async with measuring(*targets, config=config) as (measurer, found):
            await until(lambda: measurer.skips.quiet > 2 and len(found) > 2)
    assert {one.target for one in found if not one.target.startswith("@")} == {"lan"}


def test_quiet_hours_that_are_none_are_a_config_error() -> None:
    config = AgentConfig(quiet_hours="tonight")
    with pytest.raises(ConfigError, match=r"agent\.quiet_hours: 'tonight' are no hours"):
        MeasureLoop("a1", [], probes={}, clock=lambda: NOON, config=config)


async def test_a_clock_far_from_the_collectors_is_flagged() -> None:
    measurer = MeasureLoop("a1", [], probes={}, clock=lambda: NOON, config=FAST)
    measurer.set_clock_flag(-63_000_000.0)
    assert Flag.CLOCK_BAD in measurer.ladder.flags
    measurer.set_clock_flag(2.0)
    assert Flag.CLOCK_BAD not in measurer.ladder.flags


def test_gaps_at_the_start_and_after_a_sleep() -> None:
    watch = GapWatch(slept=5.0)
    assert watch.at_start(None, NOON) is None
    assert watch.at_start(NOON - timedelta(seconds=5), NOON) is None
    gap = watch.at_start(NOON - timedelta(hours=3), NOON)
    assert gap is not None
    assert (gap.target, gap.seconds, gap.scope) == ("@gap", 3 * 3600, "local")
    assert watch.after_sleep(5.5, NOON) is None
    gap = watch.after_sleep(7205.5, NOON)
    assert gap is not None
    assert (gap.time, gap.seconds) == (NOON - timedelta(seconds=7200), 7200)
    assert watch.after_sleep(7205.5, NOON) is None
