"""The page, served over the store and the ledger."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import uvicorn

from netwatch.app.clock import now
from netwatch.app.doors import agent_doors
from netwatch.app.observatory import Opened
from netwatch.config import WebConfig
from netwatch.model.errors import ConfigError
from netwatch.web.server import WebOptions, create_app

__all__ = ["run_serve"]


class _Server(uvicorn.Server):
    """A server that leaves signals to the process that it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def run_serve(opened: Opened) -> None:
    """Serve the page until cancelled.

    Raises:
        ConfigError: the address is in use or not ours.
    """
    config = opened.config
    options = WebOptions(
        url=config.publish.url,
        test=config.test,
        outbox=opened.ledger,
        doors=agent_doors(opened),
    )
    app = create_app(opened.store, opened.ledger, places=opened.atlas, clock=now, options=options)
    listener = _listen(config.web)
    server = _Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(task)
    finally:
        # Requests under way are answered before the sockets close.
        server.should_exit = True
        await task
        listener.close()


def _listen(web: WebConfig) -> socket.socket:
    """Return a socket that listens where the configuration says."""
    try:
        return socket.create_server((web.host, web.port))
    except OSError as error:
        # Python's own text names the address once more.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        raise ConfigError(f"web: cannot listen on {web.host}:{web.port}: {reason}") from error
