"""Which requests are refused by their head alone, before any of their body is read."""

from dataclasses import dataclass

from uvicorn._types import ASGISendCallable, HTTPScope

from netwatch.wire.signing import MAX_MESSAGE_BYTES

MAX_HEAD_BYTES = 16 * 1024
"""Bytes of a request line and its headers; browsers send 1 to 4 KiB."""
_MAX_HEADERS = 100
"""Headers of one request; a browser behind two proxies sends about 40."""
_METHODS = frozenset({"GET", "HEAD", "POST"})
_VERSIONS = frozenset({"1.0", "1.1"})
_MAX_DIGITS = 9
"""Digits of a length that is compared at all."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status, the label under which it is counted, and its text."""

    status: int
    reason: str
    text: str


_VERSION = Refusal(505, "version", "This server speaks HTTP/1.1.")
_METHOD = Refusal(405, "method", "Use GET, HEAD or POST.")
_HEADERS = Refusal(431, "headers", "The request line and its headers are too large.")
_AMBIGUOUS = Refusal(400, "ambiguous", "The length of the body is ambiguous.")
_TOO_LARGE = Refusal(413, "too_large", f"The limit of a body is {MAX_MESSAGE_BYTES} bytes.")
_ENCODED = Refusal(415, "encoded", "Send the body without a content encoding.")


def request_refusal(scope: HTTPScope) -> Refusal | None:
    """Return why a request is refused, None if it may be answered.

    A body with two lengths may be cut differently by a proxy (RFC 9112, 6.3), and a compressed
    one may grow without bound.
    """
    listed = list(scope["headers"])
    headers = dict(listed)
    length = headers.get(b"content-length", b"0")
    is_chunked = b"transfer-encoding" in headers
    has_two_lengths = is_chunked and (
        b"content-length" in headers or scope["http_version"] == "1.0"
    )
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in listed)
    checks = (
        (scope["http_version"] not in _VERSIONS, _VERSION),
        (scope["method"] not in _METHODS, _METHOD),
        (len(listed) > _MAX_HEADERS or size > MAX_HEAD_BYTES, _HEADERS),
        (has_two_lengths, _AMBIGUOUS),
        (len(length) > _MAX_DIGITS or int(length) > MAX_MESSAGE_BYTES, _TOO_LARGE),
        (headers.get(b"content-encoding", b"identity") != b"identity", _ENCODED),
    )
    return next((refusal for fails, refusal in checks if fails), None)


async def refuse(refusal: Refusal, send: ASGISendCallable) -> None:
    """Send the refusal as plain text, and close the connection."""
    body = refusal.text.encode() + b"\n"
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    if refusal.status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
