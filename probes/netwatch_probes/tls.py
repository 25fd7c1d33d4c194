"""Does the host complete a TLS handshake, and with whose certificate?"""

import ssl
from enum import Enum
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from netwatch.model.failure import classify_failure
from netwatch.model.measurement import Observation, Target
from netwatch.plugins import NoOptions
from netwatch.protocols import Probe
from netwatch_probes.limited_stream import LimitedStream, LimitError, presented_chain
from netwatch_probes.recorder import StepError, StepRecorder, open_connection, resolve

NAMELESS = "no-sni"
"""The path of a target that is to be asked without saying for whom."""
_DEFAULT_PORT = 443
_PROTOCOLS = ["h2", "http/1.1"]
_DIGITS = {"leaf": 16, "chain": 12, "issuer": 8}
"""Of each SHA-256, in hexadecimal: enough to tell a change, since they travel in every batch."""


class _Asks(Enum):
    """What is asked of a certificate."""

    ALL = "all"
    NO_NAME = "no name"
    NOTHING = "nothing"


@lru_cache(maxsize=len(_Asks))
def _shared_context(asks: _Asks) -> ssl.SSLContext:
    """Return the one context of its kind in this process; it takes 20 ms and 0.8 MB to make."""
    if asks is _Asks.NOTHING:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = ssl.create_default_context()
    if asks is not _Asks.ALL:
        context.check_hostname = False
    if asks is _Asks.NOTHING:
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(_PROTOCOLS)
    return context


class TlsProbe(NoOptions, Probe):
    """Shakes hands, and judges the certificate apart from that.

    Step `tls_handshake` says whether TLS works at all; its detail is the version and the
    protocol agreed on. Step `certificate` says what the certificate is worth; its detail
    names what was shown, whatever it is worth: the first digits of the SHA-256 of the
    certificate (`leaf`, 16), of all certificates of the chain one after another (`chain`,
    12), and of the issuer's name (`issuer`, 8). All come from one handshake.

    The name that is asked for is the target's domain, or its host without one. A target
    whose path is `no-sni` is asked for no name, and no name is compared: a control for
    networks that cut connections by the name. One whose path is `#` and the first digits of
    the SHA-256 of a public key (DER, as RFC 7469 pins it) wants that very key, and asks for
    nothing else of the certificate: a canary that no portal and no wrong clock can pretend.
    """

    name = "tls"
    cost_bytes = 6_000
    in_consent_text = True

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self._context = context

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Shake hands once; see `netwatch.protocols.Probe`."""
        steps = StepRecorder(within=within)
        option, _, pin = target.path.partition("#")
        named = option != NAMELESS
        name = (target.domain or target.host) if named else None
        verdict = agreed = shown = ""
        async with steps:
            address = await resolve(target.host, steps)
            with steps.step("connect"):
                connection = await open_connection(address, target.port or _DEFAULT_PORT)
            with LimitedStream(connection) as stream:
                with steps.step("tls_handshake"):
                    verdict = await _shake_hands(stream, self._choose(named=named, pin=pin), name)
                if pin:
                    verdict = "" if _has_key(stream.tls, pin) else "ssl_unknown_authority"
                agreed, shown = _agreed(stream.tls), _describe(stream.tls)
                if agreed:
                    steps.note(agreed)
            with steps.step("certificate"):
                if verdict:
                    raise StepError(verdict)
        if shown and steps.observations[-1].operation == "certificate":
            steps.note(shown)
        return steps.observations

    def _choose(self, *, named: bool, pin: str) -> ssl.SSLContext:
        """Return the context to ask with."""
        if pin:
            # The handshake must go to its end: only there does the server prove its key.
            return _shared_context(_Asks.NOTHING)
        if self._context is not None:
            return self._context
        return _shared_context(_Asks.ALL if named else _Asks.NO_NAME)


async def _shake_hands(stream: LimitedStream, context: ssl.SSLContext, name: str | None) -> str:
    """Shake hands; return what is wrong with the certificate, empty where nothing is.

    Raises:
        StepError: the other side sends more than any handshake needs.
        OSError: TLS does not work.
    """
    try:
        await stream.shake_hands(context, name)
    except ssl.SSLCertVerificationError as error:
        return classify_failure(error).word
    except LimitError as error:
        raise StepError("ssl_failed_handshake") from error
    return ""


def _agreed(session: ssl.SSLObject | None) -> str:
    """Return version and protocol that both sides agreed on, empty where they did not."""
    if session is None or session.cipher() is None:
        return ""
    parts = (session.version(), session.selected_alpn_protocol())
    return ",".join(part for part in parts if part)


def _describe(session: ssl.SSLObject | None) -> str:
    """Return the hashes of what was shown, empty where nothing was."""
    chain = presented_chain(session) if session is not None else []
    if not chain:
        return ""
    parts = {"leaf": chain[0], "chain": b"".join(chain), "issuer": _issuer(chain[0])}
    return ",".join(
        f"{name}:{sha256(data).hexdigest()[: _DIGITS[name]]}"
        for name, data in parts.items()
        if data
    )


def _has_key(session: ssl.SSLObject | None, pin: str) -> bool:
    """Tell whether the certificate that was shown is for the public key that begins so."""
    chain = presented_chain(session) if session is not None else []
    try:
        key = x509.load_der_x509_certificate(chain[0]).public_key() if chain else None
    except (ValueError, UnsupportedAlgorithm):
        return False
    if key is None:
        return False
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(encoded).hexdigest().startswith(pin.lower())


def _issuer(certificate: bytes) -> bytes:
    """Return the issuer's name as it stands there, empty where that cannot be read."""
    try:
        return x509.load_der_x509_certificate(certificate).issuer.public_bytes()
    except ValueError:
        return b""
