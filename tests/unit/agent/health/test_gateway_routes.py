"""Routes of this machine distinguish remote and local "network unreachable" errors."""

from datetime import UTC, datetime

import pytest
from namespaces import Namespace, need_namespaces

from netwatch.agent.health.gateway import has_route
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.health.judge_health import HealthState
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.protocols import Probe

NOW = datetime(2026, 1, 8, tzinfo=UTC)


class FarRouter(Probe):
    """A probe that a router on the path rejects."""

    name = "tcp"

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        return (Observation("connect", "network_unreachable", 0.1),)


async def measured(host: str) -> Measurement:
    runner = ProbeRunner({"tcp": FarRouter()}, lambda: NOW, 1.0)
    return await runner.measure(Target("site", "tcp", host))


async def test_unreachable_by_a_router_is_not_a_local_fault() -> None:
    assert has_route("127.0.0.1")
    assert (await measured("127.0.0.1")).scope == "unreachable"


async def test_a_machine_without_a_route_has_a_local_fault() -> None:
    need_namespaces()
    with Namespace() as alone:
        assert alone.do(lambda: has_route("127.0.0.1"))
        routes = [alone.do(lambda host=host: has_route(host)) for host in ("9.9.9.9", "2620:fe::9")]
        assert not any(routes)
        assert not alone.do(lambda: has_route("site.example"))
        alone.ip(
            "link add out type veth peer name far",
            "link set out up",
            "link set far up",
            "addr add 10.0.0.2/24 dev out",
        )
        alone.ip("route add default dev out")
        assert alone.do(lambda: has_route("site.example"))


@pytest.mark.parametrize("failure", ["network_unreachable", "network_down"])
def test_witnesses_without_a_route_show_that_the_line_is_down(failure: str) -> None:
    gateway = Target("gateway", "tcp", "192.168.0.1", group="witness-lan")
    abroad = Target("abroad", "tcp", "10.9.0.1", group="witness-international")
    monitor = HealthMonitor()
    for one in (gateway, abroad):
        lost = Measurement(one.id, "tcp", NOW, failure, "local", host_responded=False, seconds=0.1)
        monitor.update(lost, one)
    assert monitor.state() is HealthState.LAN_DOWN


def test_a_witness_that_fails_for_lack_of_buffers_is_ignored() -> None:
    gateway = Target("gateway", "tcp", "192.168.0.1", group="witness-lan")
    monitor = HealthMonitor()
    ours = Measurement(
        "gateway", "tcp", NOW, "no_buffer_space", "local", host_responded=False, seconds=0.1
    )
    monitor.update(ours, gateway)
    assert monitor.state() is HealthState.UNKNOWN
