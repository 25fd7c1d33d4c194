"""The page, served over the store and the ledger."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from netwatch.app.agent_api import agent_routes
from netwatch.app.clock import now
from netwatch.app.observatory import ObservatoryContext
from netwatch.model.errors import ConfigError
from netwatch.publish.language import load_language
from netwatch.web.options import WebOptions
from netwatch.web.server import create_app


class _Server(uvicorn.Server):
    """A server that leaves signals to the process that it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def run_serve(opened: ObservatoryContext) -> None:
    """Serve the page until cancelled.

    Raises:
        ConfigError: the address is in use or not ours.
    """
    config = opened.config
    options = WebOptions(
        url=config.publish.url,
        test=config.drill,
        outbox=opened.ledger,
        extra_routes=agent_routes(opened),
        language=load_language(config.publish.languages[0]),
    )
    app = create_app(opened.store, opened.ledger, tree=opened.atlas, clock=now, options=options)
    await serve(app, _listen("web", config.web.host, config.web.port))


async def run_agent_api(opened: ObservatoryContext) -> None:
    """Serve what is for agents alone, where `[collector]` names a port; until cancelled.

    Raises:
        ConfigError: the address is in use or not ours.
    """
    config = opened.config.collector
    if not config.port:
        await asyncio.Event().wait()
    app = Starlette(routes=agent_routes(opened))
    await serve(app, _listen("collector", config.host, config.port))


async def serve(app: Starlette, listener: socket.socket, *, most: int = 512) -> None:
    """Serve on a socket, which is closed in the end, until cancelled; log nobody who asks.

    Beyond `most` connections the answer is 503: idle strangers must not take the files that the
    collector, in the same process, needs.
    """
    options = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=most,
    )
    server = _Server(options)
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(task)
    finally:
        # Requests under way are answered before the sockets close.
        server.should_exit = True
        try:
            await task
        finally:
            listener.close()


def _listen(table: str, host: str, port: int) -> socket.socket:
    """Return a socket that listens where a table of the configuration says."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        # Python's own text names the address once more.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        raise ConfigError(f"{table}: cannot listen on {host}:{port}: {reason}") from error
