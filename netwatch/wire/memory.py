"""A broker and its transports inside one process, without sockets: for tests and drills."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from netwatch.model.errors import TransportError
from netwatch.protocols import Message
from netwatch.wire.topics import topic_matches


class MemoryBroker:
    """Passes messages between `MemoryTransport`s; `stop` and `start` simulate an outage."""

    def __init__(self) -> None:
        self._running = True
        self._transports: list[MemoryTransport] = []
        self._retained: dict[str, bytes] = {}

    def stop(self) -> None:
        """Disconnect every transport and refuse new ones."""
        self._running = False
        for transport in self._transports.copy():
            transport.disconnect()

    def start(self) -> None:
        """Accept transports again; retained messages are still there."""
        self._running = True

    def attach(self, transport: "MemoryTransport") -> None:
        """Add a transport.

        Raises:
            TransportError: the broker is stopped.
        """
        if not self._running:
            raise TransportError("the memory broker is stopped")
        self._transports.append(transport)

    def detach(self, transport: "MemoryTransport", will: Message | None = None) -> None:
        """Remove a transport and deliver its `will`, if any."""
        if transport in self._transports:
            self._transports.remove(transport)
            if will is not None:
                self.deliver(will)

    def deliver(self, message: Message) -> None:
        """Pass a message to every subscriber; an empty retained one clears its topic."""
        if message.retained and message.payload:
            self._retained[message.topic] = message.payload
        elif message.retained:
            self._retained.pop(message.topic, None)
        for transport in self._transports:
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
        self._connected = False

    async def __aenter__(self) -> Self:
        self._broker.attach(self)
        self._connected = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connected = False
        self._broker.detach(self)

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

    def disconnect(self) -> None:
        """Break the connection, so that the broker delivers the will. Called by the broker."""
        self._connected = False
        self._received.put_nowait(None)
        self._broker.detach(self, self._will)

    def _check_connected(self) -> None:
        if not self._connected:
            raise TransportError("the memory transport is closed")
