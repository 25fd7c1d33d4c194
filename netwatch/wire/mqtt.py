"""A transport over MQTT, with aiomqtt, which only this file uses.

Without a session it speaks MQTT 3.1.1 and the broker keeps no state. With one it speaks MQTT 5:
the broker queues messages while the client is away and delays its will, so that a client that
reconnects at once does not count as lost.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from traceback import walk_tb
from typing import Self, TypeVar

from netwatch.model.errors import TransportError, one_line
from netwatch.protocols import Message
from netwatch.wire._light_imports import PacketTypes, Properties, ReasonCode, aiomqtt, paho

_MAX_QUEUED_BYTES = 32 * 1024 * 1024
"""Bytes of received messages in memory, thousands of batches; agents send again what is lost."""
_MESSAGE_OVERHEAD = 1024
"""Bytes in memory of a message without its payload."""
_MAX_PAYLOAD = 256 * 1024
"""Bytes of the largest payload that any format has, a target list's; larger ones are ignored."""
_MAX_PACKET = 8 * 1024 * 1024
"""Bytes of the largest packet that is read at all. The protocol allows 256 MB."""
_RECEIVE_MAXIMUM = 16
"""Unacknowledged messages that an MQTT 5 broker may send at once."""
_FAILURE = 0x80
"""Reason codes from here on are failures (MQTT 5, 2.4)."""
_T = TypeVar("_T")
_log = logging.getLogger("netwatch.wire.mqtt")
# paho logs every packet, aiomqtt every full queue.
_client_log = logging.getLogger("netwatch.wire.mqtt.client")
_client_log.setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class MqttSession:
    """The state that an MQTT 5 broker keeps for a client.

    Attributes:
        client_id: the session's name; a new connection with it takes the session over.
        expiry: seconds that the session outlives a connection.
        will_delay: seconds between a broken connection and its will.
    """

    client_id: str
    expiry: int = 900
    will_delay: int = 45


class _BoundedQueue(asyncio.Queue["aiomqtt.Message"]):
    """A queue that is full by the bytes of its messages."""

    _bytes = 0

    def full(self) -> bool:
        return self._bytes >= _MAX_QUEUED_BYTES

    def _put(self, item: "aiomqtt.Message") -> None:
        self._bytes += _size(item)
        super()._put(item)

    def _get(self) -> "aiomqtt.Message":
        item = super()._get()
        self._bytes -= _size(item)
        return item


def _size(message: "aiomqtt.Message") -> int:
    return _MESSAGE_OVERHEAD + len(message.payload)


class _Client(aiomqtt.Client):
    """An aiomqtt client that notices at once when the broker disconnects.

    No message ends it: one that is invalid or too large is ignored.
    """

    def _on_message(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        if len(message.payload) > _MAX_PAYLOAD:
            _log.warning("a message of %d bytes is ignored", len(message.payload))
            return
        try:
            super()._on_message(client, userdata, message)
        except ValueError as error:  # such as a topic that is not UTF-8
            _log.warning("an invalid message is ignored: %s", one_line(error))

    def limit_packets(self) -> None:
        """Disconnect from a broker that sends a larger packet than is ever needed."""
        client = self._client
        receive = client._sock_recv  # noqa: SLF001 - paho has no limit

        def receive_limited(size: int) -> bytes:
            if client._in_packet["to_process"] > _MAX_PACKET:  # noqa: SLF001 - it has no limit
                raise aiomqtt.MqttError("the broker sends a packet that is too large")
            return receive(size)

        vars(client)["_sock_recv"] = receive_limited

    def _on_disconnect(  # noqa: PLR0917 - paho's own signature
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        """Fail a connection attempt that ends before CONNACK, without waiting for the timeout."""
        if self._connected.cancelled():
            return
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("the broker disconnected"))
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # else asyncio logs it as never retrieved

    async def run_while_connected(self, call: Coroutine[None, None, _T]) -> _T:
        """Return the result of `call`, or raise MqttError as soon as the connection ends."""
        task = asyncio.ensure_future(call)
        try:
            await asyncio.wait((task, self._disconnected), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise aiomqtt.MqttError("the broker disconnected")
            return task.result()
        finally:
            task.cancel()


class MqttTransport:
    """A connection to an MQTT broker; see `netwatch.protocols.Transport`.

    Args:
        host, port: the broker's address.
        username, password: the account.
        tls: whether to use TLS; True trusts the system's authorities.
        path: path of the broker's WebSocket, empty for plain MQTT.
        session: the session that the broker keeps; None is MQTT 3.1.1 without one.
        will: the message that the broker publishes when the connection breaks.
        timeout: seconds to wait for the broker's response to anything.
        keepalive: seconds of silence after which either side checks the other.
    """

    def __init__(  # noqa: PLR0913 - the settings of an MQTT connection
        self,
        *,
        host: str,
        port: int = 1883,
        username: str = "",
        password: str = "",
        tls: bool | ssl.SSLContext = False,
        path: str = "",
        session: MqttSession | None = None,
        will: Message | None = None,
        timeout: float = 10.0,
        keepalive: int = 30,
    ) -> None:
        self._broker = f"{host}:{port}"
        self._client: _Client | None = None
        # Called on connecting: aiomqtt's client binds itself to the running loop.
        self._make_client = partial(
            _Client,
            host,
            port,
            username=username or None,
            password=password or None,
            tls_context=ssl.create_default_context() if tls is True else tls or None,
            transport="websockets" if path else "tcp",
            websocket_path=path or None,
            identifier=session.client_id if session else None,
            protocol=aiomqtt.ProtocolVersion.V5 if session else aiomqtt.ProtocolVersion.V311,
            clean_start=False if session else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=_connect_properties(session) if session else None,
            will=_make_will(will, session) if will else None,
            timeout=timeout,
            keepalive=keepalive,
            queue_type=_BoundedQueue,
            logger=_client_log,
        )

    async def __aenter__(self) -> Self:
        with self._translate_errors("reach"):
            client = self._make_client()
            client.limit_packets()
            try:
                await client.__aenter__()
            except aiomqtt.MqttError as error:
                _close_sockets(error)
                raise
        self._client = client
        return self

    async def __aexit__(self, *_: object) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            await client.__aexit__(None, None, None)
        except (aiomqtt.MqttError, OSError) as broken:
            _log.debug("disconnecting from %s: %s", self._broker, broken)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1 and wait for the broker's PUBACK."""
        with self._translate_errors("publish to"):
            client = self._connected()
            await client.run_while_connected(client.publish(topic, payload, qos=1, retain=retain))

    async def subscribe(self, pattern: str) -> None:
        """Subscribe at QoS 1."""
        with self._translate_errors("subscribe at"):
            client = self._connected()
            answers = await client.run_while_connected(client.subscribe(pattern, qos=1))
        for answer in answers:
            if (answer if isinstance(answer, int) else answer.value) >= _FAILURE:
                raise TransportError(f"broker {self._broker} refuses the subscription {pattern}")

    async def messages(self) -> AsyncIterator[Message]:
        """Yield messages in order of arrival."""
        with self._translate_errors("receive from"):
            async for message in self._connected().messages:
                payload = message.payload
                if isinstance(payload, bytes | bytearray):
                    yield Message(str(message.topic), bytes(payload), retained=message.retain)

    def _connected(self) -> _Client:
        if self._client is None:
            raise TransportError(f"not connected to broker {self._broker}")
        return self._client

    @contextmanager
    def _translate_errors(self, verb: str) -> Iterator[None]:
        """Raise every error of aiomqtt, paho and the socket as a TransportError."""
        try:
            yield
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            text = f"cannot {verb} broker {self._broker}: {one_line(error)}"
            raise TransportError(text) from error


def _close_sockets(error: BaseException) -> None:
    """Close the sockets that paho leaves open after a failed TLS or WebSocket handshake."""
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in walk_tb(cause.__traceback__):
            for value in list(frame.f_locals.values()):
                if isinstance(value, socket.socket):
                    value.close()
        cause = cause.__context__


def _make_will(will: Message, session: MqttSession | None) -> aiomqtt.Will:
    delay = None
    if session is not None:
        delay = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call] # paho's
        delay.WillDelayInterval = session.will_delay
    return aiomqtt.Will(will.topic, will.payload, 1, will.retained, delay)


def _connect_properties(session: MqttSession) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
    properties.SessionExpiryInterval = session.expiry
    properties.ReceiveMaximum = _RECEIVE_MAXIMUM
    return properties
