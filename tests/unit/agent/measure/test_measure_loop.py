"""The measuring loop on real sockets: network faults, the budget and quiet hours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from server_faults import deaf_port
from servers import free_port, tcp_server, until

from netwatch.agent.health.gateway import Gateway, GatewayMonitor
from netwatch.agent.health.judge_health import Flag, HealthState
from netwatch.agent.measure.measure_loop import MeasureLoop
from netwatch.config import AgentConfig, Duration
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
    measurements: list[Measurement] = []
    loop = MeasureLoop(
        "a1",
        targets,
        probes={"tcp": TcpProbe(), "traceroute": TracerouteProbe()},
        clock=lambda: datetime.now(UTC),
        config=config,
        gateway=gateway,
    )
    task = asyncio.ensure_future(loop.run(measurements.append))
    try:
        yield loop, measurements
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def details(measurements: list[Measurement]) -> set[str]:
    return {
        step.detail for one in measurements if one.target == "site" for step in one.observations
    }


def witness(tier: str, port: int) -> Target:
    return Target(tier, "tcp", "127.0.0.1", port=port, group=f"witness-{tier}")


async def test_a_national_shutdown_differs_from_a_dead_cable() -> None:
    """First only abroad is silent; then home and the gateway too."""

    def line(lan: int, domestic: int) -> list[Target]:
        tiers = {"lan": lan, "domestic": domestic, "international": deaf}
        witnesses = [witness(tier, port) for tier, port in tiers.items()]
        return [*witnesses, Target("site", "tcp", "127.0.0.1", port=deaf)]

    with deaf_port() as deaf:
        async with tcp_server() as home, tcp_server() as gateway:
            async with measuring(*line(gateway, home)) as (loop, measurements):
                await until(lambda: loop.health.state() is HealthState.INTL_CUT)
                await until(lambda: "controls_failed" in details(measurements))
            assert {one.scope for one in measurements if one.target == "site"} == {"timeout"}
            async with measuring(*line(deaf, deaf)) as (loop, measurements):
                await until(lambda: loop.health.state() is HealthState.LAN_DOWN)
                await until(
                    lambda: ("site", "local") in {(one.target, one.scope) for one in measurements}
                )


async def test_a_refusing_gateway_responds() -> None:
    async with measuring(witness("lan", free_port()), witness("international", free_port())) as (
        loop,
        _,
    ):
        await until(lambda: loop.health.state() is HealthState.OK)


async def test_the_default_gateway_is_a_witness_without_configuration() -> None:
    """It responds, then the cable is out; no measurement names it."""
    routes = {4: Gateway("lo", "127.0.0.1")}
    monitor = GatewayMonitor(routes=lambda: routes, neighbour=lambda _: 0, ports=(free_port(),))
    with deaf_port() as deaf:
        targets = [witness("international", deaf), Target("site", "tcp", "127.0.0.1", port=deaf)]
        async with measuring(*targets, gateway=monitor) as (loop, measurements):
            await until(lambda: loop.health.state() is HealthState.ISP_CUT)
            routes.clear()
            await until(lambda: loop.health.state() is HealthState.LAN_DOWN)
            await until(
                lambda: ("site", "local") in {(one.target, one.scope) for one in measurements}
            )
    assert {one.target for one in measurements} == {"international", "site", "@health-v4"}


async def test_a_default_route_into_a_tunnel_only_raises_a_flag() -> None:
    routes = {4: Gateway("wg0")}
    monitor = GatewayMonitor(routes=lambda: routes, neighbour=lambda _: 0)
    async with (
        tcp_server() as port,
        measuring(witness("international", port), gateway=monitor) as (loop, measurements),
    ):
        await until(lambda: Flag.VPN in loop.health.flags)
        assert loop.health.state() in {HealthState.OK, HealthState.UNKNOWN}
        routes[4] = Gateway("eth0")
        await until(lambda: Flag.VPN not in loop.health.flags)
    flags = [(one.target, one.failure) for one in measurements if one.target.startswith("@flag")]
    assert flags == [("@flag-vpn", "vpn"), ("@flag-vpn", None)]


async def test_on_change_probes_run_when_health_changes_and_only_then() -> None:
    path = Target("path", "traceroute", "127.0.0.1")
    async with (
        tcp_server() as port,
        measuring(witness("international", port), path) as (loop, measurements),
    ):
        await until(lambda: loop.health.state() is HealthState.OK)
        await until(lambda: len(measurements) > 5)
        assert not any("path" in one.target for one in measurements)
        loop.health.set_flag(Flag.OVERLOADED, raised=True, time=NOON)
        await until(lambda: any(one.target == "@traceroute-path" for one in measurements))
    assert loop.budget.change_probes == 1
    (event,) = [one for one in measurements if one.target == "@traceroute-path"]
    assert [step.operation for step in event.observations] == ["traceroute"]


async def test_a_change_starts_burst_mode_if_the_host_allows_it() -> None:
    config = AgentConfig(
        period=Duration(seconds=8), witness_period=Duration(seconds=0.2), burst=True
    )
    async with tcp_server() as port:
        targets = [witness("international", port), Target("site", "tcp", "127.0.0.1", port=port)]
        async with measuring(*targets, config=config) as (loop, measurements):
            await until(lambda: loop.health.state() is HealthState.OK)
            loop.health.set_flag(Flag.OVERLOADED, raised=True, time=NOON)
            await until(lambda: sum(one.target == "site" for one in measurements) >= 2)
    assert loop.budget.burst_seconds > 0


async def test_retests_are_charged_to_the_daily_budget() -> None:
    """One failure, its retest and two probes of a control: four probes are charged."""
    probed: list[str] = []

    class Outside(Probe):
        """Responds as a machine elsewhere would, without a packet."""

        name = "tcp"

        async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
            probed.append(target.id)
            failure = "generic_timeout_error" if target.id == "site" else None
            return (Observation("connect", failure, 0.01),)

    site = Target("site", "tcp", "198.51.100.1")
    abroad = Target("abroad", "tcp", "203.0.113.1", group="witness-international")
    loop = MeasureLoop(
        "a1",
        [site, abroad],
        probes={"tcp": Outside()},
        clock=lambda: datetime.now(UTC),
        config=AgentConfig(period=Duration(hours=1), witness_period=Duration(hours=1)),
    )
    assert await loop._admission.wait(site, period=3600.0)
    measurements = await loop._runner.measure(site)
    first = loop.budget.spent
    retested = await loop._retester.retest(measurements, site)
    assert retested.observations[-1].detail == "confirmed"
    # A control's result is valid for two seconds; on a slow machine it is probed again.
    assert probed[:3] == ["site", "abroad", "site"]
    assert probed[3:] in ([], ["abroad"])
    assert first == Outside.cost_bytes
    assert loop.budget.spent == first * len(probed)


async def test_in_quiet_hours_only_witnesses_are_probed() -> None:
    now = datetime.now(UTC)
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    config = AgentConfig(
        period=Duration(seconds=0.1), witness_period=Duration(seconds=0.1), quiet_hours=hours
    )
    async with tcp_server() as port:
        targets = [witness("lan", port), Target("site", "tcp", "127.0.0.1", port=port)]
        async with measuring(*targets, config=config) as (loop, measurements):
            await until(lambda: loop.skips["quiet_hours"] > 2 and len(measurements) > 2)
    assert {one.target for one in measurements if not one.target.startswith("@")} == {"lan"}


async def test_a_clock_that_is_far_off_is_flagged() -> None:
    loop = MeasureLoop("a1", [], probes={}, clock=lambda: NOON, config=FAST)
    loop.set_clock_offset(-63_000_000.0)
    assert Flag.CLOCK_BAD in loop.health.flags
    loop.set_clock_offset(2.0)
    assert Flag.CLOCK_BAD not in loop.health.flags
