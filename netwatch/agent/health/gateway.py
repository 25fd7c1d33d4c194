"""The nearest witness: the default gateway, found in the kernel's own tables and asked.

Its address is read from this machine, used on this machine, and told to nobody.
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

_TABLES = Path("/proc/net")
_INTERFACES = Path("/sys/class/net")
_PORTS = (53, 80, 443)
_PATIENCE = 1.0
_UP, _HAS_GATEWAY, _REJECTS = 0x1, 0x2, 0x200
# Of <linux/rtnetlink.h> and <linux/neighbour.h>.
_GET_NEIGHBOURS, _NEW_NEIGHBOUR, _DONE = 30, 28, 3
_REQUEST_DUMP = 0x301
_DESTINATION = 1
_HEADER = struct.Struct("=IHHII")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")
_NEAR = 0x02 | 0x08 | 0x80
"""Reachable, delay and permanent: the neighbour answered within the last seconds, or is fixed."""
_NOBODY = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN}
_TUNNEL_NAMES = ("tun", "tap", "wg", "utun", "nordlynx", "proton")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A default route; `address` is empty where the interface itself leads out."""

    interface: str
    address: str = ""


def default_gateways(tables: Path = _TABLES) -> dict[int, Gateway]:
    """Return the default route with the lowest metric for each family (4, 6) that has one."""
    found: dict[int, Gateway] = {}
    for family, name, read in ((4, "route", _routes_4), (6, "ipv6_route", _routes_6)):
        with suppress(OSError, ValueError, IndexError):
            routes = list(read((tables / name).read_text("ascii")))
            if routes:
                found[family] = min(routes, key=lambda route: route[0])[1]
    return found


def _routes_4(text: str) -> Iterator[tuple[int, Gateway]]:
    """Yield metric and gateway of every IPv4 default route."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        flags = int(fields[3], 16)
        if int(fields[1], 16) or int(fields[7], 16) or not flags & _UP or flags & _REJECTS:
            continue
        # The kernel prints the address as one number in the machine's own byte order.
        address = str(IPv4Address(struct.pack("=I", int(fields[2], 16))))
        yield int(fields[6]), Gateway(fields[0], address if flags & _HAS_GATEWAY else "")


def _routes_6(text: str) -> Iterator[tuple[int, Gateway]]:
    """Yield metric and gateway of every IPv6 default route."""
    for line in text.splitlines():
        fields = line.split()
        flags = int(fields[8], 16)
        if int(fields[0], 16) or int(fields[1], 16) or not flags & _UP or flags & _REJECTS:
            continue
        address = str(IPv6Address(bytes.fromhex(fields[4])))
        yield int(fields[5], 16), Gateway(fields[9], address if flags & _HAS_GATEWAY else "")


def tunnel_name(gateways: Mapping[int, Gateway], interfaces: Path = _INTERFACES) -> str:
    """Return the interface of a default route that leads into a tunnel, empty for none.

    A telephone line (`ppp`) is no tunnel: there the provider begins.
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
    """Return the kernel's state of a neighbour (`NUD_*` bits), 0 where it knows none.

    None where the kernel cannot be asked: not Linux, or no file descriptor is left. Asks over
    netlink, which needs no privilege; blocks for as long as the kernel takes.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wanted = socket.inet_pton(family, address)
    request = _NEIGHBOUR.pack(family, 0, 0, 0, 0)
    header = _HEADER.pack(_HEADER.size + len(request), _GET_NEIGHBOURS, _REQUEST_DUMP, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
            kernel.settimeout(0.5)
            kernel.send(header + request)
            for kind, body in _messages(kernel):
                if kind == _NEW_NEIGHBOUR and _destination(body) == wanted:
                    return int(_NEIGHBOUR.unpack_from(body)[2])
    except (OSError, AttributeError, struct.error):
        return None
    return 0


def _messages(kernel: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of what the kernel answers, up to the end of its answer."""
    while data := kernel.recv(65_536):
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE or length < _HEADER.size:
                return
            yield kind, data[_HEADER.size : length]
            data = data[(length + 3) // 4 * 4 :]


def _destination(body: bytes) -> bytes:
    """Return the address that a neighbour's message is about."""
    rest = body[_NEIGHBOUR.size :]
    while len(rest) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        if kind == _DESTINATION:
            return rest[_ATTRIBUTE.size : length]
        rest = rest[max((length + 3) // 4 * 4, _ATTRIBUTE.size) :]
    return b""


class GatewayMonitor:
    """Asks the gateways whether they are there.

    A connection to port 53, 80 or 443 that is accepted or refused tells it, and so does the
    kernel, which has just heard a neighbour answer at the layer below. The port that answered
    last is asked first: one packet a round, in the ordinary case.

    Args:
        look: returns the default routes.
        neighbour: returns the kernel's state of a neighbour.
        ports: what is asked.

    Attributes:
        tunnel: the interface of a default route into a tunnel when last looked at, empty for
            none.
    """

    def __init__(
        self,
        *,
        look: Callable[[], dict[int, Gateway]] = default_gateways,
        neighbour: Callable[[str], int | None] = neighbour_state,
        ports: tuple[int, ...] = _PORTS,
    ) -> None:
        self.tunnel = ""
        self._look = look
        self._neighbour = neighbour
        self._ports = list(ports)

    async def look(self) -> dict[int, Gateway]:
        """Return the default routes; a router's own table may be long, so a thread reads it."""
        gateways = await asyncio.to_thread(self._look)
        self.tunnel = tunnel_name(gateways)
        return gateways

    async def ask(self) -> dict[int, bool | None]:
        """Return for IPv4 and IPv6 whether the gateway is there; None where that cannot be said.

        A machine without an IPv4 route has lost its line; one without IPv6 never had it.
        """
        gateways = await self.look()
        four, six = gateways.get(4), gateways.get(6)
        return {
            4: (None if six else False) if four is None else await self._is_there(four),
            6: None if six is None else await self._is_there(six),
        }

    async def _is_there(self, gateway: Gateway) -> bool | None:
        """Tell whether one gateway answers."""
        if not gateway.address:
            return None
        for port in tuple(self._ports):
            said = await _tcp_ping(gateway, port)
            if said:
                self._ports.remove(port)
                self._ports.insert(0, port)
            if said is not None:
                return said
        state = self._neighbour(gateway.address)
        return None if state is None else bool(state & _NEAR)


async def _tcp_ping(gateway: Gateway, port: int) -> bool | None:
    """Tell whether somebody accepted or refused; None where nobody said anything.

    False is the kernel's word that there is no way to them. What this machine lacks, such as
    file descriptors, says nothing about a gateway.
    """
    family = socket.AF_INET6 if ":" in gateway.address else socket.AF_INET
    try:
        place: tuple[str | int, ...] = (gateway.address, port)
        if gateway.address.startswith("fe80"):
            # The same address may be on every link; the interface says which one is meant.
            place = (gateway.address, port, 0, socket.if_nametoindex(gateway.interface))
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(0)
            async with asyncio.timeout(_PATIENCE):
                await asyncio.get_running_loop().sock_connect(connection, place)
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    except OSError as error:
        return False if error.errno in _NOBODY else None
    return True
