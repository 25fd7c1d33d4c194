"""QUIC: does the host complete a handshake?

aioquic, of the extra `quic`, is used without its own transport: sockets, clock and limits are
ours.
"""

import asyncio
import logging
import socket
import ssl

from netwatch.model.addresses import parse_address
from netwatch.model.errors import InputError
from netwatch.model.failure import QuicCloseError
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.measurement import Target
from netwatch.protocols import MissingRequirement
from netwatch_probes.recorder import (
    DEFAULT_PORT,
    LimitedDatagrams,
    StepError,
    StepProbe,
    StepRecorder,
    open_connection,
    resolve,
)

try:
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection
    from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, ProtocolNegotiated
except ImportError:
    _INSTALLED = False
else:
    _INSTALLED = True
    # Whatever a server does becomes a failure word; it does not belong in the log.
    logging.getLogger("quic").setLevel(logging.CRITICAL)


_log = logging.getLogger("netwatch_probes.quic")
_MISSING = MissingRequirement(
    "aioquic is not installed", "pip install 'netwatch-observatory[quic]'"
)
_MAX_SECONDS = 5.0


class QuicProbe(StepProbe):
    """Does a QUIC handshake for HTTP/3 and closes, within 5 s.

    Any certificate is accepted: the probe `tls` judges certificates. The detail of step
    `quic_handshake` is the version and the application protocol. Without aioquic the step fails
    with `unavailable`, which is a local failure.
    """

    name = "quic"
    cost_bytes = 8_000
    max_seconds = _MAX_SECONDS
    in_consent_text = True

    def __init__(self) -> None:
        if not _INSTALLED:
            _log.warning("quic targets do not count: %s; %s", _MISSING.text, _MISSING.fix)

    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Do one handshake."""
        if not _INSTALLED:
            with steps.step("quic_handshake"):
                raise StepError("unavailable")
        address = await resolve(target.host, steps)
        with steps.step("quic_handshake"):
            port = target.port or DEFAULT_PORT
            with await open_connection(address, port, kind=socket.SOCK_DGRAM) as channel:
                handshake = _Handshake(channel, target.domain or target.host)
                steps.detail = await handshake.run()

    def missing_requirement(self) -> MissingRequirement | None:
        """Return that aioquic is not installed, if so."""
        return None if _INSTALLED else _MISSING


class _Handshake:
    def __init__(self, channel: socket.socket, name: str) -> None:
        # Ordinary handshakes receive 3 to 8 thousand bytes.
        self._datagrams = LimitedDatagrams(channel, overflow="unknown_failure: quic")
        self._peer = channel.getpeername()
        self._loop = asyncio.get_running_loop()
        self._version = 0
        self._version_refused = False
        self._connection = QuicConnection(
            configuration=QuicConfiguration(
                alpn_protocols=["h3"],
                idle_timeout=_MAX_SECONDS,
                # An address is not a valid server name (RFC 6066, section 3).
                server_name=name if parse_address(name) is None else None,
                verify_mode=ssl.CERT_NONE,
            )
        )

    async def run(self) -> str:
        self._connection.connect(self._peer, now=self._loop.time())
        while True:
            await self._send()
            protocol = self._negotiated_protocol()
            if protocol is not None:
                self._connection.close()
                await self._send()
                return f"v{self._version},{protocol}"
            await self._receive()

    def _negotiated_protocol(self) -> str | None:
        """Return the application protocol; None while the handshake is incomplete."""
        protocol = ""
        while (event := self._connection.next_event()) is not None:
            if isinstance(event, ProtocolNegotiated):
                protocol = event.alpn_protocol or ""
            elif isinstance(event, HandshakeCompleted):
                return event.alpn_protocol or protocol
            elif isinstance(event, ConnectionTerminated):
                if self._version_refused:
                    raise StepError("quic_incompatible_version")
                raise QuicCloseError(event.error_code)
        return None

    async def _send(self) -> None:
        for packet, _ in self._connection.datagrams_to_send(now=self._loop.time()):
            await self._datagrams.send(packet)

    async def _receive(self) -> None:
        try:
            async with asyncio.timeout_at(self._connection.get_timer()):
                packet = await self._datagrams.receive()
        except TimeoutError:
            self._connection.handle_timer(now=self._loop.time())
            return
        if packet[:1] >= b"\x80":
            # Long headers carry the version; 0 means that ours is refused (RFC 8999).
            version = int.from_bytes(packet[1:5], "big")
            self._version_refused = self._version_refused or version == 0
            self._version = version or self._version
        receive_packet(self._connection, packet, self._peer, now=self._loop.time())


def receive_packet(
    connection: "QuicConnection", packet: bytes, peer: tuple[object, ...], *, now: float
) -> None:
    """Pass a packet to the connection; raises StepError if the library cannot take it."""
    try:
        decode_foreign(
            packet, lambda data: connection.receive_datagram(data, peer, now=now), what="QUIC"
        )
    except InputError as error:
        raise StepError("unknown_failure: quic") from error
