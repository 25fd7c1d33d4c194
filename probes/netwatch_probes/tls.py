"""TLS: does the host complete a handshake, and with what certificate?"""

import ssl
from enum import Enum
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from netwatch.model.failure import classify_failure
from netwatch.model.measurement import Target
from netwatch_probes.limited_stream import LimitedStream, presented_chain
from netwatch_probes.recorder import StepError, StepProbe, StepRecorder, open_stream

_NO_SNI = "no-sni"
"""The path of a target that is probed without a server name."""
_PROTOCOLS = ["h2", "http/1.1"]
_DIGITS = {"leaf": 16, "chain": 12, "issuer": 8}
"""Hexadecimal digits kept of each SHA-256: enough to detect a change, in every batch."""


class _Check(Enum):
    ALL = "all"
    NO_NAME = "no name"
    NOTHING = "nothing"


@lru_cache(maxsize=len(_Check))
def _shared_context(check: _Check) -> ssl.SSLContext:
    """Return the process's one context of its kind; making it takes 20 ms and 0.8 MB."""
    if check is _Check.NOTHING:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = ssl.create_default_context()
    context.check_hostname = check is _Check.ALL
    if check is _Check.NOTHING:
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(_PROTOCOLS)
    return context


class TlsProbe(StepProbe):
    """Does a handshake, and judges the certificate separately.

    Step `tls_handshake` shows whether TLS works; its detail is the version and the application
    protocol. Step `certificate` judges the certificate; its detail has the first digits of the
    SHA-256 of the certificate (`leaf`, 16), of the concatenated chain (`chain`, 12) and of the
    issuer's name (`issuer`, 8). Both come from one handshake.

    The server name is the target's domain, or its host without one. A target with the path
    `no-sni` sends no name and compares none: a control for networks that block by name. A path
    of `#` and the first digits of the SHA-256 of a public key (DER, as RFC 7469 pins it) accepts
    that key only, whatever the certificate: a portal check that neither a portal nor a wrong
    clock can fake.
    """

    name = "tls"
    cost_bytes = 6_000
    in_consent_text = True

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self._context = context

    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Do one handshake."""
        option, _, pin = target.path.partition("#")
        name = None if option == _NO_SNI else target.domain or target.host
        with await open_stream(target, steps) as stream:
            with steps.step("tls_handshake"):
                certificate_failure = await _do_handshake(
                    stream, self._choose_context(name, pin), name
                )
                steps.detail = _describe_session(stream.tls)
            chain = presented_chain(stream.tls)
        with steps.step("certificate"):
            steps.detail = _describe_chain(chain)
            if pin:
                certificate_failure = "" if _has_key(chain, pin) else "ssl_unknown_authority"
            if certificate_failure:
                raise StepError(certificate_failure)

    def _choose_context(self, name: str | None, pin: str) -> ssl.SSLContext:
        if pin:
            # The handshake must complete: only then does the server prove its key.
            return _shared_context(_Check.NOTHING)
        if self._context is not None:
            return self._context
        return _shared_context(_Check.NO_NAME if name is None else _Check.ALL)


async def _do_handshake(stream: LimitedStream, context: ssl.SSLContext, name: str | None) -> str:
    """Return the failure word of the certificate, empty if it is good."""
    try:
        await stream.start_tls(context, name)
    except ssl.SSLCertVerificationError as error:
        return classify_failure(error).word
    return ""


def _describe_session(session: ssl.SSLObject | None) -> str:
    """Return version and application protocol, empty if the handshake did not agree on any."""
    if session is None or session.cipher() is None:
        return ""
    parts = (session.version(), session.selected_alpn_protocol())
    return ",".join(part for part in parts if part)


def _describe_chain(chain: list[bytes]) -> str:
    if not chain:
        return ""
    try:
        issuer = x509.load_der_x509_certificate(chain[0]).issuer.public_bytes()
    except ValueError:
        issuer = b""
    parts = {"leaf": chain[0], "chain": b"".join(chain), "issuer": issuer}
    return ",".join(
        f"{name}:{sha256(data).hexdigest()[: _DIGITS[name]]}"
        for name, data in parts.items()
        if data
    )


def _has_key(chain: list[bytes], pin: str) -> bool:
    if not chain:
        return False
    try:
        key = x509.load_der_x509_certificate(chain[0]).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(encoded).hexdigest().startswith(pin.lower())
