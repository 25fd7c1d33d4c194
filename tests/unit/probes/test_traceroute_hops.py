"""Paths through two routers to a host, each in its own namespace.

home --10.1.0/24-- near --8.1.0/24-- far --8.2.0/24-- host
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from namespaces import Namespace, join, need_namespaces

from netwatch.model.measurement import Observation, Target
from netwatch_probes.traceroute import TracerouteProbe

HOST = {4: "8.2.0.2", 6: "2a02::2"}
TABLE = "8.1.0.0\t24\t64501\n8.2.0.0\t24\t64502\n2a01::\t32\t64501\n2a02::\t32\t64502\n"


class Network:
    """Four machines and their cables."""

    def __init__(self, stack: ExitStack) -> None:
        self.home, self.near, self.far, self.host = (
            stack.enter_context(Namespace()) for _ in range(4)
        )
        cables = (
            (self.home, self.near, "10.1.0", "fd01"),
            (self.near, self.far, "8.1.0", "2a01"),
            (self.far, self.host, "8.2.0", "2a02"),
        )
        for number, (left, right, four, six) in enumerate(cables):
            name = f"cable{number}"
            join(left, right, (name, name))
            for end, machine in enumerate((left, right), start=1):
                machine.ip(
                    f"addr add {four}.{end}/24 dev {name}",
                    f"addr add {six}::{end}/64 dev {name} nodad",
                )
        for machine in (self.near, self.far):
            machine.set(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
            machine.set(ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)
        self.home.ip("route add default via 10.1.0.2", "route add default via fd01::2")
        self.near.ip("route add 8.2.0.0/24 via 8.1.0.2", "route add 2a02::/64 via 2a01::2")
        self.far.ip("route add 10.1.0.0/24 via 8.1.0.1", "route add fd01::/64 via 2a01::1")
        self.host.ip("route add default via 8.2.0.1", "route add default via 2a02::1")

    def trace(self, host: str, table: Path, within: float = 5.0) -> Observation:
        """Trace the path to a host from home."""
        probe = TracerouteProbe(networks=table)
        target = Target("one", "traceroute", host)
        return self.home.do(lambda: asyncio.run(probe.measure(target, within=within)))[-1]


@pytest.fixture
def network() -> Iterator[Network]:
    need_namespaces()
    with ExitStack() as stack:
        yield Network(stack)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize("family", [4, 6])
def test_each_hop_is_described_by_its_asn(network: Network, table: Path, family: int) -> None:
    step = network.trace(HOST[family], table)
    assert (step.failure, step.detail) == (None, "private,AS64501,AS64502")


@pytest.mark.parametrize("family", [4, 6])
def test_a_router_without_a_route_ends_the_path(network: Network, table: Path, family: int) -> None:
    route = {4: "route replace unreachable 8.2.0.0/24", 6: "route add unreachable 2a02::/48"}
    drop = {4: "route del 8.2.0.0/24 via 8.1.0.2", 6: "route del 2a02::/64 via 2a01::2"}
    network.near.ip(drop[family], route[family])
    step = network.trace(HOST[family], table)
    assert (step.failure, step.detail) == ("host_unreachable", "private")


def test_silent_hops_are_counted(network: Network, table: Path) -> None:
    """The host does not answer; the last answer is of the router before it."""
    network.host.ip("route del default")
    step = network.trace(HOST[4], table, within=1.5)
    assert step.failure == "generic_timeout_error"
    assert step.detail.startswith("private,AS64501,silent*")


def test_without_a_route_it_is_a_local_fault(network: Network, table: Path) -> None:
    network.home.ip("route del default")
    assert network.trace(HOST[4], table).failure == "network_unreachable"
