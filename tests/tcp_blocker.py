"""A wall on loopback: passes TCP on to a port, until a test says that it does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

__all__ = ["Wall", "wall"]


class Wall:
    """Connections to `port` reach another port while it is open.

    Attributes:
        port: where it listens.
        carried: bytes that went towards the server.
        returned: bytes that came back.
    """

    def __init__(self, behind: int) -> None:
        self.port = 0
        self.carried = self.returned = 0
        self._behind = behind
        self._closed = self._swallowing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """Reset what is under way and refuse what comes."""
        self._closed = True
        for writer in self._writers.copy():
            writer.transport.abort()

    def swallow(self) -> None:
        """Let connections be made and pass nothing more on towards the server."""
        self._swallowing = True

    def open(self) -> None:
        """Pass everything on again."""
        self._closed = self._swallowing = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self._closed:
                writer.transport.abort()
                return
            back, forth = await asyncio.open_connection("127.0.0.1", self._behind)
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
        """End every connection."""
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
async def wall(behind: int) -> AsyncIterator[Wall]:
    """Stand before the port `behind` on loopback; yields the wall, which is open."""
    made = Wall(behind)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
