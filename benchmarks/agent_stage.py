"""A stage for an agent: servers of every kind on loopback, in a process of their own."""

import asyncio
import multiprocessing
import os
import socket
import ssl
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from netwatch.model.measurement import Target

__all__ = ["MIX", "Ports", "mixed_targets", "stage", "target_of"]

NAME = "stage.netwatch.test"
PAGE = b"<html>" + b"ordinary words " * 60 + b"</html>"
DOWNLOAD = bytes(128 * 1024)
RESET = struct.pack("ii", 1, 0)
MIX = {"dns": 0.35, "tcp": 0.40, "icmp": 0.20, "tls": 0.04, "http": 0.01}
"""What an ordinary list asks for, as shares of all probes."""


@dataclass(frozen=True)
class Ports:
    """Where the servers listen on 127.0.0.1; `dns` is UDP."""

    tcp: int
    dns: int
    tls: int
    http: int


def target_of(kind: str, ports: Ports, number: int = 0) -> Target:
    """Return a target of one kind; names are of the length that names have."""
    name = f"{kind}-{number:03d}.example"
    port = {"transfer": ports.http, "icmp": 0}.get(kind) or getattr(ports, kind, 0)
    path = {"dns": NAME, "http": "/", "transfer": "/download"}.get(kind, "")
    return Target(name, kind, "127.0.0.1", port=port, path=path, asn=64500, country="XX")


def mixed_targets(count: int, ports: Ports) -> list[Target]:
    """Return an ordinary list of `count` targets."""
    kinds = [kind for kind, share in MIX.items() for _ in range(round(share * count))]
    return [target_of(kind, ports, number) for number, kind in enumerate(kinds)]


@contextmanager
def stage() -> Iterator[Ports]:
    """Run the servers; yields where they listen."""
    channels = {name: _bound(socket.SOCK_STREAM) for name in ("tcp", "tls", "http")}
    channels["dns"] = _bound(socket.SOCK_DGRAM)
    process = multiprocessing.get_context("fork").Process(
        target=_serve, args=(channels,), daemon=True
    )
    process.start()
    try:
        yield Ports(**{name: channel.getsockname()[1] for name, channel in channels.items()})
    finally:
        process.kill()
        process.join()
        for channel in channels.values():
            channel.close()


def _bound(kind: socket.SocketKind) -> socket.socket:
    channel = socket.socket(socket.AF_INET, kind)
    channel.bind(("127.0.0.1", 0))
    channel.settimeout(0)
    return channel


def _serve(channels: dict[str, socket.socket]) -> None:
    os.nice(1)
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(channels))


async def _run(channels: dict[str, socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(_Names, sock=channels["dns"])
    for name, handle, tls in (
        ("tcp", _hang_up, None),
        ("tls", _hang_up, _certified()),
        ("http", _answer, None),
    ):
        await asyncio.start_server(handle, sock=channels[name], ssl=tls, backlog=1024)
    await asyncio.Event().wait()


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        body = DOWNLOAD if b" /download " in head else PAGE
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        await reader.read(1)
    writer.close()


class _Names(asyncio.DatagramProtocol):
    """Answers every question with one address of the documentation's kind of public ones."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        answer = dns.message.make_response(dns.message.from_wire(data))
        answer.flags |= dns.flags.RA
        name = answer.question[0].name
        answer.answer = [dns.rrset.from_text(name, 60, "IN", "A", "9.9.9.9")]
        self._transport.sendto(answer.to_wire(), address)  # type: ignore[attr-defined]


def _certified() -> ssl.SSLContext:
    """Return a server's context with a certificate that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(pem)
        context.load_cert_chain(file.name)
    return context
