"""HTTP to the observatory: whatever answers costs its time limit and its size, no more."""

import asyncio
from collections.abc import Awaitable, Callable

from netwatch.model.errors import TransportError
from netwatch.wire._light_imports import httpx

WITHIN = 20.0
"""Seconds that an exchange may take in all."""

Exchange = Callable[[str, bytes | None, int], Awaitable[bytes]]
"""Sends a body to an address, or asks for it where there is none; see `fetch`."""


async def fetch(url: str, body: bytes | None, limit: int) -> bytes:
    """Return what `url` answers, at most `limit` bytes of it; follows nothing, unpacks nothing.

    Args:
        url: the address.
        body: what to POST; None asks with GET.
        limit: bytes of the largest answer.

    Raises:
        LinkError: nobody answers in time, or not what was asked for.
    """
    headers = {"User-Agent": "netwatch", "Accept-Encoding": "identity"}
    method = "GET" if body is None else "POST"
    try:
        async with (
            asyncio.timeout(WITHIN),
            httpx.AsyncClient(trust_env=False, follow_redirects=False) as client,
            client.stream(method, url, content=body, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise TransportError(f"{_place(url)} answers with status {response.status_code}")
            return await _read(response, url, limit)
    except TimeoutError as error:
        raise TransportError(f"{_place(url)} does not answer within {WITHIN:.0f} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TransportError(f"{_place(url)} cannot be reached: {reason}") from error


async def _read(response: httpx.Response, url: str, limit: int) -> bytes:
    """Return a body of at most `limit` bytes.

    Raises:
        LinkError: it is larger.
    """
    found = bytearray()
    async for part in response.aiter_raw():
        found += part
        if len(found) > limit:
            raise TransportError(f"{_place(url)} sends more than {limit} bytes")
    return bytes(found)


def _place(url: str) -> str:
    """Return what of an address stands in a line for people."""
    return url.partition("?")[0][:120]
