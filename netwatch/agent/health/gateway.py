"""The default gateway, read from the kernel's tables and probed; and routes to addresses.

The gateway's address is used on this machine only and never sent.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from netwatch.model.addresses import parse_address

_PROC_NET = Path("/proc/net")
_INTERFACES = Path("/sys/class/net")
_PORTS = (53, 80, 443)
"""Ports that a home router usually accepts or refuses connections at."""
_TIMEOUT = 1.0
"""Seconds to wait for a gateway's answer on one port."""
_UP, _HAS_GATEWAY, _REJECTS = 0x1, 0x2, 0x200
# Of <linux/rtnetlink.h> and <linux/neighbour.h>.
_GET_NEIGHBOURS, _NEW_NEIGHBOUR, _DONE = 30, 28, 3
_REQUEST_DUMP = 0x301
_DESTINATION = 1
_HEADER = struct.Struct("=IHHII")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")
_REACHABLE = 0x02 | 0x08 | 0x80
"""NUD_REACHABLE, DELAY and PERMANENT: the neighbour answered within seconds, or is fixed."""
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN}
_TUNNEL_NAMES = ("tun", "tap", "wg", "utun", "nordlynx", "proton")
_UNASSIGNED = "192.0.2.1"
"""An address that no host has (RFC 5737); its route is the default route."""
_DISCARD_PORT = 9


def has_route(host: str) -> bool:
    """Return whether this machine has a route to `host`; sends nothing. Names use IPv4."""
    address = str(parse_address(host) or _UNASSIGNED)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        # Connecting a datagram socket looks up the route only.
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.connect((address, _DISCARD_PORT))
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Gateway:
    """A default route; `address` is empty if the interface itself is the route."""

    interface: str
    address: str = ""


def default_gateways(tables: Path = _PROC_NET) -> dict[int, Gateway]:
    """Return the default route with the lowest metric for each family (4, 6) that has one."""
    gateways: dict[int, Gateway] = {}
    for family, name, parse in ((4, "route", _parse_ipv4), (6, "ipv6_route", _parse_ipv6)):
        with suppress(OSError, ValueError, IndexError):
            routes = list(parse((tables / name).read_text("ascii")))
            if routes:
                gateways[family] = min(routes, key=lambda route: route[0])[1]
    return gateways


def _parse_ipv4(text: str) -> Iterator[tuple[int, Gateway]]:
    for line in text.splitlines()[1:]:
        fields = line.split()
        flags = int(fields[3], 16)
        if int(fields[1], 16) or int(fields[7], 16) or not flags & _UP or flags & _REJECTS:
            continue
        # The kernel prints the address as one number in the machine's own byte order.
        address = str(IPv4Address(struct.pack("=I", int(fields[2], 16))))
        yield int(fields[6]), Gateway(fields[0], address if flags & _HAS_GATEWAY else "")


def _parse_ipv6(text: str) -> Iterator[tuple[int, Gateway]]:
    for line in text.splitlines():
        fields = line.split()
        flags = int(fields[8], 16)
        if int(fields[0], 16) or int(fields[1], 16) or not flags & _UP or flags & _REJECTS:
            continue
        address = str(IPv6Address(bytes.fromhex(fields[4])))
        yield int(fields[5], 16), Gateway(fields[9], address if flags & _HAS_GATEWAY else "")


def tunnel_name(gateways: Mapping[int, Gateway], interfaces: Path = _INTERFACES) -> str:
    """Return the tunnel interface of a default route, empty without one.

    A PPP interface is not a tunnel: it is the line to the provider.
    """
    for gateway in gateways.values():
        folder = interfaces / gateway.interface
        with suppress(OSError, ValueError):
            if "DEVTYPE=wireguard" in (folder / "uevent").read_text("ascii"):
                return gateway.interface
        if (folder / "tun_flags").exists() or gateway.interface.startswith(_TUNNEL_NAMES):
            return gateway.interface
    return ""


def neighbour_state(address: str) -> int | None:
    """Return the kernel's state of a neighbour (`NUD_*` bits), 0 if it is not in the table.

    None if the kernel cannot be asked: not Linux, or no file descriptor is left. Uses netlink,
    which needs no privilege; blocks briefly.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wanted = socket.inet_pton(family, address)
    request = _NEIGHBOUR.pack(family, 0, 0, 0, 0)
    header = _HEADER.pack(_HEADER.size + len(request), _GET_NEIGHBOURS, _REQUEST_DUMP, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
            netlink.settimeout(0.5)
            netlink.send(header + request)
            for kind, body in _messages(netlink):
                if kind == _NEW_NEIGHBOUR and _destination(body) == wanted:
                    return int(_NEIGHBOUR.unpack_from(body)[2])
    except (OSError, AttributeError, struct.error):
        return None
    return 0


def _messages(netlink: socket.socket) -> Iterator[tuple[int, bytes]]:
    while data := netlink.recv(65_536):
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE or length < _HEADER.size:
                return
            yield kind, data[_HEADER.size : length]
            data = data[(length + 3) // 4 * 4 :]


def _destination(body: bytes) -> bytes:
    rest = body[_NEIGHBOUR.size :]
    while len(rest) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        if kind == _DESTINATION:
            return rest[_ATTRIBUTE.size : length]
        rest = rest[max((length + 3) // 4 * 4, _ATTRIBUTE.size) :]
    return b""


class GatewayMonitor:
    """Probes the default gateways.

    A gateway responds if it accepts or refuses a connection to one of `ports`, or if the kernel has
    just seen it answer at the link layer. The port that responded last is tried first, so that a
    poll ordinarily sends one packet. `tunnel` is the tunnel interface of a default route, or empty.
    """

    def __init__(
        self,
        *,
        routes: Callable[[], dict[int, Gateway]] = default_gateways,
        neighbour: Callable[[str], int | None] = neighbour_state,
        ports: tuple[int, ...] = _PORTS,
    ) -> None:
        self.tunnel = ""
        self._routes = routes
        self._neighbour = neighbour
        self._ports = list(ports)

    async def read_routes(self) -> dict[int, Gateway]:
        """Return the default routes; a thread reads them, since a table may be long."""
        gateways = await asyncio.to_thread(self._routes)
        self.tunnel = tunnel_name(gateways)
        return gateways

    async def poll(self) -> dict[int, bool | None]:
        """Return for IPv4 and IPv6 whether the gateway responds; None if unknown.

        Without an IPv4 route the line is down; without an IPv6 route there never was one.
        """
        gateways = await self.read_routes()
        ipv4, ipv6 = gateways.get(4), gateways.get(6)
        if ipv4 is not None:
            ipv4_responds = await self._responds(ipv4)
        else:
            ipv4_responds = None if ipv6 else False
        return {4: ipv4_responds, 6: None if ipv6 is None else await self._responds(ipv6)}

    async def _responds(self, gateway: Gateway) -> bool | None:
        if not gateway.address:
            return None
        for port in tuple(self._ports):
            responds = await _tcp_ping(gateway, port)
            if responds:
                self._ports.remove(port)
                self._ports.insert(0, port)
            if responds is not None:
                return responds
        state = self._neighbour(gateway.address)
        return None if state is None else bool(state & _REACHABLE)


async def _tcp_ping(gateway: Gateway, port: int) -> bool | None:
    """Return whether a connection is accepted or refused, False without a route, else None."""
    family = socket.AF_INET6 if ":" in gateway.address else socket.AF_INET
    try:
        address: tuple[str | int, ...] = (gateway.address, port)
        if gateway.address.startswith("fe80"):
            # A link-local address may exist on every link, so the interface must be given.
            address = (*address, 0, socket.if_nametoindex(gateway.interface))
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(0)
            async with asyncio.timeout(_TIMEOUT):
                await asyncio.get_running_loop().sock_connect(connection, address)
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    except OSError as error:
        return False if error.errno in _UNREACHABLE else None
    return True
