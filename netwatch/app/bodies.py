"""Reading what a stranger posts: no more than it may be, and no longer than it may take."""

import asyncio

from starlette.requests import ClientDisconnect, Request

_PATIENCE = 20.0
"""Seconds in which a body must have come; an agent's is a few packets."""


async def read_body(request: Request, *, limit: int) -> bytes | None:
    """Return a request's body, None where it is larger than `limit` or takes too long."""
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return bytes(body)
