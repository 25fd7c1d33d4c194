"""Failure words: what went wrong, in the vocabulary of OONI's data format df-007.

One table says of each word in which layer it lies and whether the target's host was
heard from; one function maps whatever Python or the operating system raised to a word.
Words: https://github.com/ooni/spec/blob/master/data-formats/df-007-errors.md
"""

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum


class QuicCloseError(Exception):
    """A QUIC connection that the other side closed; `code` is RFC 9000's, section 20.1."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with code {code:#x}")
        self.code = code


class FailureScope(StrEnum):
    """Where a failure lies. A `local` failure says nothing about the target."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    RESET = "reset"
    UNREACHABLE = "unreachable"
    LOCAL = "local"
    DNS = "dns"
    TLS = "tls"
    HTTP = "http"
    QUIC = "quic"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure word with its scope, and whether the target's host gave an answer."""

    word: str
    scope: FailureScope
    alive: bool = False


_TABLE: dict[FailureScope, dict[str, bool]] = {
    # The value says whether the target's host gave an answer of its own.
    FailureScope.TIMEOUT: {"generic_timeout_error": False},
    FailureScope.REFUSED: {"connection_refused": True},
    FailureScope.RESET: {"connection_reset": True, "connection_aborted": False, "eof_error": True},
    FailureScope.UNREACHABLE: {"host_unreachable": False},
    FailureScope.LOCAL: dict.fromkeys(
        (
            "network_unreachable",
            "network_down",
            "network_reset",
            "permission_denied",
            "invalid_argument",
            "address_not_available",
            "no_buffer_space",
            "interrupted",
            "unavailable",
            "unknown_failure: emfile",
            "unknown_failure: enfile",
            "unknown_failure: resolvers",
            "unknown_failure: probe",
        ),
        False,
    ),
    FailureScope.DNS: dict.fromkeys(
        (
            "dns_nxdomain_error",
            "dns_servfail_error",
            "dns_refused_error",
            "dns_server_misbehaving",
            "dns_no_answer",
            "dns_temporary_failure",
            "dns_non_recoverable_failure",
            "dns_bogon_error",
            "dns_reply_with_wrong_query_id",
        ),
        False,
    ),
    FailureScope.TLS: dict.fromkeys(
        (
            "ssl_invalid_hostname",
            "ssl_unknown_authority",
            "ssl_invalid_certificate",
            "ssl_failed_handshake",
        ),
        True,
    ),
    FailureScope.HTTP: dict.fromkeys(
        (
            "http_unexpected_status_code",
            "http_unexpected_redirect_url",
            "http_request_failed",
        ),
        True,
    ),
    FailureScope.QUIC: {"quic_incompatible_version": True, "unknown_failure: quic": True},
}
_WORDS = {
    word: Failure(word, scope, alive=alive)
    for scope, words in _TABLE.items()
    for word, alive in words.items()
}
_NUMBERS = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ECONNRESET: "connection_reset",
    errno.EPIPE: "connection_reset",
    errno.ECONNABORTED: "connection_aborted",
    errno.ETIMEDOUT: "generic_timeout_error",
    errno.EHOSTUNREACH: "host_unreachable",
    errno.ENETUNREACH: "network_unreachable",
    errno.ENETDOWN: "network_down",
    errno.ENETRESET: "network_reset",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.EINVAL: "invalid_argument",
    errno.EADDRNOTAVAIL: "address_not_available",
    errno.ENOBUFS: "no_buffer_space",
    errno.EMFILE: "unknown_failure: emfile",
    errno.ENFILE: "unknown_failure: enfile",
}
_LOOKUPS = {
    socket.EAI_NONAME: "dns_nxdomain_error",
    socket.EAI_AGAIN: "dns_temporary_failure",
    socket.EAI_FAIL: "dns_non_recoverable_failure",
}
# Glibc's "no address of this family" has no name on every platform.
if hasattr(socket, "EAI_NODATA"):
    _LOOKUPS[socket.EAI_NODATA] = "dns_no_answer"
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "generic_timeout_error"),
    (asyncio.CancelledError, "interrupted"),
    (ssl.SSLEOFError, "eof_error"),
    (EOFError, "eof_error"),
    (ssl.SSLError, "ssl_failed_handshake"),
)
# X509_V_ERR codes of OpenSSL: 62 and 64 name or address mismatch, 18 to 21 no trusted issuer.
_CERTIFICATES = dict.fromkeys((62, 64), "ssl_invalid_hostname") | dict.fromkeys(
    range(18, 22), "ssl_unknown_authority"
)
# What a server says in an alert about the name that it was asked for (112 of RFC 6066).
_ALERTS = {"TLSV1_UNRECOGNIZED_NAME": "ssl_invalid_hostname"}
# Codes of RFC 9000, section 20.1: refused, and 0x100 with an alert of TLS (RFC 8446, section 6).
_QUIC_ALERTS = 0x100
_QUIC_CODES = (
    {0x02: "connection_refused"}
    | {_QUIC_ALERTS + alert: "ssl_failed_handshake" for alert in range(256)}
    | {_QUIC_ALERTS + alert: "ssl_invalid_certificate" for alert in (42, 43, 44, 45, 46)}
    | {_QUIC_ALERTS + 48: "ssl_unknown_authority", _QUIC_ALERTS + 112: "ssl_invalid_hostname"}
)


def classify_failure(error: BaseException) -> Failure:
    """Return the failure word, scope and liveness for what a network call raised.

    Anything unknown becomes `unknown_failure: ` and the error's class, never its text,
    which may carry an address.
    """
    return lookup_failure(_word(error))


def lookup_failure(word: str) -> Failure:
    """Return scope and liveness of a failure word; a word that no one knows lies nowhere."""
    return _WORDS.get(word) or Failure(word, FailureScope.UNKNOWN)


def _word(error: BaseException) -> str:
    """Return the failure word for what a network call raised."""
    if (coded := _coded(error)) is not None:
        return coded
    for kind, word in _KINDS:
        if isinstance(error, kind):
            return word
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return _NUMBERS[error.errno]
    if isinstance(error, ConnectionResetError):
        # Without a number it is asyncio's word for an end in the middle of a handshake.
        return "eof_error"
    return f"unknown_failure: {type(error).__name__}"


def _coded(error: BaseException) -> str | None:
    """Return the word for an error with a code of its own kind, None for any other."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(error.verify_code, "ssl_invalid_certificate")
    if isinstance(error, ssl.SSLError):
        # Only what OpenSSL itself raises has a reason; asyncio's own has none.
        return _ALERTS.get(getattr(error, "reason", ""))
    if isinstance(error, socket.gaierror):
        return _LOOKUPS.get(error.errno or 0, "dns_temporary_failure")
    if isinstance(error, QuicCloseError):
        return _QUIC_CODES.get(error.code, "unknown_failure: quic")
    return None
