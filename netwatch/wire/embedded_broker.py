"""An MQTT broker in this process, for a single machine and for tests: amqtt on 127.0.0.1.

It speaks MQTT 3.1.1 without shared subscriptions and keeps no state over a restart. That loses
no data, since agents resend unacknowledged batches. Use Mosquitto in production.
"""

import asyncio
import hmac
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.errors import AMQTTError, BrokerError
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from netwatch.model.errors import TransportError

MAX_PACKET_BYTES = 1024 * 1024
"""Bytes of the largest packet, as in `deploy/mosquitto.conf`. The protocol allows 256 MB, and the
broker is in the process of the observatory."""
# amqtt logs every connection.
for _name in ("amqtt", "transitions"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class PasswordPlugin(BaseAuthPlugin):  # type: ignore[misc] # amqtt ships no types
    """Authenticates users by the passwords in the broker's configuration."""

    async def authenticate(self, *, session: Session) -> bool:
        """Compare in constant time; anonymous sessions and empty passwords are refused."""
        users: Mapping[str, str] = self._get_config_option("users", {})
        expected = users.get(session.username or "")
        given = session.password or ""
        if not expected or not given:
            return False
        return hmac.compare_digest(expected.encode(), given.encode())

    @dataclass
    class Config:
        """The plugin's section of the broker's configuration."""

        users: dict[str, str] = field(default_factory=dict)


class _LimitedReader(StreamReaderAdapter):  # type: ignore[misc] # amqtt ships no types
    """Closes a connection that sends a larger packet than any message needs."""

    async def read(self, n: int = -1) -> bytes:
        """Read `n` bytes."""
        if n > MAX_PACKET_BYTES:
            raise ConnectionResetError
        data: bytes = await super().read(n)
        return data


class _Broker(Broker):  # type: ignore[misc] # amqtt ships no types
    """amqtt's broker leaves some connections open; this one closes them."""

    writers: set[asyncio.StreamWriter]

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serve a connection, then close it."""
        self.writers.add(writer)
        limited = _LimitedReader(reader)
        try:
            await super().external_connected(limited, StreamWriterAdapter(writer), listener_name)
        finally:
            writer.close()
            self.writers.discard(writer)


class EmbeddedBroker:
    """Listens on 127.0.0.1 while its context is open.

    Args:
        users: passwords by user name; nobody gets in with an empty one.
        port: the port; 0 takes a free one, which the attribute `port` then holds.
    """

    def __init__(self, *, users: Mapping[str, str], port: int = 0) -> None:
        self.port = port
        self._users = dict(users)
        self._broker: _Broker | None = None

    async def __aenter__(self) -> Self:
        plugin = f"{PasswordPlugin.__module__}.{PasswordPlugin.__qualname__}"
        self._broker = _Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {plugin: {"users": self._users}},
            }
        )
        self._broker.writers = set()
        try:
            await self._broker.start()
        except (AMQTTError, BrokerError) as error:
            raise TransportError(f"the broker cannot listen on 127.0.0.1:{self.port}") from error
        server = self._broker._servers["default"].instance  # noqa: SLF001 - the only way to the port
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()
            for writer in broker.writers.copy():
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
