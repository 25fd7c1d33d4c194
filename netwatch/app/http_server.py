"""HTTP servers of the observatory: the pages, and the API for agents."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from netwatch.model.errors import ConfigError

_MAX_CONNECTIONS = 512
"""Open connections; the collector in the same process needs the other file descriptors."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: the process has its own."""
        yield


async def serve(
    app: Starlette, listener: socket.socket, *, max_connections: int = _MAX_CONNECTIONS
) -> None:
    """Serve on a socket until cancelled, then close it. Requests are not logged.

    Beyond `max_connections` the response is 503.
    """
    options = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=max_connections,
    )
    server = _Server(options)
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(task)
    finally:
        # Requests in progress are answered before the sockets close.
        server.should_exit = True
        try:
            await task
        finally:
            listener.close()


def listen(section: str, host: str, port: int) -> socket.socket:
    """Return a listening socket for the address of a section of the configuration.

    Raises:
        ConfigError: the address is in use or not of this machine.
    """
    try:
        return socket.create_server((host, port))
    except OSError as error:
        # Python's own text repeats the address.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        raise ConfigError(f"{section}: cannot listen on {host}:{port}: {reason}") from error
