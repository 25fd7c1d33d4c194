"""Every transport fulfils `netwatch.protocols.Transport`, on real brokers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from servers import PASSWORD, USERNAME, free_port, mosquitto

from netwatch.model.errors import TransportError
from netwatch.protocols import Message, Transport
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.memory import MemoryBroker, MemoryTransport
from netwatch.wire.mqtt import MqttSession, MqttTransport


@dataclass
class BrokerRig:
    """A broker: how to connect to it, how to stop it, and its port, if it has one."""

    make: Callable[..., Transport]
    stop: Callable[[], object]
    port: int = 0


def mqtt_transport(
    port: int, password: str = PASSWORD, will: Message | None = None, **more: object
) -> Transport:
    return MqttTransport(
        host="127.0.0.1",
        port=port,
        username=USERNAME,
        password=password,
        will=will,
        timeout=5,
        **more,
    )


@asynccontextmanager
async def memory_broker(_: Path) -> AsyncIterator[BrokerRig]:
    broker = MemoryBroker()
    yield BrokerRig(lambda will=None: MemoryTransport(broker, will=will), broker.stop)


@asynccontextmanager
async def embedded_broker(_: Path) -> AsyncIterator[BrokerRig]:
    broker = EmbeddedBroker(users={USERNAME: PASSWORD})
    async with broker:
        yield BrokerRig(
            lambda will=None: mqtt_transport(broker.port, will=will),
            lambda: broker.__aexit__(None, None, None),
            broker.port,
        )


@asynccontextmanager
async def mosquitto_broker(
    folder: Path, *, web: int = 0, session: Callable[[], MqttSession | None] = lambda: None
) -> AsyncIterator[BrokerRig]:
    listener = f"listener {web} 127.0.0.1\nprotocol websockets\n" if web else ""
    server = mosquitto(folder, extra=listener, also=(web,) if web else ())
    port = await asyncio.to_thread(server.__enter__)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            server.__exit__(None, None, None)

    try:
        yield BrokerRig(
            lambda will=None: mqtt_transport(
                web or port, will=will, path="/mqtt" if web else "", session=session()
            ),
            lambda: asyncio.to_thread(stop),
            port,
        )
    finally:
        await asyncio.to_thread(stop)


def websocket_broker(folder: Path) -> AbstractAsyncContextManager[BrokerRig]:
    return mosquitto_broker(folder, web=free_port())


def session_broker(folder: Path) -> AbstractAsyncContextManager[BrokerRig]:
    """MQTT 5, each transport with its own session."""
    numbers = count()
    return mosquitto_broker(folder, session=lambda: MqttSession(f"a{next(numbers)}"))


BROKERS = {
    "memory": memory_broker,
    "embedded": embedded_broker,
    "mosquitto": mosquitto_broker,
    "websocket": websocket_broker,
    "session": session_broker,
}
"""Without HTTPS, which connects to the collector instead of a broker."""


@pytest.fixture(params=BROKERS)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BrokerRig]:
    async with BROKERS[request.param](tmp_path) as rig:
        yield rig


async def receive(transport: Transport, count: int) -> list[Message]:
    received: list[Message] = []
    async with asyncio.timeout(10):
        async for message in transport.messages():
            received.append(message)
            if len(received) == count:
                break
    return received


async def test_messages_reach_subscribers_in_order(broker: BrokerRig) -> None:
    async with broker.make() as sender, broker.make() as receiver:
        await receiver.subscribe("nw/v1/a/+/b")
        await sender.publish("nw/v1/a/one/p", b"not subscribed")
        for number in range(20):
            await sender.publish("nw/v1/a/one/b", b"%d" % number)
        received = await receive(receiver, 20)
    assert [message.payload for message in received] == [b"%d" % number for number in range(20)]
    assert {message.topic for message in received} == {"nw/v1/a/one/b"}
    assert not any(message.retained for message in received)


async def test_a_hash_matches_all_lower_levels(broker: BrokerRig) -> None:
    async with broker.make() as sender, broker.make() as receiver:
        await receiver.subscribe("nw/v1/a/one/in/#")
        await sender.publish("nw/v1/a/one/in/ack", b"yes")
        assert await receive(receiver, 1) == [Message("nw/v1/a/one/in/ack", b"yes")]


async def test_a_late_subscriber_receives_retained_messages(broker: BrokerRig) -> None:
    async with broker.make() as sender, broker.make() as receiver:
        await sender.publish("nw/v1/a/one/p", b"up", retain=True)
        await receiver.subscribe("nw/v1/a/+/p")
        assert await receive(receiver, 1) == [Message("nw/v1/a/one/p", b"up", retained=True)]


async def test_the_largest_message_and_all_byte_values_are_delivered(broker: BrokerRig) -> None:
    payload = bytes(range(256)) * 256
    async with broker.make() as sender, broker.make() as receiver:
        await receiver.subscribe("nw/v1/a/+/b")
        await sender.publish("nw/v1/a/one/b", payload)
        assert (await receive(receiver, 1))[0].payload == payload


async def test_a_stopped_broker_is_a_transport_error(broker: BrokerRig) -> None:
    async with broker.make() as transport:
        await transport.subscribe("nw/v1/a/+/b")
        waiting = asyncio.ensure_future(receive(transport, 1))
        await asyncio.sleep(0)
        result = broker.stop()
        if asyncio.iscoroutine(result):
            await result
        with pytest.raises(TransportError):
            await waiting
        with pytest.raises(TransportError):
            await transport.publish("nw/v1/a/one/b", b"too late")
    with pytest.raises(TransportError):
        async with broker.make():
            pass


async def test_a_closed_transport_raises(broker: BrokerRig) -> None:
    async with broker.make() as transport:
        pass
    with pytest.raises(TransportError):
        await transport.publish("nw/v1/a/one/b", b"")
    with pytest.raises(TransportError):
        await transport.subscribe("nw/v1/a/+/b")


async def test_a_closed_port_gives_a_one_line_error() -> None:
    port = free_port()
    with pytest.raises(TransportError, match=f"cannot reach broker 127.0.0.1:{port}") as caught:
        async with mqtt_transport(port):
            pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
async def test_a_wrong_password_is_refused(kind: str, tmp_path: Path) -> None:
    async with BROKERS[kind](tmp_path) as broker:
        async with broker.make():
            pass
        with pytest.raises(TransportError):
            async with mqtt_transport(broker.port, password="wrong"):
                pass


async def test_memory_delivers_the_will_of_a_broken_transport() -> None:
    broker = MemoryBroker()
    will = Message("nw/v1/a/one/p", b"lost", retained=True)
    async with MemoryTransport(broker, will=will):
        broker.stop()
    broker.start()
    assert broker.retained("#") == [will]
    async with MemoryTransport(broker, will=will) as transport:
        await transport.publish("nw/v1/a/one/p", b"stop", retain=True)
    assert broker.retained("#")[0].payload == b"stop"
