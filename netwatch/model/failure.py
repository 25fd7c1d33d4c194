"""Failure words of OONI's data format df-007.

One table gives the scope of each word, whether it implies a response from the target's host, and
when it is the vantage's own fault; `classify_failure` maps exceptions to words.
Words: https://github.com/ooni/spec/blob/master/data-formats/df-007-errors.md
"""

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum


class QuicCloseError(Exception):
    """The peer closed a QUIC connection; `code` is an error code of RFC 9000, section 20.1."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with code {code:#x}")
        self.code = code


class FailureScope(StrEnum):
    """The layer of a failure. A `local` failure says nothing about the target."""

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


class LocalCondition(StrEnum):
    """What must hold for a failure to be the vantage's own fault, whatever its network does."""

    ALWAYS = "always"
    WITHOUT_ROUTE = "without_route"
    WRONG_CLOCK = "wrong_clock"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure word, its scope, and whether the target's host responded.

    `local_if` is when it is the vantage's own fault; None if only its network can make it so.
    """

    word: str
    scope: FailureScope
    host_responded: bool = False
    local_if: LocalCondition | None = None


_WORDS = {
    FailureScope.TIMEOUT: "generic_timeout_error",
    FailureScope.REFUSED: "connection_refused",
    FailureScope.RESET: "connection_reset, connection_aborted, eof_error",
    FailureScope.UNREACHABLE: "host_unreachable",
    FailureScope.LOCAL: (
        "network_unreachable, network_down, network_reset, permission_denied, invalid_argument, "
        "address_not_available, no_buffer_space, interrupted, unavailable, "
        "unknown_failure: emfile, unknown_failure: enfile, unknown_failure: resolvers, "
        "unknown_failure: probe"
    ),
    FailureScope.DNS: (
        "dns_nxdomain_error, dns_servfail_error, dns_refused_error, dns_server_misbehaving, "
        "dns_no_answer, dns_temporary_failure, dns_non_recoverable_failure, dns_bogon_error, "
        "dns_reply_with_wrong_query_id"
    ),
    FailureScope.TLS: (
        "ssl_invalid_hostname, ssl_unknown_authority, ssl_invalid_certificate, ssl_failed_handshake"
    ),
    FailureScope.HTTP: (
        "http_unexpected_status_code, http_unexpected_redirect_url, http_request_failed"
    ),
    FailureScope.QUIC: "quic_incompatible_version, unknown_failure: quic",
}
_ANSWER_SCOPES = {
    FailureScope.REFUSED,
    FailureScope.RESET,
    FailureScope.TLS,
    FailureScope.HTTP,
    FailureScope.QUIC,
}
"""Scopes whose failures are themselves responses of the target's host."""
_NO_ANSWER = "connection_aborted"
"""The exception: this machine aborts the connection."""
_LOCAL_IF = {
    "network_unreachable": LocalCondition.WITHOUT_ROUTE,
    "ssl_invalid_certificate": LocalCondition.WRONG_CLOCK,
}
"""Words that are local under a condition; those of the scope `local` without one are so always."""
_FAILURES = {
    word: Failure(
        word,
        scope,
        host_responded=scope in _ANSWER_SCOPES and word != _NO_ANSWER,
        local_if=_LOCAL_IF.get(
            word, LocalCondition.ALWAYS if scope is FailureScope.LOCAL else None
        ),
    )
    for scope, words in _WORDS.items()
    for word in words.split(", ")
}
_WORD_BY_ERRNO = {
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
_WORD_BY_EAI = {
    socket.EAI_NONAME: "dns_nxdomain_error",
    socket.EAI_AGAIN: "dns_temporary_failure",
    socket.EAI_FAIL: "dns_non_recoverable_failure",
}
# EAI_NODATA ("no address of this family") does not exist on every platform.
if hasattr(socket, "EAI_NODATA"):
    _WORD_BY_EAI[socket.EAI_NODATA] = "dns_no_answer"
_WORD_BY_TYPE: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "generic_timeout_error"),
    (asyncio.CancelledError, "interrupted"),
    (ssl.SSLEOFError, "eof_error"),
    (EOFError, "eof_error"),
    (ssl.SSLError, "ssl_failed_handshake"),
)
# X509_V_ERR codes of OpenSSL: 62 and 64 name or address mismatch, 18 to 21 no trusted issuer.
_WORD_BY_VERIFY_CODE = dict.fromkeys((62, 64), "ssl_invalid_hostname") | dict.fromkeys(
    range(18, 22), "ssl_unknown_authority"
)
# TLS alert 112: the server does not know the requested name (RFC 6066).
_WORD_BY_ALERT = {"TLSV1_UNRECOGNIZED_NAME": "ssl_invalid_hostname"}
# RFC 9000, section 20.1: CONNECTION_REFUSED, and 0x100 plus a TLS alert (RFC 8446, section 6).
_QUIC_ALERTS = 0x100
_WORD_BY_QUIC_CODE = (
    {0x02: "connection_refused"}
    | {_QUIC_ALERTS + alert: "ssl_failed_handshake" for alert in range(256)}
    | {_QUIC_ALERTS + alert: "ssl_invalid_certificate" for alert in (42, 43, 44, 45, 46)}
    | {_QUIC_ALERTS + 48: "ssl_unknown_authority", _QUIC_ALERTS + 112: "ssl_invalid_hostname"}
)


def classify_failure(error: BaseException) -> Failure:
    """Return the failure for an exception that a network call raised.

    An unknown error becomes `unknown_failure: ` and its class name, never its text, which may
    contain an address.
    """
    return lookup_failure(_failure_word(error))


def lookup_failure(word: str) -> Failure:
    """Return the failure of a failure word; an unknown word has the scope `unknown`."""
    return _FAILURES.get(word) or Failure(word, FailureScope.UNKNOWN)


def _failure_word(error: BaseException) -> str:
    by_code = _word_by_code(error)
    if by_code is not None:
        return by_code
    for error_type, word in _WORD_BY_TYPE:
        if isinstance(error, error_type):
            return word
    if isinstance(error, OSError) and error.errno in _WORD_BY_ERRNO:
        return _WORD_BY_ERRNO[error.errno]
    if isinstance(error, ConnectionResetError):
        # Without an errno, asyncio raised it because the peer closed during a handshake.
        return "eof_error"
    return f"unknown_failure: {type(error).__name__}"


def _word_by_code(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _WORD_BY_VERIFY_CODE.get(error.verify_code, "ssl_invalid_certificate")
    if isinstance(error, ssl.SSLError):
        # Errors raised by asyncio itself have no reason.
        return _WORD_BY_ALERT.get(getattr(error, "reason", ""))
    if isinstance(error, socket.gaierror):
        return _WORD_BY_EAI.get(error.errno or 0, "dns_temporary_failure")
    if isinstance(error, QuicCloseError):
        return _WORD_BY_QUIC_CODE.get(error.code, "unknown_failure: quic")
    return None
