import asyncio
import socket
import ssl
import struct
from hashlib import sha256
from pathlib import Path

import pytest
from certificates import Authority
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
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


def digest(data: bytes, digits: int = 16) -> str:
    return sha256(data).hexdigest()[:digits]


async def test_a_good_certificate_and_its_hashes(authority: Authority, tmp_path: Path) -> None:
    """The hashes are of the chain as the server sends it, its own certificate first."""
    serving = authority.serving()
    pair = tmp_path / "localhost-1.pem"
    leaf = load_pem_x509_certificate(pair.read_bytes()).public_bytes(Encoding.DER)
    root = authority.certificate.public_bytes(Encoding.DER)
    pair.write_bytes(pair.read_bytes() + authority.certificate.public_bytes(Encoding.PEM))
    longer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    longer.load_cert_chain(pair)
    chains = []
    for context in (serving, longer):
        async with tcp_server(tls=context) as port:
            steps = await measure(port, authority.trusting())
        assert words(steps) == full(None)
        assert steps[1].detail == "TLSv1.3"
        chains.append(dict(part.split(":") for part in steps[-1].detail.split(",")))
    issuer = digest(authority.name.public_bytes(), 8)
    assert chains == [
        {"leaf": digest(leaf), "chain": digest(leaf, 12), "issuer": issuer},
        {"leaf": digest(leaf), "chain": digest(leaf + root, 12), "issuer": issuer},
    ]


async def test_the_negotiated_protocol_is_recorded(authority: Authority) -> None:
    serving, asking = authority.serving(), authority.trusting()
    serving.set_alpn_protocols(["h2"])
    asking.set_alpn_protocols(["h2", "http/1.1"])
    async with tcp_server(tls=serving) as port:
        assert (await measure(port, asking))[1].detail == "TLSv1.3,h2"


async def test_a_control_without_a_server_name(authority: Authority) -> None:
    """A network that blocks by name lets it pass, and the certificate is judged."""
    names: list[str | None] = []
    serving = authority.serving()
    serving.sni_callback = lambda _, name, __: names.append(name)
    context = authority.trusting()
    context.check_hostname = False
    async with tcp_server(tls=serving) as port:
        target = Target("one", "tls", "127.0.0.1", port=port, domain="other.example", path="no-sni")
        assert words(await TlsProbe(context=context).measure(target, within=5)) == full(None)
        steps = await TlsProbe().measure(target, within=5)
    assert words(steps) == full("ssl_unknown_authority")
    assert names == [None, None]


@pytest.mark.parametrize("days", [(-1, 30), (-30, -2)])
async def test_a_portal_check_recognises_the_key(
    authority: Authority, tmp_path: Path, days: tuple[int, int]
) -> None:
    """Dates and authority do not matter, and no other key is accepted."""
    serving = authority.serving(days=days)
    shown = load_pem_x509_certificate((tmp_path / f"localhost{days[0]}.pem").read_bytes())
    key = shown.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pins = {sha256(key).hexdigest(): None, "00" + sha256(key).hexdigest(): "ssl_unknown_authority"}
    async with tcp_server(tls=serving) as port:
        for pin, verdict in pins.items():
            target = Target(
                "one", "tls", "127.0.0.1", port=port, domain="localhost", path=f"#{pin[:16]}"
            )
            steps = await TlsProbe().measure(target, within=5)
            assert words(steps) == full(verdict)
            assert steps[1].detail == "TLSv1.3", "only at its end is the key proven"


async def test_a_server_that_does_not_know_the_name(authority: Authority) -> None:
    """It sends alert 112 instead of a certificate."""

    async def alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(bytes([21, 3, 3, 0, 2, 2, 112]))
        await writer.drain()

    async with tcp_server(alert) as port:
        steps = await measure(port, authority.trusting())
    assert words(steps) == [("connect", None), ("tls_handshake", "ssl_invalid_hostname")]


@pytest.mark.parametrize(
    ("name", "days", "verdict"),
    [
        ("other.example", (-1, 30), "ssl_invalid_hostname"),
        ("localhost", (-30, -2), "ssl_invalid_certificate"),
        ("localhost", (2, 30), "ssl_invalid_certificate"),
    ],
)
async def test_bad_certificates(
    authority: Authority, tmp_path: Path, name: str, days: tuple[int, int], verdict: str
) -> None:
    """The handshake works; the certificate is judged separately, with its hash."""
    serving = authority.serving(name, days)
    server_names: list[str | None] = []
    serving.sni_callback = lambda _, name, __: server_names.append(name)
    async with tcp_server(tls=serving) as port:
        steps = await measure(port, authority.trusting())
    assert words(steps) == full(verdict)
    pair = (tmp_path / f"{name}{days[0]}.pem").read_bytes()
    leaf = load_pem_x509_certificate(pair).public_bytes(Encoding.DER)
    assert steps[-1].detail.startswith(f"leaf:{digest(leaf)},")
    assert server_names == ["localhost"], "one handshake gives both steps"


async def test_an_unknown_authority(authority: Authority, tmp_path: Path) -> None:
    async with tcp_server(tls=authority.serving()) as port:
        steps = await measure(port, Authority(tmp_path).trusting())
    assert words(steps) == full("ssl_unknown_authority")
    assert steps[-1].detail


async def test_a_server_without_tls(authority: Authority) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)
        await writer.drain()

    async with tcp_server(chatter) as port:
        steps = await measure(port, authority.trusting())
    assert words(steps) == [("connect", None), ("tls_handshake", "ssl_failed_handshake")]


async def test_a_reset_during_the_handshake(authority: Authority) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with tcp_server(reset) as port:
        steps = await measure(port, authority.trusting())
    assert words(steps) == [("connect", None), ("tls_handshake", "connection_reset")]


async def test_an_end_during_the_handshake(authority: Authority) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)

    async with tcp_server(leave) as port:
        (_, (operation, word)) = words(await measure(port, authority.trusting()))
    assert operation == "tls_handshake"
    assert word in {"eof_error", "connection_reset"}


async def test_silence_during_the_handshake(authority: Authority) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with tcp_server(silent) as port:
        steps = await measure(port, authority.trusting(), within=0.4)
    assert words(steps) == [("connect", None), ("tls_handshake", "generic_timeout_error")]


async def test_a_closed_port(authority: Authority) -> None:
    steps = await measure(free_port(), authority.trusting())
    assert words(steps) == [("connect", "connection_refused")]
