"""Does the host complete a QUIC handshake?

aioquic is named in this file only, and comes with the extra `quic`. It is used without its
own transport: sockets, clock and limits are ours.
"""

import asyncio
import logging
import socket
import ssl
from ipaddress import ip_address

from netwatch.model.byte_counter import count_datagram
from netwatch.model.failure import QuicCloseError
from netwatch.model.measurement import Observation, Target
from netwatch.plugins import NoOptions
from netwatch.protocols import MissingRequirement, Probe
from netwatch_probes.recorder import StepError, StepRecorder, open_connection, resolve

try:
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection
    from aioquic.quic.events import (
        ConnectionTerminated,
        HandshakeCompleted,
        ProtocolNegotiated,
    )
except ImportError:
    _INSTALLED = False
else:
    _INSTALLED = True
    # Whatever a server does becomes a failure word; nothing of it belongs in our log.
    logging.getLogger("quic").setLevel(logging.CRITICAL)


_log = logging.getLogger("netwatch_probes.quic")
_MISSING = MissingRequirement(
    "aioquic is not installed", "pip install 'netwatch-observatory[quic]'"
)
_DEFAULT_PORT = 443
_LONGEST = 5.0
_DATAGRAM = 2048
_MOST = 32 * 1024
"""Bytes that a handshake may bring; real ones bring 3 to 8 thousand."""


class QuicProbe(NoOptions, Probe):
    """Shakes hands with QUIC and HTTP/3 and leaves; 5 s at the most.

    Any certificate will do: what a certificate is worth is the question of `tls`. The detail
    of step `quic_handshake` is the version and the protocol agreed on. Without aioquic the
    step fails with `unavailable`, which counts against nobody.
    """

    name = "quic"
    cost_bytes = 8_000
    in_consent_text = True

    def __init__(self) -> None:
        if not _INSTALLED:
            _log.warning("quic targets do not count: %s; %s", _MISSING.text, _MISSING.fix)

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Shake hands once; see `netwatch.protocols.Probe`."""
        if not _INSTALLED:
            return (Observation("quic_handshake", "unavailable", 0.0),)
        steps = StepRecorder(within=min(within, _LONGEST))
        agreed = ""
        async with steps:
            address = await resolve(target.host, steps)
            port = target.port or _DEFAULT_PORT
            with steps.step("quic_handshake"):
                channel = await open_connection(address, port, kind=socket.SOCK_DGRAM)
                with channel:
                    agreed = await _Handshake(channel, target.domain or target.host).run()
        if agreed:
            steps.note(agreed)
        return steps.observations

    def missing_requirement(self) -> MissingRequirement | None:
        """Return that aioquic is not installed, if so."""
        return None if _INSTALLED else _MISSING


class _Handshake:
    """One QUIC connection up to the moment in which it stands."""

    def __init__(self, channel: socket.socket, name: str) -> None:
        self._channel = channel
        self._place = channel.getpeername()
        self._loop = asyncio.get_running_loop()
        self._received = 0
        self._version = 0
        self._refused_version = False
        self._connection = QuicConnection(
            configuration=QuicConfiguration(
                alpn_protocols=["h3"],
                idle_timeout=_LONGEST,
                # An address is no name: RFC 6066, section 3.
                server_name=None if _is_address(name) else name,
                verify_mode=ssl.CERT_NONE,
            )
        )

    async def run(self) -> str:
        """Return version and protocol once the handshake is done.

        Raises:
            QuicCloseError: the server closed the connection.
            StepError: the server speaks no version of ours, or floods us.
            OSError: the server's host refuses.
        """
        connection = self._connection
        connection.connect(self._place, now=self._loop.time())
        while True:
            await self._send()
            protocol = self._look()
            if protocol is not None:
                connection.close()
                await self._send()
                return f"v{self._version},{protocol}"
            await self._wait()

    def _look(self) -> str | None:
        """Return the protocol where the handshake is done, None where it goes on."""
        protocol = ""
        while (event := self._connection.next_event()) is not None:
            if isinstance(event, ProtocolNegotiated):
                protocol = event.alpn_protocol or ""
            elif isinstance(event, HandshakeCompleted):
                return event.alpn_protocol or protocol
            elif isinstance(event, ConnectionTerminated):
                if self._refused_version:
                    raise StepError("quic_incompatible_version")
                raise QuicCloseError(event.error_code)
        return None

    async def _send(self) -> None:
        for packet, _ in self._connection.datagrams_to_send(now=self._loop.time()):
            count_datagram(len(packet))
            await self._loop.sock_sendall(self._channel, packet)

    async def _wait(self) -> None:
        """Take in one packet, or let the connection act on the time that went by."""
        try:
            async with asyncio.timeout_at(self._connection.get_timer()):
                packet = await self._loop.sock_recv(self._channel, _DATAGRAM)
        except TimeoutError:
            self._connection.handle_timer(now=self._loop.time())
            return
        self._received += len(packet)
        count_datagram(len(packet))
        if self._received > _MOST:
            raise StepError("unknown_failure: quic")
        if packet[:1] >= b"\x80":
            # The version stands in every long header, and is 0 where ours is refused (RFC 8999).
            version = int.from_bytes(packet[1:5], "big")
            self._refused_version = self._refused_version or version == 0
            self._version = version or self._version
        self._connection.receive_datagram(packet, self._place, now=self._loop.time())


def _is_address(name: str) -> bool:
    """Tell whether `name` is a literal address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
