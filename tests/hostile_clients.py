"""Clients that hold connections: slow to send, slow to read, or silent. Each is for loopback."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

__all__ = [
    "SLOW_CLIENTS",
    "drip",
    "exchange",
    "holding",
    "mute",
    "slow_body",
    "slow_head",
    "slow_reader",
]

_TRICKLE = 0.5
"""Seconds between two bytes of a slow client."""
_RECEIVE_BUFFER = 4096
Client = Callable[[int], Coroutine[None, None, None]]


async def exchange(port: int, data: bytes, *, seconds: float = 5.0) -> bytes:
    """Send bytes on a new connection; return what comes back until it closes or time is up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()
    try:
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                writer.write(data)
                while part := await reader.read(65536):
                    received += part
    finally:
        writer.close()
    return bytes(received)


async def mute(port: int) -> None:
    """Connect and say nothing."""
    await drip(port, b"", b"")


async def slow_head(port: int) -> None:
    """Send a request line, then a header a byte at a time."""
    await drip(port, b"GET / HTTP/1.1\r\nHost: here\r\nX: ", b"a")


async def slow_body(port: int, path: str = "/v1/batches") -> None:
    """Announce a batch, and send a byte of it at a time."""
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nNetwatch-Agent: a1\r\nContent-Length: 60000\r\n"
    await drip(port, head.encode() + b"\r\n", b"N")


async def slow_enrollment(port: int) -> None:
    """The same to the door of enrollment."""
    head = b"POST /v1/enrollments HTTP/1.1\r\nHost: here\r\nContent-Length: 4000\r\n\r\n"
    await drip(port, head, b"N")


async def idle_keep_alive(port: int) -> None:
    """Make one request, and keep the connection."""
    await drip(port, b"GET /v1/health HTTP/1.1\r\nHost: here\r\n\r\n", b"")


async def slow_reader(port: int, path: str = "/") -> None:
    """Ask for a page many times, and read nothing."""
    await drip(port, f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode() * 50, b"", reads=False)


SLOW_CLIENTS: dict[str, Client] = {
    one.__name__: one
    for one in (mute, slow_head, slow_body, slow_enrollment, idle_keep_alive, slow_reader)
}


@asynccontextmanager
async def holding(
    client: Client, port: int, *, count: int, again: float = 1.0
) -> AsyncIterator[None]:
    """Run `count` clients, each of which connects again so many seconds after it was closed."""

    async def insist() -> None:
        while True:
            with suppress(OSError):
                await client(port)
            await asyncio.sleep(again * random.uniform(0.5, 1.5))

    tasks = [asyncio.ensure_future(insist()) for _ in range(count)]
    try:
        await asyncio.sleep(1.0)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def drip(port: int, start: bytes, drop: bytes, *, reads: bool = True) -> None:
    """Send `start`, then `drop` again and again, until the server closes."""
    loop = asyncio.get_running_loop()
    with socket.socket() as end:
        end.settimeout(0)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        await loop.sock_connect(end, ("127.0.0.1", port))
        if start:
            await loop.sock_sendall(end, start)
        while True:
            if not reads:
                await asyncio.sleep(_TRICKLE)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_TRICKLE):
                    if not await loop.sock_recv(end, 4096):
                        return
            if drop:
                await loop.sock_sendall(end, drop)
