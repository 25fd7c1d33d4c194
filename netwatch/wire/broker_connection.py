"""One connection of the embedded broker, with limits of time and size; amqtt has none."""

import asyncio

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.session import Session

MAX_PACKET_BYTES = 1024 * 1024
"""Bytes of the largest packet, as in `deploy/mosquitto.conf`. The protocol allows 256 MB, and the
broker is in the process of the observatory."""
CONNECT_SECONDS = 10.0
"""Time until a client has sent CONNECT."""
MAX_IDLE_SECONDS = 120.0
"""Time without a packet, whatever keepalive a client asks for; agents ask for 30 seconds."""
_KEEPALIVE_FACTOR = 1.5
"""A client is lost after one and a half keepalives (MQTT 3.1.1, 3.1.2.10)."""
_MAX_QUEUED = 20
"""Messages of one client that wait to be handed on."""
_POLL_SECONDS = 0.01
_WRITE_SECONDS = 2.0
"""Time in which a client must take what fills its buffer, since the others wait meanwhile."""


class LimitedReader(StreamReaderAdapter):  # type: ignore[misc] # amqtt ships no types
    """Ends the connection of a client that is silent, or sends too large a packet.

    It reads no further while messages of the client wait to be handed on.

    Attributes:
        heard_at: when the client sent something, in seconds of the loop's clock.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.heard_at = asyncio.get_running_loop().time()
        self._session: Session | None = None
        self._idle = CONNECT_SECONDS
        self._ended = False

    def accept(self, session: Session) -> None:
        """Expect packets as often as the client said in CONNECT; a keepalive of 0 asks for none."""
        self._session = session
        wanted = _KEEPALIVE_FACTOR * session.keep_alive or MAX_IDLE_SECONDS
        self._idle = min(wanted, MAX_IDLE_SECONDS)

    async def read(self, n: int = -1) -> bytes:
        """Return `n` bytes, or raise ConnectionResetError, which amqtt takes as the end."""
        # amqtt discards the packet and reads on, after an error in the middle of one.
        self._ended = self._ended or n > MAX_PACKET_BYTES
        if self._ended:
            raise ConnectionResetError("the packet is too large")
        await self._wait_for_room()
        try:
            async with asyncio.timeout_at(self.heard_at + self._idle):
                data: bytes = await super().read(n)
        except TimeoutError as error:
            self._ended = True
            raise ConnectionResetError("the client is silent") from error
        self.heard_at = asyncio.get_running_loop().time()
        return data

    async def _wait_for_room(self) -> None:
        if self._session is None:
            return
        queue = self._session.delivered_message_queue
        while queue.qsize() > _MAX_QUEUED:
            await asyncio.sleep(_POLL_SECONDS)
            self.heard_at = asyncio.get_running_loop().time()


class LimitedWriter(StreamWriterAdapter):  # type: ignore[misc] # amqtt ships no types
    """Ends the connection of a client that does not read."""

    async def drain(self) -> None:
        """Wait until the client has taken enough, 2 seconds at most."""
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await super().drain()
        except TimeoutError as error:
            self._writer.transport.abort()
            raise ConnectionResetError("the client does not read") from error

    async def close(self) -> None:
        """Close without waiting for a client that does not read."""
        self.is_closed = True
        self._writer.close()
