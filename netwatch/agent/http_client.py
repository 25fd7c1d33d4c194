"""A small HTTP client for the observatory, bounded in time and response size."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from netwatch.model.errors import TransportError, one_line
from netwatch.wire._light_imports import httpx
from netwatch.wire.https import read_body

TIMEOUT = 20.0
"""Seconds that one request may take in all."""

Fetch = Callable[[str, bytes | None, int], Awaitable[bytes]]
"""The signature of `fetch`."""


@asynccontextmanager
async def open_client(
    server: str, *, within: float, verify: ssl.SSLContext | bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client without redirects and proxies, for `within` seconds.

    Raises:
        TransportError: from the block; `server` is named first.
    """
    try:
        async with (
            asyncio.timeout(within),
            httpx.AsyncClient(verify=verify, trust_env=False, follow_redirects=False) as client,
        ):
            yield client
    except TimeoutError as error:
        raise TransportError(f"{server} does not answer within {within:.0f} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise TransportError(f"{server} cannot be reached: {one_line(error)}") from error


async def fetch(url: str, body: bytes | None, limit: int) -> bytes:
    """Return the response of `url`; no redirects, no decompression.

    Sends `body` with POST, or GET if it is None. `limit` is the bytes of the largest response.

    Raises:
        TransportError: no response in time, another status than 200, or a larger response.
    """
    headers = {"User-Agent": "netwatch", "Accept-Encoding": "identity"}
    method = "GET" if body is None else "POST"
    shown = url.partition("?")[0][:120]
    async with (
        open_client(shown, within=TIMEOUT) as client,
        client.stream(method, url, content=body, headers=headers) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise TransportError(f"{shown} answers with status {response.status_code}")
        return await read_body(response, limit=limit, sender=shown)
