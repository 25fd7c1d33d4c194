"""A TCP connection that takes in so many bytes and no more, with TLS on top where asked.

Whoever is measured may be hostile: an endless body, headers without end, a certificate of a
gigabyte. What a stream takes in is counted below TLS, and what the kernel may take in on its
behalf is bounded by the socket's receive buffer.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Self, TypeVar

from netwatch.model.byte_counter import count_stream

MOST = 40 * 1024
"""Bytes that a stream takes in; with the kernel's share the line carries less than 64 KiB."""
_AT_ONCE = 16 * 1024
_T = TypeVar("_T")


class LimitError(Exception):
    """Raised where the other side sends more than a stream takes in."""


class LimitedStream:
    """Reads and writes over a connected, non-blocking socket, which it closes at the end.

    Args:
        connection: the socket.
        most: bytes that are taken in, whatever they are.

    Raises:
        LimitError: from reading and from handshakes, when `most` is passed.
        OSError: as the system raises it; `ssl.SSLError` is one.

    Attributes:
        received: bytes taken in so far, those of TLS included.
        tls: the TLS session, None without.
    """

    def __init__(self, connection: socket.socket, *, most: int = MOST) -> None:
        self.received = 0
        self.tls: ssl.SSLObject | None = None
        self._connection = connection
        self._most = most
        self._ended = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def shake_hands(self, context: ssl.SSLContext, name: str | None) -> None:
        """Begin TLS, asking for the host called `name`, or for none.

        `tls` is there even where this fails, and says what certificates were shown.
        """
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        await self._drive(self.tls.do_handshake)

    async def read(self, size: int) -> bytes:
        """Return up to `size` bytes, at least one; none where the other side has ended."""
        session = self.tls
        if session is None:
            return await self._receive(size)
        try:
            return await self._drive(lambda: session.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def read_exactly(self, size: int) -> bytes:
        """Return `size` bytes.

        Raises:
            EOFError: the other side ended before.
        """
        parts: list[bytes] = []
        while size > 0:
            part = await self.read(size)
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        session = self.tls
        if session is None:
            await self._send(data)
            return
        # A session over memory takes all of it at once.
        await self._drive(lambda: session.write(data))

    def close(self) -> None:
        """Hang up; what was not read makes the system reset the connection."""
        self._connection.close()

    async def _drive(self, call: Callable[[], _T]) -> _T:
        """Call into TLS until it needs nothing more from the line."""
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                await self._flush()
                self._feed(await self._receive(_AT_ONCE))
            except ssl.SSLError:
                # An alert says to the other side why we go; it need not arrive.
                self._say_goodbye()
                raise
            else:
                await self._flush()
                return result

    def _feed(self, data: bytes) -> None:
        """Hand to TLS what came, or that nothing more will."""
        if data:
            self._incoming.write(data)
        elif self._ended:
            raise EOFError
        else:
            self._ended = True
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._send(self._outgoing.read())

    async def _send(self, data: bytes) -> None:
        count_stream(len(data))
        await asyncio.get_running_loop().sock_sendall(self._connection, data)

    def _say_goodbye(self) -> None:
        try:
            self._connection.send(self._outgoing.read())
        except OSError:
            return

    async def _receive(self, size: int) -> bytes:
        """Return what the line brings, within the limit."""
        room = self._most - self.received
        if room <= 0:
            raise LimitError(f"more than {self._most} bytes")
        loop = asyncio.get_running_loop()
        data = await loop.sock_recv(self._connection, min(size, room, _AT_ONCE))
        self.received += len(data)
        count_stream(len(data))
        return data


def presented_chain(session: ssl.SSLObject) -> list[bytes]:
    """Return the certificates that the other side showed, in DER, its own first.

    They are there whatever they are worth, also after a handshake that failed on them, from
    OpenSSL 3 on; none where this Python cannot tell.
    """
    public = getattr(session, "get_unverified_chain", None)
    if public is not None:
        return [bytes(shown) for shown in public()]
    # Python 3.13 made it public; before, it is there under the surface.
    inner = getattr(session, "_sslobj", None)
    asked = getattr(inner, "get_unverified_chain", None)
    shown = asked() if asked is not None else None
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in shown or ()]
