"""Whose fault it is that a network cannot be reached: asked of this machine's own table."""

from datetime import UTC, datetime

import pytest
from namespaces import Namespace, need_namespaces

from netwatch.agent.health.health import HealthState
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.health.routes import has_route
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.protocols import Probe

NOW = datetime(2026, 1, 8, tzinfo=UTC)


class FarRouter(Probe):
    """A probe whose packets a router on the way sends back."""

    name = "tcp"

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        return (Observation("connect", "network_unreachable", 0.1),)


async def measured(host: str) -> Measurement:
    runner = ProbeRunner({"tcp": FarRouter()}, lambda: NOW, 1.0)
    return await runner.measure(Target("site", "tcp", host))


async def test_a_router_that_knows_no_way_is_no_fault_of_ours() -> None:
    assert has_route("127.0.0.1")
    assert (await measured("127.0.0.1")).scope == "unreachable"


async def test_a_machine_without_a_way_out_blames_itself() -> None:
    need_namespaces()
    with Namespace() as alone:
        assert alone.do(lambda: has_route("127.0.0.1"))
        found = [alone.do(lambda host=host: has_route(host)) for host in ("9.9.9.9", "2620:fe::9")]
        assert not any(found)
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
def test_a_witness_without_a_way_tells_of_a_dead_line(failure: str) -> None:
    gateway = Target("gateway", "tcp", "192.168.0.1", group="witness-lan")
    abroad = Target("abroad", "tcp", "10.9.0.1", group="witness-international")
    ladder = HealthMonitor([gateway, abroad], note=lambda _: None)
    for one in (gateway, abroad):
        lost = Measurement(one.id, "tcp", NOW, failure, "local", host_responded=False, seconds=0.1)
        ladder.take(lost, one)
    assert ladder.state() is HealthState.LAN_DOWN


def test_a_witness_that_our_own_trouble_kept_from_answering_tells_nothing() -> None:
    gateway = Target("gateway", "tcp", "192.168.0.1", group="witness-lan")
    ladder = HealthMonitor([gateway], note=lambda _: None)
    ours = Measurement(
        "gateway", "tcp", NOW, "no_buffer_space", "local", host_responded=False, seconds=0.1
    )
    ladder.take(ours, gateway)
    assert ladder.state() is HealthState.UNKNOWN
