"""Does the host complete a TLS handshake, and with whose certificate?"""

import asyncio
import socket
import ssl
from functools import lru_cache
from hashlib import sha256

from netwatch.model.failure import classify_failure
from netwatch.model.measurement import Observation, Target
from netwatch_probes.steps import Address, StepError, Steps, open_connection, resolve

__all__ = ["TlsProbe"]

_DEFAULT_PORT = 443
_PROTOCOLS = ["h2", "http/1.1"]


@lru_cache(maxsize=1)
def _trusting() -> ssl.SSLContext:
    """Make the context that takes any certificate, to learn which one it was."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(_PROTOCOLS)
    return context


@lru_cache(maxsize=1)
def _verifying() -> ssl.SSLContext:
    """Make the context that trusts the system's authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(_PROTOCOLS)
    return context


class TlsProbe:
    """Shakes hands, and judges the certificate apart from that.

    Step `tls_handshake` says whether TLS works at all, step `certificate` what the
    certificate is worth; its detail is the first half of the certificate's SHA-256. A
    certificate that does not convince costs a second handshake, which takes any, to learn
    its hash. The name that is asked for is the target's domain, or its host without one.
    """

    name = "tls"

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self._context = context

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Shake hands once; see `netwatch.protocols.Probe`."""
        steps = Steps(within=within)
        verdict = digest = ""
        async with steps:
            address = await resolve(target.host, steps)
            place = _Place(address, target.port or _DEFAULT_PORT, target.domain or target.host)
            with steps.step("connect"):
                connection = await open_connection(address, place.port)
            with steps.step("tls_handshake"):
                try:
                    digest = await place.handshake(connection, self._context or _verifying())
                except ssl.SSLCertVerificationError as error:
                    verdict = classify_failure(error).word
            with steps.step("certificate"):
                if verdict:
                    digest = await place.peek()
                    raise StepError(verdict)
            steps.note(digest)
        if verdict and steps.observations[-1].operation == "certificate":
            steps.note(digest)
        return steps.observations


class _Place:
    """Where to shake hands, and with whom."""

    def __init__(self, address: Address, port: int, name: str) -> None:
        self.address, self.port, self.name = address, port, name

    async def handshake(self, connection: socket.socket, context: ssl.SSLContext) -> str:
        """Return the hash of the certificate that is shown over `connection`."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            asyncio.Protocol,
            sock=connection,
            ssl=context,
            server_hostname=self.name,
        )
        try:
            certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return sha256(certificate or b"").hexdigest()[:32]
        finally:
            transport.abort()

    async def peek(self) -> str:
        """Return the hash of whatever certificate is shown, empty where none is."""
        try:
            connection = await open_connection(self.address, self.port)
            return await self.handshake(connection, _trusting())
        except OSError:
            # The verdict stands on the first handshake; only the hash is missing.
            return ""
