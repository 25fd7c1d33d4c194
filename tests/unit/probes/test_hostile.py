"""A hostile server costs any probe at most its timeout and 64 kB.

The bytes that the line carried are read from the server's kernel: those that our kernel
acknowledged, including bytes that the probe never read. A transfer downloads 128 KiB; its limit is
that, plus what the kernel buffers.
"""

import asyncio
import gzip
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from time import perf_counter

import dns.message
import pytest
from aioquic.quic.packet import encode_quic_version_negotiation
from certificates import Authority
from servers import udp_server

from netwatch.model.byte_counter import ByteCounter
from netwatch.model.failure import FailureScope, lookup_failure
from netwatch.model.measurement import Observation, Target
from netwatch.protocols import Probe
from netwatch_probes import tls
from netwatch_probes.dns import DnsProbe
from netwatch_probes.http import HttpProbe
from netwatch_probes.limited_stream import default_tls_context
from netwatch_probes.quic import QuicProbe
from netwatch_probes.tcp import TcpProbe
from netwatch_probes.tls import TlsProbe
from netwatch_probes.transfer import TransferProbe

WITHIN = 0.6
PATIENCE = 8.0  # on a machine that does other things too
MOST = 64 * 1024
MEMORY = 1024 * 1024
_ACKED = struct.Struct("@Q")
_ACKED_AT = 120  # tcpi_bytes_acked in struct tcp_info of <linux/tcp.h>

Script = Callable[[], Iterator[bytes]]


@dataclass
class Carried:
    """The bytes that the line carried to the probe."""

    sockets: list[socket.socket] = field(default_factory=list)
    bytes: int = 0

    def read(self) -> None:
        for one in self.sockets:
            information = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
            self.bytes += _ACKED.unpack_from(information, _ACKED_AT)[0]
            one.close()


@asynccontextmanager
async def hostile(script: Script, *, pause: float = 0.0) -> AsyncIterator[tuple[int, Carried]]:
    """Send a script as fast as the line allows, or piece by piece with a pause."""
    loop = asyncio.get_running_loop()
    carried = Carried()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0)

        async def serve(accepted: socket.socket) -> None:
            try:
                for piece in script():
                    await loop.sock_sendall(accepted, piece)
                    await asyncio.sleep(pause)
                await loop.sock_recv(accepted, 1)
            except OSError:
                return

        async def accept() -> None:
            async with asyncio.TaskGroup() as group:
                while True:
                    accepted, _ = await loop.sock_accept(listening)
                    carried.sockets.append(accepted)
                    group.create_task(serve(accepted))

        task = asyncio.ensure_future(accept())
        try:
            yield listening.getsockname()[1], carried
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            carried.read()


HEAD = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(50_000_000))
SCRIPTS: dict[str, Script] = {
    "endless body": lambda: chain([HEAD + b"\r\n"], repeat(b"x" * 65_536)),
    "endless chunks": lambda: chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"1\r\nx\r\n" * 8192)
    ),
    "one chunk of a gigabyte": lambda: chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n40000000\r\n"], repeat(b"x" * 65_536)
    ),
    "a body of 10^30 bytes": lambda: chain(
        [HEAD + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n"], repeat(b"x" * 65_536)
    ),
    "100 MB of headers": lambda: chain([HEAD], repeat(b"X-Y: " + b"z" * 1000 + b"\r\n", 100_000)),
    "one header of 100 MB": lambda: chain([HEAD + b"X: "], repeat(b"z" * 65_536, 1600)),
    "a status without end": lambda: chain([b"HTTP/1.1 200 "], repeat(b"z" * 65_536, 1600)),
    "interim answers without end": lambda: repeat(b"HTTP/1.1 103 Early\r\n\r\n" * 1000),
    "a compression bomb": lambda: iter(
        [HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB]
    ),
    "noise": lambda: repeat(bytes(range(256)) * 256),
    "TLS records without end": lambda: repeat(b"\x16\x03\x03\x40\x00" + b"\x02" * 16_384),
    # A server hello's certificate of 16 MB, which begins like any other.
    "a certificate of 16 MB": lambda: chain(
        [b"\x16\x03\x03\x3f\xff\x0b\xff\xff\xff"], repeat(b"\x30" * 65_536)
    ),
    "silence": lambda: iter(()),
}
SLOW: dict[str, Script] = {
    "headers byte by byte": lambda: (bytes([one]) for one in HEAD * 50),
    "a body byte by byte": lambda: chain([HEAD + b"\r\n"], (b"x" for _ in range(1000))),
}
PROBES: dict[str, Callable[[], Probe]] = {
    "tcp": TcpProbe,
    "tls": TlsProbe,
    "http": HttpProbe,
    "https": lambda: HttpProbe(tls=range(65_536)),
    "transfer": TransferProbe,
}


def most_of(name: str) -> int:
    """Return the limit of a probe in bytes."""
    return MOST if name != "transfer" else 320 * 1024


def unread_of(name: str) -> int:
    """Return how many bytes the kernel may receive beyond what is read."""
    return 24 * 1024 if name != "transfer" else 120 * 1024


async def run(probe: Probe, port: int) -> tuple[tuple[Observation, ...], float, int]:
    """Return a probe's observations, its seconds, and its peak memory in bytes."""
    target = Target("one", probe.name, "127.0.0.1", port=port, domain="localhost")
    tracemalloc.start()
    since = perf_counter()
    try:
        steps = await probe.measure(target, within=WITHIN)
        return steps, perf_counter() - since, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def check(steps: tuple[Observation, ...], seconds: float, memory: int) -> None:
    assert steps
    assert seconds < WITHIN + PATIENCE
    assert memory < MEMORY
    word = steps[-1].failure
    assert word is None or lookup_failure(word).scope not in {
        FailureScope.UNKNOWN,
        FailureScope.LOCAL,
    }


@pytest.fixture(scope="module", autouse=True)
def _contexts() -> None:
    """Load the authorities first: 20 ms and 0.8 MB, once per process."""

    default_tls_context()
    tls._shared_context(tls._Check.ALL)


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_flood_is_cut_off(name: str, script: str) -> None:
    with ByteCounter() as counter:
        async with hostile(SCRIPTS[script]) as (port, carried):
            check(*await run(PROBES[name](), port))
    assert carried.bytes <= most_of(name)
    # The budget counts what was carried, without unread bytes, plus headers.
    assert carried.bytes - unread_of(name) <= counter.bytes
    assert counter.bytes <= 1.2 * most_of(name)


@pytest.mark.parametrize("name", ["http", "transfer"])
@pytest.mark.parametrize("script", SLOW)
async def test_a_dripping_server_costs_its_timeout(name: str, script: str) -> None:
    async with hostile(SLOW[script], pause=0.05) as (port, carried):
        steps, seconds, memory = await run(PROBES[name](), port)
    check(steps, seconds, memory)
    assert steps[-1].failure == "generic_timeout_error"
    assert 0 < carried.bytes < 1000


async def test_a_redirect_loop_is_not_followed() -> None:
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        port = writer.get_extra_info("sockname")[1]
        place = f"http://127.0.0.1:{port}/{len(requests)}"
        writer.write(f"HTTP/1.1 301 Go\r\nLocation: {place}\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for probe in (HttpProbe(), TransferProbe()):
            check(*await run(probe, port))
    assert len(requests) == 2


async def test_an_endless_body_under_tls_is_cut_off(tmp_path: Path) -> None:
    """Bytes are limited below TLS."""
    authority = Authority(tmp_path)
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"\r\n")
        while True:
            writer.write(b"x" * 16_384)
            await writer.drain()
            sent += 16_384

    server = await asyncio.start_server(endless, "127.0.0.1", 0, ssl=authority.serving())
    async with server:
        port = server.sockets[0].getsockname()[1]
        target = Target("one", "http", "localhost", port=port)
        probe = HttpProbe(tls={port}, context=authority.trusting())
        steps = await probe.measure(target, within=5)
    assert (steps[-1].operation, steps[-1].failure) == ("http_round_trip", None)
    assert steps[-1].detail.startswith("200,16384,")


def flood_of(packet: bytes) -> list[tuple[float, bytes]]:
    return [(0.0, packet)] * 2000


def huge_answer(question: bytes) -> bytes:
    """Return the longest possible answer with the right id."""
    query = dns.message.from_wire(question)
    reply = dns.message.make_response(query)
    wire = bytearray(reply.to_wire())
    wire[6:8] = (5000).to_bytes(2, "big")
    return bytes(wire) + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x7f\x00\x00\x01" * 3000


ANSWERS: dict[str, Callable[[bytes], list[tuple[float, bytes]]]] = {
    "noise": lambda _: flood_of(bytes(range(256)) * 5),
    "answers to others": lambda question: flood_of(b"??" + question[2:]),
    "the longest packets": lambda question: flood_of(huge_answer(question)),
    "refused versions": lambda packet: flood_of(
        encode_quic_version_negotiation(
            source_cid=packet[6:14], destination_cid=b"?" * 8, supported_versions=[7] * 250
        )
    ),
}


@pytest.mark.parametrize("probe", [DnsProbe(listen=0.2), QuicProbe()], ids=lambda one: one.name)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_flood_of_packets_is_cut_off(probe: Probe, answer: str) -> None:
    async with udp_server(ANSWERS[answer]) as port:
        steps, seconds, _ = await run(probe, port)
    assert steps[-1].failure is not None
    assert lookup_failure(steps[-1].failure).scope is not FailureScope.UNKNOWN
    assert seconds < WITHIN + PATIENCE


async def test_a_truncated_answer_with_an_endless_tcp_part() -> None:
    """Over TCP a name server may announce 64 KiB, which are not received."""

    def cut(question: bytes) -> list[tuple[float, bytes]]:
        reply = bytearray(dns.message.make_response(dns.message.from_wire(question)).to_wire())
        reply[2] |= 2
        return [(0.0, bytes(reply))]

    script = lambda: chain([b"\xff\xff"], repeat(b"\x00" * 65_536))  # noqa: E731 - one of many
    async with hostile(script) as (port, carried), udp_server(cut, port=port):
        steps, seconds, memory = await run(DnsProbe(listen=0.0), port)
    check(steps, seconds, memory)
    assert 0 < carried.bytes <= MOST
