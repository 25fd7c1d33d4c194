"""The gateway: kernel tables, loopback, and a virtual cable between two namespaces."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from namespaces import Namespace, join, need_namespaces
from servers import free_port, tcp_server

from netwatch.agent.health.gateway import (
    Gateway,
    GatewayMonitor,
    default_gateways,
    neighbour_state,
    tunnel_name,
)

ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""
ZERO = "0" * 32
ROUTE6 = (
    f"{ZERO} 00 {ZERO} 00 fe80{'0' * 27}1 00000400 00000001 00000000 00000003 eth0\n"
    f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200       lo\n"
)
TABLES = Path("/proc/thread-self/net")  # a thread's own, where it is in another namespace


def tables(folder: Path, route: str, route6: str) -> Path:
    (folder / "route").write_text(route)
    (folder / "ipv6_route").write_text(route6)
    return folder


def test_the_default_routes_with_the_lowest_metric_are_read(tmp_path: Path) -> None:
    assert default_gateways(tables(tmp_path, ROUTE, ROUTE6)) == {
        4: Gateway("eth0", "10.0.0.1"),
        6: Gateway("eth0", "fe80::1"),
    }


@pytest.mark.parametrize("text", ["", "nonsense\nmore of it\n", "a\tb\n\n", "x y z w"])
def test_tables_without_a_default_route(tmp_path: Path, text: str) -> None:
    assert default_gateways(tables(tmp_path, text, text)) == {}
    assert default_gateways(tmp_path / "nowhere") == {}


def test_a_tunnel_is_recognised_by_its_device_or_name(tmp_path: Path) -> None:
    for name in ("office", "cable", "home", "ppp0"):
        (tmp_path / name).mkdir()
    (tmp_path / "office" / "tun_flags").write_text("0x1002\n")
    (tmp_path / "home" / "uevent").write_text("DEVTYPE=wireguard\nINTERFACE=home\n")
    (tmp_path / "cable" / "uevent").write_text("INTERFACE=cable\n")

    def detected_tunnel(*names: str) -> str:
        return tunnel_name({number: Gateway(name) for number, name in enumerate(names)}, tmp_path)

    assert detected_tunnel("office") == "office"
    assert detected_tunnel("cable", "home") == "home"
    assert detected_tunnel("wg7") == "wg7"
    assert detected_tunnel("cable", "ppp0") == ""
    assert detected_tunnel() == ""


async def poll(
    routes: dict[int, Gateway], *ports: int, near: int | None = 0
) -> dict[int, bool | None]:
    monitor = GatewayMonitor(routes=lambda: routes, neighbour=lambda _: near, ports=ports)
    return await monitor.poll()


async def test_accepting_and_refusing_are_responses() -> None:
    here = {4: Gateway("lo", "127.0.0.1")}
    assert await poll(here, free_port()) == {4: True, 6: None}
    async with tcp_server() as port:
        assert await poll(here, port) == {4: True, 6: None}


async def test_a_silent_gateway_responds_if_the_kernel_has_seen_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("netwatch.agent.health.gateway._TIMEOUT", 0.1)
    with socket.socket() as deaf, socket.socket() as one, socket.socket() as two:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (one, two):
            filler.settimeout(0)
            filler.connect_ex(deaf.getsockname())
        here, port = {4: Gateway("lo", "127.0.0.1")}, deaf.getsockname()[1]
        assert (await poll(here, port, near=0x02))[4] is True
        assert (await poll(here, port, near=0x20))[4] is False


async def test_lack_of_file_descriptors_is_not_a_gateway_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_files(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setattr("netwatch.agent.health.gateway.socket.socket", no_files)
    monitor = GatewayMonitor(routes=lambda: {4: Gateway("lo", "127.0.0.1")}, ports=(9,))
    assert await monitor.poll() == {4: None, 6: None}


async def test_without_an_ipv4_route_the_line_is_down() -> None:
    assert await poll({}) == {4: False, 6: None}
    assert await poll({4: Gateway("tun0")}) == {4: None, 6: None}
    only_six = await poll({6: Gateway("lo", "::1")}, free_port())
    assert only_six[4] is None, "IPv6 is enough"


async def test_the_port_that_responded_is_tried_first() -> None:
    probed_ports: list[int] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        probed_ports.append(writer.get_extra_info("sockname")[1])

    async with tcp_server(note) as port:
        monitor = GatewayMonitor(
            routes=lambda: {4: Gateway("lo", "127.0.0.1")}, ports=(port, free_port())
        )
        for _ in range(3):
            assert (await monitor.poll())[4] is True
        assert monitor._ports[0] == port


@pytest.fixture
def cable() -> Iterator[tuple[Namespace, Namespace]]:
    """A home and its gateway, which has no open port."""
    need_namespaces()
    with ExitStack() as stack:
        home, gateway = (stack.enter_context(Namespace()) for _ in range(2))
        join(home, gateway, ("lan0", "lan0"))
        home.ip("addr add 192.168.77.2/24 dev lan0", "addr add fd77::2/64 dev lan0 nodad")
        gateway.ip("addr add 192.168.77.1/24 dev lan0", "addr add fd77::1/64 dev lan0 nodad")
        home.ip("route add default via 192.168.77.1", "route add default via fd77::1")
        home.set(ipv4__neigh__lan0__retrans_time_ms=100, ipv6__neigh__lan0__retrans_time_ms=100)
        yield home, gateway


def poll_from(home: Namespace) -> dict[int, bool | None]:
    monitor = GatewayMonitor(routes=lambda: default_gateways(TABLES))
    return home.do(lambda: asyncio.run(monitor.poll()))


def test_a_pulled_cable_is_detected(cable: tuple[Namespace, Namespace]) -> None:
    home, gateway = cable
    assert poll_from(home) == {4: True, 6: True}
    assert home.do(lambda: neighbour_state("192.168.77.1")) & 0x0A
    assert home.do(lambda: neighbour_state("fd77::1")) & 0x0A
    assert home.do(lambda: neighbour_state("192.168.77.99")) == 0
    gateway.ip("addr flush dev lan0")
    home.ip("neigh flush dev lan0")
    assert poll_from(home) == {4: False, 6: False}
    home.ip("link set lan0 down")
    assert poll_from(home)[4] is False


def test_a_gateway_that_drops_packets_is_detected_at_the_link_layer(
    cable: tuple[Namespace, Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address still resolves to a link-layer address."""
    monkeypatch.setattr("netwatch.agent.health.gateway._TIMEOUT", 0.1)
    home, gateway = cable
    # Its answers have no route back; neighbour discovery needs none.
    gateway.set(ipv4__conf__all__rp_filter=0, ipv4__conf__lan0__rp_filter=0)
    gateway.ip("route add blackhole 192.168.77.2/32")
    assert poll_from(home)[4] is True
