"""Faults of servers, one function each: handlers for `servers.tcp_server`, and packets.

A handler gets a connection's two ends and may do with them what a broken, hostile or censored
server does. Nothing here knows which probe will come.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

__all__ = [
    "Answer",
    "Handler",
    "answer_slowly",
    "deaf_port",
    "dns_answer",
    "dns_cut_short",
    "end_after_request",
    "forge_tls_record",
    "http_answer",
    "keep_silent",
    "reset",
    "reset_after_request",
    "say",
    "stall_after",
    "stalling_broker",
]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Answer = Callable[[bytes], list[tuple[float, bytes]]]
"""Returns the packets to send back for a packet, each with a delay in seconds."""

_LINGER_NOT = struct.pack("ii", 1, 0)


@contextmanager
def deaf_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Yield a port that accepts no connection, because its backlog is full."""
    with socket.socket() as deaf:
        deaf.bind((host, 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(deaf.getsockname())
        try:
            yield deaf.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset; unsent data are discarded."""
    channel = writer.get_extra_info("socket")
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


async def reset_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection as soon as the client has sent data."""
    await reader.read(1)
    reset(writer)


async def end_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what the client sends, then close in order."""
    await reader.read(100_000)


async def forge_tls_record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request over TLS with a record of a wrong key, as anybody on the path can."""
    await reader.readuntil(b"\r\n\r\n")
    os.write(writer.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x40" + bytes(64))


async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and read, but never respond."""
    while await reader.read(10_000):
        pass


def say(*parts: bytes, pause: float = 0.0) -> Handler:
    """Wait for the client, then send `parts` with a pause before each but the first."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(pause)
            writer.write(part)
            await writer.drain()

    return handle


def http_answer(status: str, *headers: str, body: bytes = b"") -> Handler:
    """Give every request the same response: `http_answer("302 Found", "Location: http://a/")`."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return say("\r\n".join([*lines, "", ""]).encode() + body)


def stall_after(sent: int, *, promised: int) -> Handler:
    """Send `sent` bytes of a body of `promised`, then nothing more."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n".encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(head + b"x" * sent)
        await keep_silent(reader, writer)

    return handle


async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send valid headers at once and the body at five bytes a second."""
    await reader.read(10_000)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.2)


def stalling_broker(published: list[bytes]) -> Handler:
    """Act as an MQTT 3.1.1 broker that accepts connections and acknowledges no message.

    `published` gets the first bytes of what was sent in vain.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while packet := await reader.read(1000):
            kind = packet[0] & 0xF0
            if kind == 0x10:  # CONNECT: welcome
                writer.write(b"\x20\x02\x00\x00")
            elif kind == 0x80:  # SUBSCRIBE: granted
                writer.write(b"\x90\x03" + packet[2:4] + b"\x00")
            elif kind == 0x30:  # PUBLISH: from here on nothing is even read
                published.append(packet)
                await asyncio.Event().wait()

    return handle


def dns_answer(
    *values: str, rcode: int = 0, number: int | None = None, kind: str = "A"
) -> Callable[[bytes], bytes]:
    """Return a function that answers a DNS query with given records, code and query id."""

    def make(query: bytes) -> bytes:
        asked = dns.message.from_wire(query)
        answer = dns.message.make_response(asked)
        answer.set_rcode(dns.rcode.Rcode(rcode))
        if values:
            name = asked.question[0].name
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *values))
        if number is not None:
            answer.id = number
        return answer.to_wire()

    return make


def dns_cut_short(query: bytes) -> bytes:
    """Send a truncated response, so that the client asks again over TCP."""
    answer = dns.message.make_response(dns.message.from_wire(query))
    answer.flags |= dns.flags.TC
    return answer.to_wire()
