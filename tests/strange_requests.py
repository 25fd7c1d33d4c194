"""Requests of strangers: some are not one clear HTTP request, some of unknown senders."""

import secrets

from netwatch.wire.enrollment import (
    ENROLLMENT,
    ENROLLMENT_PATH,
    ERASURE,
    ERASURE_PATH,
    KEY_CHANGE,
    KEY_CHANGE_PATH,
    AgentRequest,
    EnrollmentRequest,
)
from netwatch.wire.request_encryption import encrypt_request, encryption_key
from netwatch.wire.signing import Signer

__all__ = ["SHAPES", "requests_by"]

SHAPES: list[tuple[bytes, bytes, str]] = [
    (b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"431", "headers"),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", b"431", "headers"),
    (b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 900_000, b"400", "malformed"),
    (b"GET / HTTP/1.1\r\nHost: here\r\n" + b"X: a\r\n" * 200 + b"\r\n", b"431", "headers"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400", "malformed"),
    (b"GET / HTTP/1.1\r\n\r\n", b"400", "malformed"),
    (b"GET / HTTP/1.1\nHost: here\nX : a\n\n", b"400", "malformed"),
    (b"TRACE / HTTP/1.1\r\nHost: here\r\n\r\n", b"405", "method"),
    (b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n", b"405", "method"),
    (b"BREW / HTTP/1.1\r\nHost: here\r\n\r\n", b"405", "method"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505", "version"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, b"400", "malformed"),
    (b"\x00" * 100, b"400", "malformed"),
    ((b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"), b"400", "ambiguous"),
    (b"POST /v1/batches HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     b"400", "ambiguous"),
    (b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
     b"400", "malformed"),
    (b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nContent-Length: -5\r\n\r\n",
     b"400", "malformed"),
    (b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n",
     b"413", "too_large"),
    ((b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"FFFFFFFFFFFFFFFFFFFFFFFF\r\n"), b"400", "malformed"),
    (b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     b"400", "malformed"),
    (b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
     b"400", "malformed"),
    ((b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nContent-Encoding: gzip\r\n"
     b"Content-Length: 2\r\n\r\nNW"), b"415", "encoded"),
    (b"GET / HTTP/1.1\r\nHost: here\r\nContent-Length: 999999999\r\n\r\n", b"413", "too_large"),
]  # fmt: skip


"""A request, the status that it gets, and the reason under which it is counted."""


def requests_by(
    signer: Signer, observatory: Signer, name: str, count: int
) -> dict[str, list[bytes]]:
    """Return requests of somebody whose token and key nobody knows, by path."""
    public = encryption_key(observatory)

    def sealed(message: bytes) -> bytes:
        return encrypt_request(message, public)[0]

    enrollment = EnrollmentRequest(
        secrets.token_bytes(16), observatory.public, name, "XX", 64500, "", 2, "1"
    )
    asked = AgentRequest(observatory.public, name)
    changed = signer.sign(KEY_CHANGE.pack(asked, signer), KEY_CHANGE.purpose)
    return {
        ENROLLMENT_PATH: [sealed(ENROLLMENT.pack(enrollment, signer)) for _ in range(count)],
        KEY_CHANGE_PATH: [sealed(changed) for _ in range(count)],
        ERASURE_PATH: [sealed(ERASURE.pack(asked, signer)) for _ in range(count)],
    }
