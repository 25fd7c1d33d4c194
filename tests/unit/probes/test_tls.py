import asyncio
import socket
import ssl
import struct
from pathlib import Path

import pytest
from certificates import Authority
from servers import free_port, tcp_server

from netwatch.model.measurement import Observation, Target
from netwatch_probes.tls import TlsProbe


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def measure(
    port: int, context: ssl.SSLContext, domain: str = "localhost", within: float = 5.0
) -> tuple[Observation, ...]:
    target = Target("one", "tls", "127.0.0.1", port=port, domain=domain)
    return await TlsProbe(context=context).measure(target, within=within)


def words(steps: tuple[Observation, ...]) -> list[tuple[str, str | None]]:
    return [(step.operation, step.failure) for step in steps]


def full(verdict: str | None) -> list[tuple[str, str | None]]:
    return [("connect", None), ("tls_handshake", None), ("certificate", verdict)]


async def test_a_good_certificate_and_its_hash(authority: Authority) -> None:
    serving = authority.serving()
    async with tcp_server(tls=serving) as port:
        first = await measure(port, authority.trusting())
        second = await measure(port, authority.trusting())
    assert words(first) == full(None)
    assert len(first[-1].detail) == 32
    assert first[-1].detail == second[-1].detail


@pytest.mark.parametrize(
    ("name", "days", "verdict"),
    [
        ("other.example", (-1, 30), "ssl_invalid_hostname"),
        ("localhost", (-30, -2), "ssl_invalid_certificate"),
        ("localhost", (2, 30), "ssl_invalid_certificate"),
    ],
)
async def test_bad_certificates(
    authority: Authority, name: str, days: tuple[int, int], verdict: str
) -> None:
    """The handshake works; the certificate is judged apart, and its hash is known."""
    async with tcp_server(tls=authority.serving(name, days)) as port:
        steps = await measure(port, authority.trusting())
    assert words(steps) == full(verdict)
    assert len(steps[-1].detail) == 32


async def test_an_unknown_authority(authority: Authority, tmp_path: Path) -> None:
    async with tcp_server(tls=authority.serving()) as port:
        steps = await measure(port, Authority(tmp_path).trusting())
    assert words(steps) == full("ssl_unknown_authority")
    assert steps[-1].detail


async def test_a_server_that_speaks_no_tls(authority: Authority) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)
        await writer.drain()

    async with tcp_server(chatter) as port:
        steps = await measure(port, authority.trusting())
    assert words(steps) == [("connect", None), ("tls_handshake", "ssl_failed_handshake")]


async def test_a_reset_in_the_handshake(authority: Authority) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with tcp_server(reset) as port:
        steps = await measure(port, authority.trusting())
    assert words(steps) == [("connect", None), ("tls_handshake", "connection_reset")]


async def test_an_end_in_the_handshake(authority: Authority) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)

    async with tcp_server(leave) as port:
        (_, (operation, word)) = words(await measure(port, authority.trusting()))
    assert operation == "tls_handshake"
    assert word in {"eof_error", "connection_reset"}


async def test_silence_in_the_handshake(authority: Authority) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with tcp_server(silent) as port:
        steps = await measure(port, authority.trusting(), within=0.4)
    assert words(steps) == [("connect", None), ("tls_handshake", "generic_timeout_error")]


async def test_nobody_there(authority: Authority) -> None:
    steps = await measure(free_port(), authority.trusting())
    assert words(steps) == [("connect", "connection_refused")]
