"""A broker and its links inside one process, without sockets: for tests and laboratories."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from netwatch.model.errors import TransportError
from netwatch.protocols import Message
from netwatch.wire.topics import topic_matches


class MemoryBroker:
    """Passes messages between `MemoryTransport`s; `stop` and `start` take it down and up again."""

    def __init__(self) -> None:
        self._running = True
        self._links: list[MemoryTransport] = []
        self._retained: dict[str, bytes] = {}

    def stop(self) -> None:
        """Break every link and refuse new ones, as if the machine were gone."""
        self._running = False
        for link in self._links.copy():
            link.disconnect()

    def start(self) -> None:
        """Take links again; what was retained is still there."""
        self._running = True

    def attach(self, link: "MemoryTransport") -> None:
        """Take up a link.

        Raises:
            LinkError: the broker is stopped.
        """
        if not self._running:
            raise TransportError("the memory broker is stopped")
        self._links.append(link)

    def detach(self, link: "MemoryTransport", will: Message | None = None) -> None:
        """Let a link go and send its `will`, where it has one."""
        if link in self._links:
            self._links.remove(link)
            if will is not None:
                self.deliver(will)

    def deliver(self, message: Message) -> None:
        """Hand a message to all whom it concerns; an empty retained one is forgotten."""
        if message.retained and message.payload:
            self._retained[message.topic] = message.payload
        elif message.retained:
            self._retained.pop(message.topic, None)
        for link in self._links:
            link.receive(Message(message.topic, message.payload))

    def retained(self, pattern: str) -> list[Message]:
        """Return the retained messages of topics that match `pattern`."""
        return [
            Message(topic, payload, retained=True)
            for topic, payload in self._retained.items()
            if topic_matches(pattern, topic)
        ]


class MemoryTransport:
    """A link to a `MemoryBroker`; see `netwatch.protocols.Transport`."""

    def __init__(self, broker: MemoryBroker, *, will: Message | None = None) -> None:
        self._broker = broker
        self._will = will
        self._patterns: list[str] = []
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue()
        self._open = False

    async def __aenter__(self) -> Self:
        self._broker.attach(self)
        self._open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        self._broker.detach(self)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand over at once; yields so that receivers get their turn."""
        self._check()
        self._broker.deliver(Message(topic, payload, retained=retain))
        await asyncio.sleep(0)

    async def subscribe(self, pattern: str) -> None:
        """Take up `pattern`, and what is retained for it."""
        self._check()
        self._patterns.append(pattern)
        for message in self._broker.retained(pattern):
            self._arrived.put_nowait(message)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield until the link closes, or raise once it breaks."""
        while True:
            self._check()
            message = await self._arrived.get()
            if message is None:
                raise TransportError("the memory broker went away")
            yield message

    def receive(self, message: Message) -> None:
        """Queue a message if it was asked for. Called by the broker."""
        if any(topic_matches(pattern, message.topic) for pattern in self._patterns):
            self._arrived.put_nowait(message)

    def disconnect(self) -> None:
        """End as a cut cable does: the broker sends the will. Called by the broker."""
        self._open = False
        self._arrived.put_nowait(None)
        self._broker.detach(self, self._will)

    def _check(self) -> None:
        """Raise LinkError unless the link is up."""
        if not self._open:
            raise TransportError("the memory link is closed")
