"""Bytes that real probes count on loopback."""

import asyncio

import pytest
from servers import tcp_server, udp_server

from netwatch.model.byte_counter import ByteCounter, count_datagram, count_stream
from netwatch.model.measurement import Target
from netwatch.protocols import Probe
from netwatch_probes.dns import DnsProbe
from netwatch_probes.http import HttpProbe
from netwatch_probes.tcp import TcpProbe
from netwatch_probes.transfer import TransferProbe


async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 131072\r\n\r\n" + b"x" * 131_072)
    await writer.drain()


@pytest.mark.parametrize(
    ("probe", "least", "most"),
    [
        (TcpProbe(), 200, 300),
        (HttpProbe(), 16_384, 48_000),
        (TransferProbe(), 131_072, 150_000),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
async def test_the_bytes_of_a_probe_are_counted(probe: Probe, least: int, most: int) -> None:
    async with tcp_server(page) as port:
        with ByteCounter() as counter:
            await probe.measure(Target("one", probe.name, "127.0.0.1", port=port), within=5)
    assert least <= counter.bytes <= most


async def test_packets_are_counted_in_both_directions() -> None:
    async with udp_server(lambda query: [(0.0, query)]) as port:
        with ByteCounter() as counter:
            target = Target("one", "dns", "127.0.0.1", port=port, path="example.org")
            await DnsProbe(listen=0.0).measure(target, within=0.2)
    # 12 bytes of head, 17 of question, 11 of EDNS; and headers, for each of the two.
    assert counter.bytes == 2 * (40 + 36)


async def test_each_measurement_has_its_own_counter() -> None:
    async def move(size: int) -> int:
        with ByteCounter() as counter:
            count_datagram(size)
            await asyncio.sleep(0)
            count_datagram(size)
        return counter.bytes

    assert await asyncio.gather(move(10), move(1000)) == [92, 2072]


def test_counting_without_a_counter_is_ignored() -> None:
    count_stream(10_000)
    with ByteCounter() as outer:
        with ByteCounter() as inner:
            count_stream(1_401)
        count_stream(0)
    assert (inner.bytes, outer.bytes) == (1_401 + 160, 0)
