"""The queue between the network and the disk."""

import asyncio
from dataclasses import dataclass

from netwatch.model.errors import TransportError
from netwatch.protocols import Message

_CAPACITY = 1_000
"""Messages; when full, MQTT connections wait and HTTP requests are refused."""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message; if it came over HTTP, also the future of its response."""

    message: Message
    response: "asyncio.Future[bytes | None] | None" = None

    def respond(self, payload: bytes | None) -> None:
        """Set the response, if the sender still waits."""
        if self.response is not None and not self.response.done():
            self.response.set_result(payload)

    def postpone(self) -> None:
        """Tell the sender, if it still waits, that it must send the message again."""
        if self.response is not None and not self.response.done():
            self.response.set_exception(TransportError("the collector is busy; send it later"))


class IngestQueue:
    """A queue in one process, filled by MQTT and HTTP, emptied by a collector.

    Attributes:
        rate_advice: signed rate advice for agents, None before the first.
    """

    def __init__(self) -> None:
        self.rate_advice: bytes | None = None
        self._queue: asyncio.Queue[QueuedMessage] = asyncio.Queue(_CAPACITY)
        self._is_accepting = False

    async def put(self, message: Message) -> None:
        """Add a message that needs no response; waits while the queue is full."""
        await self._queue.put(QueuedMessage(message))

    async def deliver(self, message: Message, *, within: float) -> bytes | None:
        """Add a message and return its signed acknowledgement, None if it is not acknowledged.

        Raises TransportError without a collector, with a full queue, or after `within` seconds.
        """
        if not self._is_accepting or self._queue.full():
            raise TransportError("the collector accepts nothing right now")
        response: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(QueuedMessage(message, response))
        try:
            return await asyncio.wait_for(response, within)
        except TimeoutError as error:
            raise TransportError("the collector did not answer in time") from error

    async def take(self, most: int, *, wait: bool = True) -> list[QueuedMessage]:
        """Return the next messages, at most `most`; `wait` for at least one."""
        self._is_accepting = True
        messages = [await self._queue.get()] if wait else []
        while len(messages) < most and not self._queue.empty():
            messages.append(self._queue.get_nowait())
        return messages

    def stop_accepting(self) -> None:
        """Refuse further messages from HTTP, since no collector empties the queue."""
        self._is_accepting = False
