"""One HTTP request over one fresh connection, for the probes `http` and `transfer`.

httpcore speaks HTTP over our own connection: to the address that was resolved, with a limit on
what is received, and without pool, proxy, cookies, redirects or decompression.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore

from netwatch.model.addresses import address_family
from netwatch.model.measurement import Target
from netwatch_probes.limited_stream import (
    MAX_RECEIVED,
    LimitedStream,
    LimitError,
    default_tls_context,
)
from netwatch_probes.recorder import BUFFER, DEFAULT_PORT, StepError, StepRecorder, open_stream

TLS_PORTS = frozenset({443, 8443})
"""The ports that speak TLS by default."""
_HEADERS = {
    "User-Agent": "netwatch (Internet reachability measurement)",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class HttpConnector:
    """Connects to web servers; receives at most `limit` bytes, TLS overhead included."""

    tls_ports: Collection[int]
    context: ssl.SSLContext | None = None
    buffer: int = BUFFER
    limit: int = MAX_RECEIVED

    @asynccontextmanager
    async def connect(
        self, target: Target, steps: StepRecorder, *, server_name: str
    ) -> AsyncIterator[LimitedStream]:
        """Yield a stream to the target, after steps `resolve`, `connect` and `tls_handshake`."""
        with await open_stream(target, steps, buffer=self.buffer, limit=self.limit) as stream:
            if (target.port or DEFAULT_PORT) in self.tls_ports:
                with steps.step("tls_handshake"):
                    await stream.start_tls(self.context or default_tls_context(), server_name)
            yield stream


@asynccontextmanager
async def send_request(
    target: Target, stream: LimitedStream, headers: Mapping[str, str]
) -> AsyncIterator[httpcore.Response]:
    """Send a GET request and yield the response; errors in the block are mapped too.

    Raises:
        StepError: the response is not HTTP or exceeds the limit, or the request is invalid.
        OSError: the connection broke.
    """
    request = _make_request(target, headers, secure=stream.tls is not None)
    connection = httpcore.AsyncHTTP11Connection(request.url.origin, _NetworkStream(stream))
    try:
        yield await connection.handle_async_request(request)
    except httpcore.RemoteProtocolError as error:
        has_closed = "disconnected" in str(error) or "closed" in str(error)
        raise StepError("eof_error" if has_closed else "http_request_failed") from error
    except httpcore.LocalProtocolError as error:
        # The target's path or host is invalid in HTTP.
        raise StepError("invalid_argument") from error
    except LimitError as error:
        raise StepError("http_request_failed") from error
    finally:
        await connection.aclose()


def _make_request(target: Target, headers: Mapping[str, str], *, secure: bool) -> httpcore.Request:
    """Return the request; its `Host` is the target's host, whatever address it is sent to."""
    port = target.port or DEFAULT_PORT
    host = f"[{target.host}]" if address_family(target.host) == 6 else target.host
    if port != (443 if secure else 80):
        host = f"{host}:{port}"
    url = httpcore.URL(
        scheme=b"https" if secure else b"http",
        host=target.host.encode(),
        port=port,
        target=(target.path.partition("#")[0] or "/").encode(),
    )
    return httpcore.Request("GET", url, headers=[*{"Host": host, **_HEADERS, **headers}.items()])


class _NetworkStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: LimitedStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        async with asyncio.timeout(timeout):
            return await self._stream.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        async with asyncio.timeout(timeout):
            await self._stream.write(buffer)

    async def aclose(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> None:
        """Return nothing: httpcore asks for TLS and socket details that it does not need."""
