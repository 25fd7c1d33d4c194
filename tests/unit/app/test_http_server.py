"""The HTTP server facing unknown clients."""

import asyncio
import socket

from starlette.applications import Starlette
from uplink_rig import running

from netwatch.app.http_server import serve


async def ask(port: int) -> bytes:
    """Return the status line of a request on a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_idle_connections_are_limited() -> None:
    """A client over the limit gets 503; after the idle ones leave, requests succeed again."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with running(serve(Starlette(), listener, max_connections=4)):
        assert b" 404 " in await ask(port)
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        assert b" 503 " in await ask(port)
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        for _ in range(200):
            if b" 404 " in (answer := await ask(port)):
                break
            await asyncio.sleep(0.05)
        assert b" 404 " in answer
