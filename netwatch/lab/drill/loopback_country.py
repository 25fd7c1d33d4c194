"""A simulated country: real servers on loopback whose networks can be cut and restored.

A cut network drops packets, as in a real shutdown: its sockets stay open, but the kernel drops
new connections because the accept queue is full. No privileges are needed.
"""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from netwatch.config import PlaceConfig
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.measurement import Target

_CODE = "XT"
_NAME = "Testland"
_REGIONS = {f"{_CODE}-N": "North", f"{_CODE}-C": "Centre", f"{_CODE}-S": "South"}
# AS64496 to AS64511 are reserved for documentation (RFC 5398).
_FIRST_ASN = 64496
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
    b"Connection: close\r\n\r\nok\n"
)
_FILLERS = 8


class _Server:
    def __init__(self, address: str, *, speaks_http: bool) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((address, 0))
        self._socket.listen(128)
        self._socket.settimeout(0)
        self._speaks_http = speaks_http
        self._answers: set[asyncio.Task[None]] = set()
        self._fillers: list[socket.socket] = []
        self.port: int = self._socket.getsockname()[1]

    def open(self) -> None:
        self._hang_up()
        self._socket.listen(128)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def shut(self) -> None:
        """Drop connections: shrink the accept queue, fill it, and accept none."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket()
            filler.settimeout(0)
            with suppress(BlockingIOError):
                filler.connect(self._socket.getsockname())
            self._fillers.append(filler)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        for answer in self._answers:
            answer.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        self._hang_up()
        self._socket.close()

    def _hang_up(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            caller, _ = self._socket.accept()
            caller.settimeout(0)
            answer = asyncio.ensure_future(self._answer(caller))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    async def _answer(self, caller: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with caller, suppress(OSError, TimeoutError):
            if self._speaks_http:
                async with asyncio.timeout(2):
                    await loop.sock_recv(caller, 4096)
                    await loop.sock_sendall(caller, _ANSWER)


@dataclass(slots=True)
class Network:
    """One network: an ASN with a TCP and an HTTP server on an address of its own."""

    asn: int
    region: str
    weight: float
    address: str
    servers: dict[str, _Server] = field(default_factory=dict)

    def cut(self) -> None:
        """Take the network off the Internet."""
        for server in self.servers.values():
            server.shut()

    def restore(self) -> None:
        """Connect the network again."""
        for server in self.servers.values():
            server.open()

    def targets(self) -> list[Target]:
        """Return the targets in this network."""
        return [
            Target(
                id=f"as{self.asn}-{probe}",
                probe=probe,
                host=self.address,
                port=server.port,
                asn=self.asn,
                region=self.region,
                country=_CODE,
            )
            for probe, server in self.servers.items()
        ]


class Country:
    """The simulated country; its servers listen while the context is open."""

    entity = Entity(EntityKind.COUNTRY, _CODE)

    def __init__(self, networks: list[Network]) -> None:
        self.networks = networks

    async def __aenter__(self) -> Self:
        for network in self.networks:
            network.servers = {
                "tcp": _Server(network.address, speaks_http=False),
                "http": _Server(network.address, speaks_http=True),
            }
            network.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        for network in self.networks:
            for server in network.servers.values():
                await server.close()

    def targets(self) -> list[Target]:
        """Return every target in the country."""
        return [target for network in self.networks for target in network.targets()]

    def places(self) -> list[PlaceConfig]:
        """Return the country, its regions and its networks as configuration rows."""
        country = str(self.entity)
        regions = [
            PlaceConfig(entity=f"region:{code}", name=name, parent=country)
            for code, name in _REGIONS.items()
        ]
        networks = [
            PlaceConfig(
                entity=f"asn:{network.asn}",
                name=f"AS{network.asn}",
                parent=f"region:{network.region}",
                weight=network.weight,
            )
            for network in self.networks
        ]
        return [PlaceConfig(entity=country, name=_NAME, timezone="UTC"), *regions, *networks]


def make_country(count: int = 12) -> Country:
    """Return a country of `count` networks, 16 at the most, in three regions.

    Weights fall from the largest network to the smallest, as users do in the field.
    """
    codes = list(_REGIONS)
    return Country(
        [
            Network(
                asn=_FIRST_ASN + number,
                region=codes[number % len(codes)],
                weight=float(count - number),
                address=f"127.77.{number + 1}.1",
            )
            for number in range(count)
        ]
    )
