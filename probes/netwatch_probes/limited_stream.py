"""A TCP connection, with TLS if asked for, that receives a limited number of bytes.

The peer may be hostile: an endless body, endless headers, a certificate of a gigabyte. Received
bytes are counted below TLS, and the socket's receive buffer limits what the kernel accepts.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Self, TypeVar

from netwatch.model.byte_counter import count_stream

MAX_RECEIVED = 40 * 1024
"""Bytes that a stream receives; with the kernel's share the line carries less than 64 KiB."""
_CHUNK = 16 * 1024
"""Bytes that are received at a time."""
_T = TypeVar("_T")


class LimitError(Exception):
    """The peer sends more than the stream receives."""


@lru_cache(maxsize=1)
def default_tls_context() -> ssl.SSLContext:
    """Return the process's one default context: loading the authorities takes 20 ms and 0.8 MB."""
    return ssl.create_default_context()


class LimitedStream:
    """Reads and writes over a connected, non-blocking socket, and closes it at the end.

    Attributes:
        received: bytes received so far, TLS overhead included; `limit` at most.
        tls: the TLS session, None without TLS.

    Raises:
        LimitError: from reading, when `limit` is exceeded.
        OSError: as the system raises it; `ssl.SSLError` is one.
    """

    def __init__(self, connection: socket.socket, *, limit: int = MAX_RECEIVED) -> None:
        self.received = 0
        self.tls: ssl.SSLObject | None = None
        self._connection = connection
        self._limit = limit
        self._has_ended = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def start_tls(self, context: ssl.SSLContext, name: str | None) -> None:
        """Do a TLS handshake with server name `name`, or without one.

        If it fails, `tls` still has the certificates that were presented. A handshake beyond the
        limit raises `ssl.SSLError`.
        """
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        try:
            await self._drive(self.tls.do_handshake)
        except LimitError as error:
            raise ssl.SSLError("the handshake exceeds the limit") from error

    async def read(self, size: int) -> bytes:
        """Return up to `size` bytes; empty only at the end of the stream."""
        session = self.tls
        if session is None:
            return await self._receive(size)
        try:
            return await self._drive(lambda: session.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def read_exactly(self, size: int) -> bytes:
        """Return `size` bytes; raises EOFError if the stream ends before."""
        received = bytearray()
        while len(received) < size:
            part = await self.read(size - len(received))
            if not part:
                raise EOFError
            received += part
        return bytes(received)

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        session = self.tls
        if session is None:
            await self._send(data)
        else:
            # A session over memory accepts all of it at once.
            await self._drive(lambda: session.write(data))

    def close(self) -> None:
        """Close the socket; if data is unread, the system resets the connection."""
        self._connection.close()

    async def _drive(self, call: Callable[[], _T]) -> _T:
        """Call into TLS until it needs nothing more from the connection."""
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                await self._flush()
                self._feed(await self._receive(_CHUNK))
            except ssl.SSLError:
                self._send_alert()
                raise
            else:
                await self._flush()
                return result

    def _feed(self, data: bytes) -> None:
        """Pass received data, or the end of the stream, to TLS."""
        if data:
            self._incoming.write(data)
        elif self._has_ended:
            raise EOFError
        else:
            self._has_ended = True
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._send(self._outgoing.read())

    async def _send(self, data: bytes) -> None:
        count_stream(len(data))
        await asyncio.get_running_loop().sock_sendall(self._connection, data)

    def _send_alert(self) -> None:
        """Send the alert that says why the handshake failed; it need not arrive."""
        try:
            self._connection.send(self._outgoing.read())
        except OSError:
            return

    async def _receive(self, size: int) -> bytes:
        room = self._limit - self.received
        if room <= 0:
            raise LimitError(f"more than {self._limit} bytes")
        loop = asyncio.get_running_loop()
        data = await loop.sock_recv(self._connection, min(size, room, _CHUNK))
        self.received += len(data)
        count_stream(len(data))
        return data


def presented_chain(session: ssl.SSLObject | None) -> list[bytes]:
    """Return the certificates that the peer presented, in DER, its own first.

    They are available after a failed verification too, from OpenSSL 3 on.
    """
    public = getattr(session, "get_unverified_chain", None)
    if public is not None:
        return [bytes(certificate) for certificate in public()]
    # Public from Python 3.13 on; before, it exists on the wrapped object.
    wrapped = getattr(session, "_sslobj", None)
    chain = wrapped.get_unverified_chain() if wrapped is not None else None
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain or ()]
