"""The table of failures: every exception of Python or the system has its word."""

import asyncio
import errno
import socket
import ssl

import pytest

from netwatch.model.failure import FailureScope, QuicCloseError, classify_failure, lookup_failure


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


TABLE = [
    (TimeoutError(), "generic_timeout_error", "timeout", False),
    (OSError(errno.ETIMEDOUT, ""), "generic_timeout_error", "timeout", False),
    (OSError(errno.ECONNREFUSED, ""), "connection_refused", "refused", True),
    (OSError(errno.ECONNRESET, ""), "connection_reset", "reset", True),
    (OSError(errno.EPIPE, ""), "connection_reset", "reset", True),
    (OSError(errno.ECONNABORTED, ""), "connection_aborted", "reset", False),
    (OSError(errno.EHOSTUNREACH, ""), "host_unreachable", "unreachable", False),
    (OSError(errno.ENETUNREACH, ""), "network_unreachable", "local", False),
    (OSError(errno.ENETDOWN, ""), "network_down", "local", False),
    (OSError(errno.ENETRESET, ""), "network_reset", "local", False),
    (OSError(errno.EACCES, ""), "permission_denied", "local", False),
    (OSError(errno.EPERM, ""), "permission_denied", "local", False),
    (OSError(errno.EINVAL, ""), "invalid_argument", "local", False),
    (OSError(errno.EADDRNOTAVAIL, ""), "address_not_available", "local", False),
    (OSError(errno.ENOBUFS, ""), "no_buffer_space", "local", False),
    (OSError(errno.EMFILE, ""), "unknown_failure: emfile", "local", False),
    (OSError(errno.ENFILE, ""), "unknown_failure: enfile", "local", False),
    (socket.gaierror(socket.EAI_NONAME, ""), "dns_nxdomain_error", "dns", False),
    (socket.gaierror(socket.EAI_AGAIN, ""), "dns_temporary_failure", "dns", False),
    (socket.gaierror(socket.EAI_FAIL, ""), "dns_non_recoverable_failure", "dns", False),
    (socket.gaierror(socket.EAI_NODATA, ""), "dns_no_answer", "dns", False),
    (EOFError(), "eof_error", "reset", True),
    (asyncio.IncompleteReadError(b"", 1), "eof_error", "reset", True),
    (ssl.SSLEOFError(), "eof_error", "reset", True),
    (ConnectionResetError(), "eof_error", "reset", True),
    (certificate(62), "ssl_invalid_hostname", "tls", True),
    (certificate(64), "ssl_invalid_hostname", "tls", True),
    (certificate(18), "ssl_unknown_authority", "tls", True),
    (certificate(19), "ssl_unknown_authority", "tls", True),
    (certificate(20), "ssl_unknown_authority", "tls", True),
    (certificate(21), "ssl_unknown_authority", "tls", True),
    (certificate(9), "ssl_invalid_certificate", "tls", True),
    (certificate(10), "ssl_invalid_certificate", "tls", True),
    (ssl.SSLError(1, "wrong version number"), "ssl_failed_handshake", "tls", True),
    (QuicCloseError(0x02), "connection_refused", "refused", True),
    (QuicCloseError(0x0A), "unknown_failure: quic", "quic", True),
    (QuicCloseError(0x128), "ssl_failed_handshake", "tls", True),
    (QuicCloseError(0x12A), "ssl_invalid_certificate", "tls", True),
    (QuicCloseError(0x130), "ssl_unknown_authority", "tls", True),
    (QuicCloseError(0x170), "ssl_invalid_hostname", "tls", True),
    (asyncio.CancelledError(), "interrupted", "local", False),
    (RuntimeError("at 192.0.2.7"), "unknown_failure: RuntimeError", "unknown", False),
    (OSError(errno.EXDEV, "at 192.0.2.7"), "unknown_failure: OSError", "unknown", False),
]


@pytest.mark.parametrize(("error", "word", "scope", "host_responded"), TABLE, ids=repr)
def test_the_table(error: BaseException, word: str, scope: str, *, host_responded: bool) -> None:
    failure = classify_failure(error)
    assert (failure.word, failure.scope, failure.host_responded) == (word, scope, host_responded)
    assert lookup_failure(failure.word) == failure


@pytest.mark.parametrize(
    ("word", "scope", "host_responded"),
    [
        ("dns_servfail_error", FailureScope.DNS, False),
        ("dns_refused_error", FailureScope.DNS, False),
        ("dns_server_misbehaving", FailureScope.DNS, False),
        ("dns_bogon_error", FailureScope.DNS, False),
        ("dns_reply_with_wrong_query_id", FailureScope.DNS, False),
        ("http_unexpected_status_code", FailureScope.HTTP, True),
        ("http_unexpected_redirect_url", FailureScope.HTTP, True),
        ("http_request_failed", FailureScope.HTTP, True),
        ("quic_incompatible_version", FailureScope.QUIC, True),
        ("unavailable", FailureScope.LOCAL, False),
        ("a word of tomorrow", FailureScope.UNKNOWN, False),
    ],
)
def test_words_that_probes_raise_themselves(
    word: str, scope: FailureScope, *, host_responded: bool
) -> None:
    assert (lookup_failure(word).scope, lookup_failure(word).host_responded) == (
        scope,
        host_responded,
    )
