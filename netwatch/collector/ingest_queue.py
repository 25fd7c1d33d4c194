"""What arrives, from a broker or through a door, on its way to the disk."""

import asyncio
from dataclasses import dataclass

from netwatch.model.errors import TransportError
from netwatch.protocols import Message

_WAITING = 1_000
"""Messages between the network and the disk; beyond, links wait and doors refuse."""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message, and where its sender waits for an answer, if he does."""

    message: Message
    answer: "asyncio.Future[bytes | None] | None" = None

    def reply(self, message: bytes | None) -> None:
        """Tell the sender, if he still waits."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(message)


class IngestQueue:
    """A queue in one process, filled by any number of links and doors, emptied by a collector.

    Attributes:
        drain: the signed message for agents that ask how fast they may send; None is none.
    """

    def __init__(self) -> None:
        self.drain: bytes | None = None
        self._arrived: asyncio.Queue[QueuedMessage] = asyncio.Queue(_WAITING)
        self._open = False

    async def put(self, message: Message) -> None:
        """Add what a link brought; waits while the mailbox is full."""
        await self._arrived.put(QueuedMessage(message))

    async def deliver(self, message: Message, *, within: float) -> bytes | None:
        """Add what came through a door and return its signed acknowledgement, None for none.

        Raises:
            LinkError: nobody empties the mailbox, it is full, or `within` seconds passed.
        """
        if not self._open or self._arrived.full():
            raise TransportError("the collector takes nothing right now")
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._arrived.put_nowait(QueuedMessage(message, answer))
        try:
            return await asyncio.wait_for(answer, within)
        except TimeoutError as error:
            raise TransportError("the collector did not answer in time") from error

    async def take(self, most: int) -> list[QueuedMessage]:
        """Return what has arrived, at least one and at most `most`."""
        self._open = True
        found = [await self._arrived.get()]
        while len(found) < most and not self._arrived.empty():
            found.append(self._arrived.get_nowait())
        return found

    def shut(self) -> None:
        """Let doors refuse: nobody empties the mailbox any more."""
        self._open = False
