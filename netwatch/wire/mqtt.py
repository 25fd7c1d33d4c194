"""A link over MQTT, by aiomqtt, which is used in this file only.

Without a session it speaks MQTT 3.1.1 as a guest whom the broker forgets. With one it speaks
MQTT 5: the broker keeps what comes for us while we are away, and waits before it sends our
will, so that who reconnects at once was never lost.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from types import TracebackType
from typing import Literal, Self, TypeVar

from netwatch.model.errors import TransportError
from netwatch.protocols import Message
from netwatch.wire.light_imports import PacketTypes, Properties, ReasonCode, aiomqtt, paho

_WAITING = 10_000
"""Messages held in memory while the receiver is busy; beyond, they come again later."""
_RECEIVE_MAXIMUM = 16
_T = TypeVar("_T")
_REFUSED = 0x80
"""Reason codes from here on say no (MQTT 5, 2.4)."""
_log = logging.getLogger("netwatch.wire.mqtt")
# paho tells of each packet and aiomqtt of each busy moment; neither is of use to a reader.
_quiet = logging.getLogger("netwatch.wire.mqtt.client")
_quiet.setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class MqttSession:
    """What an MQTT 5 broker remembers of us.

    Attributes:
        client: the name of the session; whoever connects with it takes it over.
        expiry: seconds that it outlives a connection.
        will_delay: seconds that the broker waits for us before it sends our will.
    """

    client: str
    expiry: int = 900
    will_delay: int = 45


class _Client(aiomqtt.Client):
    """aiomqtt's client, which would wait its whole patience for a broker that has hung up."""

    def _on_disconnect(  # noqa: PLR0917 - paho's own signature
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        """Take a connection that ends before the broker's welcome for what it is."""
        if self._connected.cancelled():
            return
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("the broker hung up"))
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        if self._disconnected.done() and not self._disconnected.cancelled():
            # Looked at once, it is not complained about when nobody looks again.
            self._disconnected.exception()

    async def unless_cut(self, call: Coroutine[None, None, _T]) -> _T:
        """Return what `call` returns, or raise MqttError as soon as the connection ends."""
        task = asyncio.ensure_future(call)
        try:
            await asyncio.wait((task, self._disconnected), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise aiomqtt.MqttError("the broker hung up")
            return task.result()
        finally:
            task.cancel()


class MqttTransport:
    """A connection to an MQTT broker; see `netwatch.protocols.Transport`.

    Args:
        host, port: where the broker is.
        username, password: how we are known there.
        tls: use TLS; True trusts the system's authorities.
        path: where the broker's WebSocket is, empty for plain MQTT.
        session: what the broker remembers, None for nothing and MQTT 3.1.1.
        will: what the broker says for us when we vanish.
        timeout: seconds to wait for the broker's answer to anything.
        keepalive: seconds of silence after which either side looks for the other.
    """

    def __init__(  # noqa: PLR0913 - what MQTT needs; all but the host by name
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
        self._place = f"{host}:{port}"
        self._context = ssl.create_default_context() if tls is True else tls or None
        self._address, self._account = (host, port), (username or None, password or None)
        self._path, self._session = path, session
        self._will = will
        self._timeout, self._keepalive = timeout, keepalive
        self._client: _Client | None = None

    async def __aenter__(self) -> Self:
        with self._translated("reach"):
            client = self._make_client()
            try:
                await client.__aenter__()
            except aiomqtt.MqttError as error:
                _close_sockets(error)
                raise
        self._client = client
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            await client.__aexit__(kind, error, trace)
        except (aiomqtt.MqttError, OSError) as broken:
            _log.debug("leaving %s: %s", self._place, broken)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1 and wait for the broker's receipt."""
        with self._translated("publish to"):
            client = self._connected()
            await client.unless_cut(client.publish(topic, payload, qos=1, retain=retain))

    async def subscribe(self, pattern: str) -> None:
        """Subscribe at QoS 1."""
        with self._translated("subscribe at"):
            client = self._connected()
            answers = await client.unless_cut(client.subscribe(pattern, qos=1))
        for answer in answers:
            if (answer if isinstance(answer, int) else answer.value) >= _REFUSED:
                raise TransportError(f"broker {self._place} refuses to send us {pattern}")

    async def messages(self) -> AsyncIterator[Message]:
        """Yield messages in the order in which they came."""
        with self._translated("hear from"):
            async for message in self._connected().messages:
                payload = message.payload
                if isinstance(payload, bytes | bytearray):
                    yield Message(str(message.topic), bytes(payload), retained=message.retain)

    def _make_client(self) -> _Client:
        """Build the client; it binds itself to the running loop."""
        username, password = self._account
        session = self._session
        transport: Literal["tcp", "websockets"] = "websockets" if self._path else "tcp"
        return _Client(
            *self._address,
            username=username,
            password=password,
            tls_context=self._context,
            transport=transport,
            websocket_path=self._path or None,
            identifier=session.client if session else None,
            protocol=aiomqtt.ProtocolVersion.V5 if session else aiomqtt.ProtocolVersion.V311,
            clean_start=False if session else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=_properties(session) if session else None,
            will=self._make_will(),
            timeout=self._timeout,
            keepalive=self._keepalive,
            max_queued_incoming_messages=_WAITING,
            logger=_quiet,
        )

    def _make_will(self) -> aiomqtt.Will | None:
        """Return the will as aiomqtt wants it."""
        will = self._will
        if will is None:
            return None
        delay = None
        if self._session is not None:
            delay = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call] # paho's
            delay.WillDelayInterval = self._session.will_delay
        return aiomqtt.Will(will.topic, will.payload, 1, will.retained, delay)

    def _connected(self) -> _Client:
        """Return the client, or raise LinkError where there is none."""
        if self._client is None:
            raise TransportError(f"not connected to broker {self._place}")
        return self._client

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        """Turn what aiomqtt, paho and the socket raise into one LinkError."""
        try:
            yield
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise TransportError(f"cannot {verb} broker {self._place}: {reason}") from error


def _close_sockets(error: BaseException) -> None:
    """Close the sockets that paho leaves open where a TLS or WebSocket handshake failed."""
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in walk_tb(cause.__traceback__):
            for value in list(frame.f_locals.values()):
                if isinstance(value, socket.socket):
                    value.close()
        cause = cause.__context__


def _properties(session: MqttSession) -> Properties:
    """Return what the broker is asked for when the session begins."""
    wanted = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
    wanted.SessionExpiryInterval = session.expiry
    wanted.ReceiveMaximum = _RECEIVE_MAXIMUM
    return wanted
