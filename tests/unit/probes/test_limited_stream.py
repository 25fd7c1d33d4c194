"""A stream on a real connection: its limit, with and without TLS."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from certificates import Authority
from servers import tcp_server

from netwatch_probes.limited_stream import LimitedStream, LimitError
from netwatch_probes.recorder import open_connection


@asynccontextmanager
async def connected(port: int, limit: int = 40_000) -> AsyncIterator[LimitedStream]:
    connection = await open_connection((socket.AF_INET, "127.0.0.1"), port)
    with LimitedStream(connection, limit=limit) as stream:
        yield stream


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)


@pytest.mark.parametrize("secure", [False, True])
async def test_written_bytes_are_read_back(tmp_path: Path, *, secure: bool) -> None:
    authority = Authority(tmp_path)
    tls = authority.serving() if secure else None
    async with tcp_server(echo, tls=tls) as port, connected(port) as stream:
        if secure:
            await stream.start_tls(authority.trusting(), "localhost")
        text = b"x" * 20_000
        await stream.write(text)
        assert await stream.read_exactly(len(text)) == text
        assert stream.received >= len(text)


@pytest.mark.parametrize("secure", [False, True])
async def test_the_end_of_a_stream(tmp_path: Path, *, secure: bool) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")

    authority = Authority(tmp_path)
    tls = authority.serving() if secure else None
    async with tcp_server(leave, tls=tls) as port, connected(port) as stream:
        if secure:
            await stream.start_tls(authority.trusting(), "localhost")
        with pytest.raises(EOFError):
            await stream.read_exactly(10)
        assert await stream.read(10) == b""


async def test_more_than_the_limit_is_not_received() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    async with tcp_server(flood) as port, connected(port, limit=5000) as stream:
        assert len(await stream.read_exactly(5000)) == 5000
        with pytest.raises(LimitError):
            await stream.read(1)
        assert stream.received == 5000


async def test_the_limit_holds_in_a_handshake(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with tcp_server(tls=authority.serving()) as port, connected(port, limit=300) as stream:
        with pytest.raises(ssl.SSLError, match="exceeds the limit"):
            await stream.start_tls(authority.trusting(), "localhost")


async def test_an_end_during_the_handshake_does_not_hang(tmp_path: Path) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(bytes([22, 3, 3, 0, 50, 2]))

    async with tcp_server(leave) as port, connected(port) as stream:
        with pytest.raises((ssl.SSLEOFError, EOFError)):
            await stream.start_tls(Authority(tmp_path).trusting(), "localhost")
