"""An MQTT broker in this process, for a single machine and for tests: amqtt on 127.0.0.1.

It speaks MQTT 3.1.1 without shared subscriptions and keeps no state over a restart. That loses
no data, since agents resend unacknowledged batches. Use Mosquitto in production.
"""

import asyncio
import hmac
import logging
import struct
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import AMQTTError, BrokerError, MQTTError, NoDataError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session
from amqtt.utils import gen_client_id

from netwatch.model.errors import TransportError
from netwatch.wire.broker_connection import LimitedReader, LimitedWriter
from netwatch.wire.topics import FLEET_TOPICS, ack_topic, batch_topic, presence_topic

_MAX_CLIENTS, _MAX_WAITING = 192, 128
"""Connections with a password, and of those that have not shown one yet."""
_MAX_PATTERNS = 64
"""Patterns to which one connection subscribes in its life; the collector has four."""
_MAX_RETAINED, _MAX_RETAINED_BYTES = 20_000, 16 * 1024 * 1024
"""Retained messages and their bytes: the presence of 20,000 agents, and a list of targets."""
_MAX_UNDELIVERED = 500
"""Messages on their way to subscribers before those who send more must wait."""
_POLL_SECONDS = 0.01
_DEFECTS = (AttributeError, LookupError, TypeError, ValueError, struct.error)
"""What amqtt lets through, where bytes are no CONNECT."""
_REFUSED = 0x80
"""The return code of a refused subscription (MQTT 3.1.1, 3.9.3)."""
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


class _Broker(Broker):  # type: ignore[misc] # amqtt ships no types
    """amqtt's broker with bounds, rights, and a session for each connection.

    amqtt drops the session of a client as soon as another claims its name, without a password.
    Here a name means nothing: no connection ends, or takes over, another one.
    """

    def __init__(
        self, config: Mapping[str, object], *, owner: str, count: Callable[[str], None]
    ) -> None:
        super().__init__(dict(config))
        self._owner, self._count = owner, count
        self._retained_bytes = 0
        self.connections: dict[LimitedReader, asyncio.StreamWriter] = {}
        self._authenticated: set[LimitedReader] = set()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serve a connection, then close it."""
        limited = LimitedReader(reader)
        self._evict(self.connections.keys() - self._authenticated, _MAX_WAITING)
        self.connections[limited] = writer
        try:
            await self.external_connected(limited, LimitedWriter(writer), listener_name)
        except _DEFECTS:
            self._count("mqtt_malformed")
        except OSError:
            pass  # the client is gone
        finally:
            writer.close()
            self.connections.pop(limited, None)
            self._authenticated.discard(limited)

    def _evict(self, victims: Collection[LimitedReader], most: int) -> None:
        """Close the connection that was silent longest, if there are already so many."""
        if len(victims) >= most:
            victim = min(victims, key=lambda one: one.heard_at)
            self._count("mqtt_crowded")
            self._authenticated.discard(victim)
            self.connections.pop(victim).transport.abort()

    async def _initialize_client_session(
        self, reader: LimitedReader, writer: LimitedWriter, *_address: object
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Read CONNECT and check the password before anything else is done."""
        handler, session = await BrokerProtocolHandler.init_from_connect(
            reader, writer, self.plugins_manager
        )
        will = session.will_topic if session.will_flag else None
        may_enter = await self._authenticate(session, None) and (
            will is None or await self._topic_filtering(session, will, Action.PUBLISH)
        )
        if not may_enter:
            self._count("mqtt_refused")
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            raise MQTTError("not authorized")
        if reader not in self.connections:
            raise NoDataError("it gave way to another connection")
        self._evict(self._authenticated, _MAX_CLIENTS)
        self._authenticated.add(reader)
        reader.accept(session)
        session.keep_alive = 0  # amqtt only logs when it has passed
        session.client_id, session.clean_session, session.parent = gen_client_id(), True, 0
        return handler, session

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        """Allow the observatory everything, and an agent its own topics, as in Mosquitto's list."""
        user = session.username or ""
        if user == self._owner or action is Action.RECEIVE:
            return True
        if action is Action.PUBLISH:
            return topic in {batch_topic(user), presence_topic(user)}
        return topic.startswith((f"{ack_topic(user).rpartition('/')[0]}/", FLEET_TOPICS))

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        """Subscribe; refuse more patterns than any client of ours needs."""
        made = session.attributes["patterns"] = session.attributes.get("patterns", 0) + 1
        if {"+", "#"} & set(subscription[0]):
            session.attributes["receives_all"] = True
        if made > _MAX_PATTERNS:
            self._count("mqtt_subscriptions")
            return _REFUSED
        return int(await super().add_subscription(subscription, session))

    async def _handle_unsubscription(self, *arguments: object) -> None:
        """Unsubscribe; amqtt keeps patterns that nobody subscribes to."""
        await super()._handle_unsubscription(*arguments)
        for topic in [topic for topic, who in self._subscriptions.items() if not who]:
            del self._subscriptions[topic]

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Send what is retained to a subscriber; amqtt sends all of it to each new connection."""
        if any(one is session for one, _ in self._subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def retain_message(
        self, source: Session | None, topic: str, data: bytes | None, qos: int | None = None
    ) -> None:
        """Retain a message, if there is room."""
        old = self._retained_messages.get(topic)
        grown = len(data or b"") - (len(old.data) if old else 0)
        is_full = len(self._retained_messages) >= _MAX_RETAINED and old is None
        if data and (is_full or self._retained_bytes + grown > _MAX_RETAINED_BYTES):
            self._count("mqtt_retained")
            return
        self._retained_bytes += grown
        await super().retain_message(source, topic, data, qos)

    async def _handle_message_delivery(
        self, session: Session, handler: BrokerProtocolHandler, message: object
    ) -> bool:
        """Hand a message on when there is room; a collector must never wait with its own."""
        tasks = self._tasks_queue
        receives_all = session.attributes.get("receives_all")
        while len(tasks) > _MAX_UNDELIVERED and not receives_all:  # noqa: ASYNC110 - amqtt's queue
            await asyncio.sleep(_POLL_SECONDS)
        return bool(await super()._handle_message_delivery(session, handler, message))


class EmbeddedBroker:
    """Listens on 127.0.0.1 while its context is open.

    Args:
        users: passwords by user name; nobody gets in with an empty one. The first is the
            observatory's; any other is that of the agent with this name.
        port: the port; 0 takes a free one, which the attribute `port` then holds.
        count: called with the reason of each refusal: `mqtt_refused` (a wrong password),
            `mqtt_malformed`, `mqtt_crowded`, `mqtt_subscriptions`, `mqtt_retained`.
    """

    def __init__(
        self,
        *,
        users: Mapping[str, str],
        port: int = 0,
        count: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.port = port
        self._users, self._count = dict(users), count
        self._broker: _Broker | None = None

    async def __aenter__(self) -> Self:
        plugin = f"{PasswordPlugin.__module__}.{PasswordPlugin.__qualname__}"
        self._broker = _Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {plugin: {"users": self._users}},
            },
            owner=next(iter(self._users), ""),
            count=self._count,
        )
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
            for writer in list(broker.connections.values()):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
