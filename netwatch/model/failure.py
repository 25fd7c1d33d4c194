"""Failure words: what went wrong, in the vocabulary of OONI's data format df-007.

One function maps whatever Python or the operating system raised to one word, the layer
in which it happened, and whether the target's host was heard from.
"""

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Failure", "Scope", "classify_failure"]


class Scope(StrEnum):
    """Where a failure lies. A `local` failure says nothing about the target."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    RESET = "reset"
    UNREACHABLE = "unreachable"
    LOCAL = "local"
    DNS = "dns"
    TLS = "tls"
    HTTP = "http"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure word with its scope, and whether the target's host gave an answer."""

    word: str
    scope: Scope
    alive: bool = False


_NUMBERS = {
    errno.ECONNREFUSED: Failure("connection_refused", Scope.REFUSED, alive=True),
    errno.ECONNRESET: Failure("connection_reset", Scope.RESET, alive=True),
    errno.EPIPE: Failure("connection_reset", Scope.RESET, alive=True),
    errno.ECONNABORTED: Failure("connection_aborted", Scope.RESET),
    errno.ETIMEDOUT: Failure("generic_timeout_error", Scope.TIMEOUT),
    errno.EHOSTUNREACH: Failure("host_unreachable", Scope.UNREACHABLE),
    errno.ENETUNREACH: Failure("network_unreachable", Scope.LOCAL),
    errno.ENETDOWN: Failure("network_down", Scope.LOCAL),
    errno.ENETRESET: Failure("network_reset", Scope.LOCAL),
    errno.EACCES: Failure("permission_denied", Scope.LOCAL),
    errno.EPERM: Failure("permission_denied", Scope.LOCAL),
    errno.EINVAL: Failure("invalid_argument", Scope.LOCAL),
    errno.EADDRNOTAVAIL: Failure("address_not_available", Scope.LOCAL),
    errno.ENOBUFS: Failure("no_buffer_space", Scope.LOCAL),
    errno.EMFILE: Failure("unknown_failure: emfile", Scope.LOCAL),
    errno.ENFILE: Failure("unknown_failure: enfile", Scope.LOCAL),
}
_LOOKUPS = {
    socket.EAI_NONAME: Failure("dns_nxdomain_error", Scope.DNS),
    socket.EAI_AGAIN: Failure("dns_temporary_failure", Scope.DNS),
    socket.EAI_FAIL: Failure("dns_non_recoverable_failure", Scope.DNS),
}
_KINDS: tuple[tuple[type[BaseException], Failure], ...] = (
    (TimeoutError, Failure("generic_timeout_error", Scope.TIMEOUT)),
    (asyncio.CancelledError, Failure("interrupted", Scope.LOCAL)),
    (ssl.SSLEOFError, Failure("eof_error", Scope.RESET, alive=True)),
    (EOFError, Failure("eof_error", Scope.RESET, alive=True)),
    (ssl.SSLError, Failure("ssl_failed_handshake", Scope.TLS, alive=True)),
)
# X509_V_ERR codes of OpenSSL: 62 hostname mismatch; 18 to 21 no trusted issuer.
_CERTIFICATES = {62: "ssl_invalid_hostname"} | dict.fromkeys(range(18, 22), "ssl_unknown_authority")


def classify_failure(error: BaseException) -> Failure:
    """Return the failure word, scope and liveness for what a network call raised.

    Anything unknown becomes `unknown_failure: ` and the error's class, never its text,
    which may carry an address.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        word = _CERTIFICATES.get(error.verify_code, "ssl_invalid_certificate")
        return Failure(word, Scope.TLS, alive=True)
    if isinstance(error, socket.gaierror):
        return _LOOKUPS.get(error.errno or 0, Failure("dns_temporary_failure", Scope.DNS))
    for kind, failure in _KINDS:
        if isinstance(error, kind):
            return failure
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return _NUMBERS[error.errno]
    return Failure(f"unknown_failure: {type(error).__name__}", Scope.UNKNOWN)
