"""The embedded broker against clients that hold, flood, or pretend to be others."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
import pytest
from hostile_clients import drip, exchange, holding
from servers import PASSWORD, USERNAME, until

from netwatch.model.errors import TransportError
from netwatch.wire import broker_connection, embedded_broker
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.mqtt import MqttTransport
from netwatch.wire.topics import ALL_BATCHES, ack_topic, batch_topic, presence_topic

USERS = {USERNAME: PASSWORD, "a1": "one", "a2": "two"}


@asynccontextmanager
async def broker() -> AsyncIterator[tuple[int, Counter[str]]]:
    counted: Counter[str] = Counter()
    running = EmbeddedBroker(users=USERS, count=lambda reason: counted.update([reason]))
    async with running:
        yield running.port, counted


def client(port: int, user: str = USERNAME, **more: object) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", port, username=user, password=USERS[user], timeout=10, **more
    )


def connect_packet(
    name: bytes, user: bytes = b"", password: bytes = b"", keepalive: int = 0
) -> bytes:
    fields = [name, *([user, password] if user else [])]
    body = b"\x00\x04MQTT\x04" + bytes([0xC2 if user else 0x02]) + keepalive.to_bytes(2, "big")
    body += b"".join(len(one).to_bytes(2, "big") + one for one in fields)
    return b"\x10" + bytes([len(body)]) + body


OURS = connect_packet(b"x", USERNAME.encode(), PASSWORD.encode())


async def payload(receiver: aiomqtt.Client, wanted: bytes) -> None:
    """Wait for a message, among others."""
    async for message in receiver.messages:
        if message.payload == wanted:
            return


async def works(port: int) -> None:
    """A batch reaches the collector, and its acknowledgement the agent, in time."""
    async with asyncio.timeout(15), client(port) as collector, client(port, "a1") as agent:
        await collector.subscribe(ALL_BATCHES, qos=1)
        await agent.subscribe(ack_topic("a1"), qos=1)
        await agent.publish(batch_topic("a1"), b"batch", qos=1)
        await payload(collector, b"batch")
        await collector.publish(ack_topic("a1"), b"ack", qos=1)
        await payload(agent, b"ack")


@pytest.mark.slow
@pytest.mark.parametrize("start", [b"", b"\x10", b"\x10\xff", connect_packet(b"x")[:-1], OURS])
async def test_slow_connections_shut_nobody_out(start: bytes) -> None:
    """600 before CONNECT, in the middle of it, and after it, each insisting."""
    async with broker() as (port, counted):
        async with holding(lambda port: drip(port, start, b""), port, count=600, again=5):
            for _ in range(3):
                await works(port)
        assert counted["mqtt_crowded"] > 100


async def test_silence_ends_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_connection, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(broker_connection, "MAX_IDLE_SECONDS", 0.3)
    giant = connect_packet(b"x", USERNAME.encode(), PASSWORD.encode(), keepalive=65535)
    async with broker() as (port, _):
        for start in (b"", b"\x10", OURS, giant, OURS + b"\x30\x80\x80\x01ab"):
            async with asyncio.timeout(5):
                await drip(port, start, b"")


async def test_a_packet_that_is_too_large_ends_its_connection() -> None:
    async with broker() as (port, _):
        async with asyncio.timeout(5):
            await drip(port, OURS + b"\x30\xff\xff\xff\x7f\x00\x01x" + b"\xc0\x00" * 100, b"")
        await works(port)


async def test_malformed_connects_end_quietly(caplog: pytest.LogCaptureFixture) -> None:
    good = connect_packet(b"name", b"user", b"password")
    shapes = [good[:cut] for cut in range(1, len(good))]
    for place in range(2, len(good)):
        shapes.append(good[:place] + b"\xff" + good[place + 1 :])
        shapes.append(good[:place] + b"\x00" + good[place + 1 :])
    async with broker() as (port, _):
        for shape in shapes:
            end = socket.create_connection(("127.0.0.1", port))
            end.sendall(shape)
            end.shutdown(socket.SHUT_WR)
            end.close()
        await works(port)
    assert not [one for one in caplog.records if one.exc_info]


async def test_nobody_disconnects_another_by_its_name() -> None:
    """With the same client id, without a password and with one's own."""
    async with broker() as (port, counted):
        async with client(port, identifier="collector") as ours:
            await ours.subscribe(ALL_BATCHES, qos=1)
            await exchange(port, connect_packet(b"collector"), seconds=1)
            await exchange(port, connect_packet(b"collector", USERNAME.encode(), b"?"), seconds=1)
            async with client(port, "a1", identifier="collector") as other:
                await other.publish(batch_topic("a1"), b"still there", qos=1)
                async with asyncio.timeout(5):
                    assert (await anext(aiter(ours.messages))).payload == b"still there"
        assert counted["mqtt_refused"] == 2


async def test_an_agent_speaks_and_hears_for_itself_alone() -> None:
    async with broker() as (port, counted):
        async with client(port) as collector, client(port, "a1") as agent:
            await collector.subscribe("nw/#", qos=1)
            await collector.publish(presence_topic("a2"), b"private", qos=1, retain=True)
            for pattern in ("#", "nw/#", ALL_BATCHES, ack_topic("a2"), "nw/v1/a/+/in/#", "$SYS/#"):
                [code] = await agent.subscribe(pattern, qos=1)
                assert code == 0x80, pattern
            await agent.subscribe("nw/v1/fleet/#", qos=1)
            for topic in (
                batch_topic("a2"),
                presence_topic("a2"),
                ack_topic("a1"),
                "nw/v1/fleet/rate",
            ):
                await agent.publish(topic, b"forged", qos=1)
            await agent.publish(batch_topic("a1"), b"own", qos=1)
            seen = []
            async with asyncio.timeout(5):
                async for message in collector.messages:
                    seen.append(message.payload)
                    if message.payload == b"own":
                        break
            assert seen == [b"private", b"own"]
            assert len(agent.messages) == 0
        will = aiomqtt.Will(presence_topic("a2"), b"gone", qos=1, retain=True)
        with pytest.raises(aiomqtt.MqttError):
            async with client(port, "a1", will=will):
                pass
        assert counted["mqtt_refused"] == 1


async def test_floods_of_subscriptions_and_retained_messages_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded_broker, "_MAX_RETAINED", 10)
    monkeypatch.setattr(embedded_broker, "_MAX_RETAINED_BYTES", 5000)
    running = EmbeddedBroker(users=USERS)
    async with running:
        async with client(running.port) as flooder:
            for number in range(100):
                await flooder.subscribe(f"t/{number}")
            for number in range(50):
                await flooder.publish(
                    f"r/{number}", b"x" * (1000 if number % 2 else 10), retain=True
                )
            await flooder.publish("r/end", b"x", qos=1)
            inner = running._broker
            assert inner is not None
            await until(inner._broadcast_queue.empty)
            assert len(inner._subscriptions) == 64
            assert len(inner._retained_messages) <= 10
            assert sum(len(one.data) for one in inner._retained_messages.values()) <= 5000
            await flooder.unsubscribe([f"t/{number}" for number in range(64)])
            assert inner._subscriptions == {}
        await works(running.port)


async def test_a_flood_of_one_agent_neither_piles_up_nor_starves_another() -> None:
    topic = batch_topic("a2").encode()
    body = len(topic).to_bytes(2, "big") + topic + b"x" * 60_000
    length = bytes([len(body) & 127 | 128, (len(body) >> 7) & 127 | 128, len(body) >> 14])
    packets = connect_packet(b"x", b"a2", b"two") + (b"\x30" + length + body) * 300
    running = EmbeddedBroker(users=USERS)
    async with running:
        inner = running._broker
        assert inner is not None
        floods = [asyncio.ensure_future(exchange(running.port, packets)) for _ in range(3)]
        for _ in range(3):
            await works(running.port)
            assert inner._broadcast_queue.qsize() + len(inner._tasks_queue) < 1000
        for flood in floods:
            flood.cancel()
        await asyncio.gather(*floods, return_exceptions=True)


async def test_a_wrong_password_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with broker() as (port, _):
        wrong = MqttTransport(host="127.0.0.1", port=port, username=USERNAME, password="x")
        with pytest.raises(TransportError):
            await wrong.__aenter__()
    assert not [one for one in caplog.records if one.name.startswith("amqtt")]
