"""Bodies and responses of the HTTP API for agents."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
BODY_SECONDS = 45.0
"""Seconds in which a body must arrive: the largest batch at 1.5 kB/s. Most are a few packets."""


async def read_body(request: Request, *, limit: int) -> bytes | None:
    """Return the body, None if it is larger than `limit` bytes or does not arrive in time."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return bytes(body)


def error_response(status: int, text: str, *, retry_after: int = 0) -> Response:
    """Return a response with one line of text; `retry_after` is in seconds."""
    headers = {**HEADERS, "Retry-After": str(retry_after)} if retry_after else HEADERS
    return Response(text + "\n", status, headers, media_type="text/plain")
