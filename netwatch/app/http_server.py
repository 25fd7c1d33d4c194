"""HTTP servers of the observatory: the pages, and the API for agents."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import cast

import uvicorn
from starlette.applications import Starlette

from netwatch.app.connection_shares import SHARES, ConnectionShares, Door
from netwatch.app.http_connection import HttpConnection
from netwatch.app.request_checks import MAX_HEAD_BYTES
from netwatch.model.errors import ConfigError

_BACKLOG = 128
"""Connections that are accepted at once, before any other work, and that wait to be accepted."""
_KEEP_ALIVE = 5
"""Seconds between two requests of a connection."""
_SEND_BUFFER = 64 * 1024
"""Bytes of a response in the kernel's buffer; a slow reader cannot make it grow to megabytes."""
_DESCRIPTORS = 8192
"""File descriptors that the process asks for; twice what HTTP, broker and probes need together."""
_HTTP_PART = 0.4
"""The part of the process's file descriptors that HTTP may use; the broker, the disk, probes and
the publisher need the others."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: the process has its own."""
        yield


async def serve(
    app: Starlette,
    listener: socket.socket,
    *,
    shares: Mapping[Door, int] | None = None,
    count: Callable[[str], None] = lambda _reason: None,
) -> None:
    """Serve on a socket until cancelled, then close it. Requests are not logged.

    `shares` are the connections by door; by default they fit the process's file descriptors.
    `count` is called with the reason of each refusal and of each connection that is closed early.
    """
    # A redirect for a missing or additional slash would lead to the host that the client names.
    app.router.redirect_slashes = False
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    places = ConnectionShares(shares or affordable_shares(), partial(count, "crowded"))
    connection = partial(HttpConnection, shares=places, count=count)
    options = uvicorn.Config(
        app,
        # uvicorn calls it to make a protocol; its own type asks for a class.
        http=cast("type[asyncio.Protocol]", connection),
        ws="none",
        proxy_headers=False,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
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


def affordable_shares() -> dict[Door, int]:
    """Return the connections by door that the process has file descriptors for.

    The soft limit of descriptors is raised to the hard one first.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft < wanted:
        soft = wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    part = min(soft * _HTTP_PART / sum(SHARES.values()), 1.0)
    return {door: max(int(share * part), 1) for door, share in SHARES.items()}


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
