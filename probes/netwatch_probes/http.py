"""Does the web server answer, and is it the one that was asked?

httpx and its engine httpcore are named in this file only. The engine speaks HTTP over a
connection of ours: pinned to the address that was resolved, bounded in what it takes in,
without pool, proxy, cookies, redirects or decompression.
"""

import asyncio
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256
from ipaddress import ip_address

import httpcore
import httpx

from netwatch.model.measurement import Observation, Target
from netwatch.plugins import NoOptions
from netwatch.protocols import Probe
from netwatch_probes.limited_stream import LimitedStream, LimitError
from netwatch_probes.recorder import StepError, StepRecorder, open_connection, resolve
from netwatch_probes.simhash import simhash

_TLS_PORTS = frozenset({443, 8443})
_READ_BYTES = 16 * 1024
_LEGAL_REASONS = 451
_HEADERS = {
    "User-Agent": "netwatch (Internet reachability measurement)",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Range": "bytes=0-1023",
    "Connection": "close",
}


@lru_cache(maxsize=1)
def _shared_context() -> ssl.SSLContext:
    """Make the one context of the process: loading the authorities takes 20 ms and 0.8 MB."""
    return ssl.create_default_context()


class HttpProbe(NoOptions, Probe):
    """Asks for the first kilobyte of one page, over one fresh connection.

    TLS is used on the ports in `tls` (443 and 8443; 443 unless the target names another).
    No redirect is followed, no cookie kept, no proxy used, nothing decompressed. Any answer
    but 5xx and 451 is a success; a redirect to a foreign host is
    `http_unexpected_redirect_url`. A path that ends in `#204` wants that very status, one
    that ends in `#` and the first digits of a SHA-256 wants a body with it: so a captive
    portal is told from the page that was asked for.

    The detail of step `http_round_trip` is the status, the bytes of body that were read, a
    64-bit likeness of the body, and a hash of the names of the headers.
    """

    name = "http"
    cost_bytes = 20_000
    in_consent_text = True

    def __init__(
        self, *, tls: Collection[int] = _TLS_PORTS, context: ssl.SSLContext | None = None
    ) -> None:
        self._tls = tls
        self._context = context

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Fetch once; see `netwatch.protocols.Probe`."""
        steps = StepRecorder(within=within)
        port = target.port or 443
        secure = port in self._tls
        answer: _Answer | None = None
        async with steps:
            address = await resolve(target.host, steps)
            with steps.step("connect"):
                connection = await open_connection(address, port)
            with LimitedStream(connection) as stream:
                if secure:
                    with steps.step("tls_handshake"):
                        await _secure(stream, self._context or _shared_context(), target.host)
                with steps.step("http_round_trip"):
                    answer = await _fetch(stream, _request(target, port, secure=secure))
                    answer.judge(target)
        if answer is not None:
            steps.note(answer.describe())
        return steps.observations


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server said: `body` is the part of it that was read."""

    status: int
    headers: httpx.Headers
    body: bytes

    def describe(self) -> str:
        """Return the evidence in a few characters, none of which is an address."""
        names = ",".join(name.lower() for name in self.headers)
        digest = blake2b(names.encode(), digest_size=4).hexdigest()
        return f"{self.status},{len(self.body)},{simhash(self.body):016x},{digest}"

    def judge(self, target: Target) -> None:
        """Raise StepError for an answer that is no success."""
        wanted = target.path.partition("#")[2]
        if self._leads_away(target.host):
            raise StepError("http_unexpected_redirect_url")
        if len(wanted) == 3 and wanted.isdecimal():
            bad = self.status != int(wanted)
        elif wanted:
            bad = self.status // 100 != 2
        else:
            bad = self.status >= 500 or self.status == _LEGAL_REASONS
        if bad:
            raise StepError("http_unexpected_status_code")
        if len(wanted) > 3 and not sha256(self.body).hexdigest().startswith(wanted.lower()):
            raise StepError("http_request_failed")

    def _leads_away(self, host: str) -> bool:
        """Tell whether this is a redirect to another site."""
        location = self.headers.get("location", "") if self.status // 100 == 3 else ""
        try:
            other = httpx.URL(location).host if location else ""
        except httpx.InvalidURL:
            return True
        return bool(other) and _site(other) != _site(host)


class _Line(httpcore.AsyncNetworkStream):
    """A stream of ours in the shape that httpcore speaks through."""

    def __init__(self, stream: LimitedStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's own signature
        async with asyncio.timeout(timeout):
            return await self._stream.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        async with asyncio.timeout(timeout):
            await self._stream.write(buffer)

    async def aclose(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> None:
        """Know nothing more."""


async def _secure(stream: LimitedStream, context: ssl.SSLContext, name: str) -> None:
    """Shake hands, or say that the server sends more than any handshake needs."""
    try:
        await stream.shake_hands(context, name)
    except LimitError as error:
        raise StepError("ssl_failed_handshake") from error


def _request(target: Target, port: int, *, secure: bool) -> httpcore.Request:
    """Build the request, named as the target's host whatever address it goes to."""
    host = f"[{target.host}]" if _is_version_6(target.host) else target.host
    usual = port == (443 if secure else 80)
    headers = {"Host": host if usual else f"{host}:{port}", **_HEADERS}
    path = target.path.partition("#")[0] or "/"
    url = httpcore.URL(
        scheme=b"https" if secure else b"http",
        host=target.host.encode(),
        port=port,
        target=path.encode(),
    )
    return httpcore.Request("GET", url, headers=list(headers.items()))


async def _fetch(stream: LimitedStream, request: httpcore.Request) -> _Answer:
    """Send the request and read the answer's head and as much of its body as is allowed.

    Raises:
        StepError: what came is no HTTP, or has no end to its head.
        OSError: the connection broke.
    """
    connection = httpcore.AsyncHTTP11Connection(request.url.origin, _Line(stream))
    try:
        response = await connection.handle_async_request(request)
        body = await _read_some(response)
    except httpcore.RemoteProtocolError as error:
        # "Server disconnected without sending a response", or an answer that is no HTTP.
        gone = "disconnected" in str(error) or "closed" in str(error)
        raise StepError("eof_error" if gone else "http_request_failed") from error
    except httpcore.LocalProtocolError as error:
        # A path or a host that HTTP cannot carry: the list's fault, not the server's.
        raise StepError("invalid_argument") from error
    except LimitError as error:
        raise StepError("http_request_failed") from error
    finally:
        await connection.aclose()
    return _Answer(response.status, httpx.Headers(response.headers), body)


async def _read_some(response: httpcore.Response) -> bytes:
    """Read the body up to the cap, as it comes; the rest is cut off by closing."""
    parts: list[bytes] = []
    length = 0
    async for part in response.aiter_stream():
        parts.append(part)
        length += len(part)
        if length >= _READ_BYTES:
            break
    return b"".join(parts)[:_READ_BYTES]


def _site(host: str) -> str:
    """Return the last two labels of a name, so that www.example.org is example.org's."""
    return ".".join(host.lower().rstrip(".").split(".")[-2:])


def _is_version_6(host: str) -> bool:
    """Tell whether `host` is a literal IPv6 address."""
    try:
        return ip_address(host).version == 6
    except ValueError:
        return False
