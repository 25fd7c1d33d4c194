"""A TCP proxy on loopback whose connections a test can block or reset."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class TcpBlocker:
    """Forwards connections to another port while it is open.

    Attributes:
        port: the port it listens on.
        carried: bytes forwarded to the server.
        returned: bytes returned to the client.
    """

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self.carried = self.returned = 0
        self._server_port = server_port
        self._closed = self._swallowing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """Reset all connections and refuse new ones."""
        self._closed = True
        for writer in self._writers.copy():
            writer.transport.abort()

    def swallow(self) -> None:
        """Accept connections but forward nothing to the server."""
        self._swallowing = True

    def open(self) -> None:
        """Forward everything again."""
        self._closed = self._swallowing = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self._closed:
                writer.transport.abort()
                return
            back, forth = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._writers.add(forth)
            try:
                await asyncio.gather(
                    self._carry(reader, forth, up=True), self._carry(back, writer, up=False)
                )
            finally:
                self._writers.discard(forth)
                forth.close()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        """Close every connection."""
        self.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if up:
                    self.carried += len(data)
                    if self._swallowing:
                        continue
                else:
                    self.returned += len(data)
                sink.write(data)
                await sink.drain()
        sink.close()


@asynccontextmanager
async def tcp_blocker(server_port: int) -> AsyncIterator[TcpBlocker]:
    """Run an open proxy in front of a port on loopback."""
    blocker = TcpBlocker(server_port)
    server = await asyncio.start_server(blocker.serve, "127.0.0.1", 0)
    blocker.port = server.sockets[0].getsockname()[1]
    try:
        yield blocker
    finally:
        server.close()
        await blocker.end()
