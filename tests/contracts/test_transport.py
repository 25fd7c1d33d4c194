"""Every link keeps the promises of `netwatch.protocols.Transport`, on real brokers."""

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
class Place:
    """A broker: how to link to it, and how to take it away."""

    link: Callable[..., Transport]
    stop: Callable[[], object]


def mqtt_link(
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
async def memory_place(_: Path) -> AsyncIterator[Place]:
    broker = MemoryBroker()
    yield Place(lambda will=None: MemoryTransport(broker, will=will), broker.stop)


@asynccontextmanager
async def embedded_place(_: Path) -> AsyncIterator[Place]:
    broker = EmbeddedBroker(users={USERNAME: PASSWORD})
    async with broker:
        yield Place(
            lambda will=None: mqtt_link(broker.port, will=will),
            lambda: broker.__aexit__(None, None, None),
        )


@asynccontextmanager
async def mosquitto_place(
    folder: Path, *, web: int = 0, session: Callable[[], MqttSession | None] = lambda: None
) -> AsyncIterator[Place]:
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
        yield Place(
            lambda will=None: mqtt_link(
                web or port, will=will, path="/mqtt" if web else "", session=session()
            ),
            lambda: asyncio.to_thread(stop),
        )
    finally:
        await asyncio.to_thread(stop)


def websocket_place(folder: Path) -> AbstractAsyncContextManager[Place]:
    return mosquitto_place(folder, web=free_port())


def session_place(folder: Path) -> AbstractAsyncContextManager[Place]:
    """MQTT 5, each link with a session of its own."""
    numbers = count()
    return mosquitto_place(folder, session=lambda: MqttSession(f"a{next(numbers)}"))


PLACES = {
    "memory": memory_place,
    "embedded": embedded_place,
    "mosquitto": mosquitto_place,
    "websocket": websocket_place,
    "session": session_place,
}
"""HTTPS is no place of its own: what it carries goes to the collector alone, see its doors."""


@pytest.fixture(params=PLACES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with PLACES[request.param](tmp_path) as found:
        yield found


async def take(link: Transport, count: int) -> list[Message]:
    found: list[Message] = []
    async with asyncio.timeout(10):
        async for message in link.messages():
            found.append(message)
            if len(found) == count:
                break
    return found


async def test_messages_reach_who_asked_for_them_in_order(place: Place) -> None:
    async with place.link() as sender, place.link() as receiver:
        await receiver.subscribe("nw/v1/a/+/b")
        await sender.publish("nw/v1/a/one/p", b"not asked for")
        for number in range(20):
            await sender.publish("nw/v1/a/one/b", b"%d" % number)
        found = await take(receiver, 20)
    assert [message.payload for message in found] == [b"%d" % number for number in range(20)]
    assert {message.topic for message in found} == {"nw/v1/a/one/b"}
    assert not any(message.retained for message in found)


async def test_a_hash_matches_all_below(place: Place) -> None:
    async with place.link() as sender, place.link() as receiver:
        await receiver.subscribe("nw/v1/a/one/in/#")
        await sender.publish("nw/v1/a/one/in/ack", b"yes")
        assert await take(receiver, 1) == [Message("nw/v1/a/one/in/ack", b"yes")]


async def test_a_late_subscriber_gets_what_is_retained(place: Place) -> None:
    async with place.link() as sender, place.link() as receiver:
        await sender.publish("nw/v1/a/one/p", b"up", retain=True)
        await receiver.subscribe("nw/v1/a/+/p")
        assert await take(receiver, 1) == [Message("nw/v1/a/one/p", b"up", retained=True)]


async def test_the_largest_message_and_all_bytes_pass(place: Place) -> None:
    payload = bytes(range(256)) * 256
    async with place.link() as sender, place.link() as receiver:
        await receiver.subscribe("nw/v1/a/+/b")
        await sender.publish("nw/v1/a/one/b", payload)
        assert (await take(receiver, 1))[0].payload == payload


async def test_a_broker_that_goes_away_is_a_link_error(place: Place) -> None:
    async with place.link() as link:
        await link.subscribe("nw/v1/a/+/b")
        waiting = asyncio.ensure_future(take(link, 1))
        await asyncio.sleep(0)
        result = place.stop()
        if asyncio.iscoroutine(result):
            await result
        with pytest.raises(TransportError):
            await waiting
        with pytest.raises(TransportError):
            await link.publish("nw/v1/a/one/b", b"too late")
    with pytest.raises(TransportError):
        async with place.link():
            pass


async def test_a_closed_link_is_of_no_more_use(place: Place) -> None:
    async with place.link() as link:
        pass
    with pytest.raises(TransportError):
        await link.publish("nw/v1/a/one/b", b"")
    with pytest.raises(TransportError):
        await link.subscribe("nw/v1/a/+/b")


async def test_nobody_listening_is_one_clear_line() -> None:
    port = free_port()
    with pytest.raises(TransportError, match=f"cannot reach broker 127.0.0.1:{port}") as caught:
        async with mqtt_link(port):
            pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
async def test_a_wrong_password_is_refused(kind: str, tmp_path: Path) -> None:
    async with PLACES[kind](tmp_path) as place:
        async with place.link() as good:
            assert isinstance(good, MqttTransport)
            port = good._address[1]
        with pytest.raises(TransportError):
            async with mqtt_link(port, password="wrong"):
                pass


async def test_memory_sends_the_will_of_a_broken_link() -> None:
    broker = MemoryBroker()
    will = Message("nw/v1/a/one/p", b"lost", retained=True)
    async with MemoryTransport(broker, will=will):
        broker.stop()
    broker.start()
    assert broker.retained("#") == [will]
    async with MemoryTransport(broker, will=will) as link:
        await link.publish("nw/v1/a/one/p", b"stop", retain=True)
    assert broker.retained("#")[0].payload == b"stop"
