"""A broker and its transports inside one process, without sockets: for tests and drills."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from netwatch.model.errors import TransportError
from netwatch.protocols import Message
from netwatch.wire.topics import topic_matches


class MemoryBroker:
    """Passes messages between `MemoryTransport`s; `stop` and `start` simulate an outage.

    Attributes:
        transports: those that are connected.
    """

    def __init__(self) -> None:
        self.transports: list[MemoryTransport] = []
        self.is_running = True
        self._retained: dict[str, bytes] = {}

    def stop(self) -> None:
        """Disconnect every transport and refuse new ones."""
        self.is_running = False
        broken, self.transports = self.transports, []
        for transport in broken:
            transport.on_disconnect()

    def start(self) -> None:
        """Accept transports again; retained messages are still there."""
        self.is_running = True

    def deliver(self, message: Message) -> None:
        """Pass a message to every subscriber; an empty retained one clears its topic."""
        if message.retained and message.payload:
            self._retained[message.topic] = message.payload
        elif message.retained:
            self._retained.pop(message.topic, None)
        for transport in self.transports:
            transport.receive(Message(message.topic, message.payload))

    def retained(self, pattern: str) -> list[Message]:
        """Return the retained messages of topics that match `pattern`."""
        return [
            Message(topic, payload, retained=True)
            for topic, payload in self._retained.items()
            if topic_matches(pattern, topic)
        ]


class MemoryTransport:
    """A connection to a `MemoryBroker`; see `netwatch.protocols.Transport`."""

    def __init__(self, broker: MemoryBroker, *, will: Message | None = None) -> None:
        self._broker = broker
        self._will = will
        self._patterns: list[str] = []
        self._received: asyncio.Queue[Message | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        if not self._broker.is_running:
            raise TransportError("the memory broker is stopped")
        self._broker.transports.append(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self in self._broker.transports:
            self._broker.transports.remove(self)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Deliver at once, then yield to the receivers."""
        self._check_connected()
        self._broker.deliver(Message(topic, payload, retained=retain))
        await asyncio.sleep(0)

    async def subscribe(self, pattern: str) -> None:
        """Subscribe to `pattern`; its retained messages follow."""
        self._check_connected()
        self._patterns.append(pattern)
        for message in self._broker.retained(pattern):
            self._received.put_nowait(message)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield messages until the transport closes; raise TransportError once it breaks."""
        while True:
            self._check_connected()
            message = await self._received.get()
            if message is None:
                raise TransportError("the memory broker disconnected")
            yield message

    def receive(self, message: Message) -> None:
        """Queue a message if subscribed to. Called by the broker."""
        if any(topic_matches(pattern, message.topic) for pattern in self._patterns):
            self._received.put_nowait(message)

    def on_disconnect(self) -> None:
        """End `messages` and deliver the will. Called by the broker."""
        self._received.put_nowait(None)
        if self._will is not None:
            self._broker.deliver(self._will)

    def _check_connected(self) -> None:
        if self not in self._broker.transports:
            raise TransportError("the memory transport is closed")
