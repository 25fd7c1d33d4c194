"""The uplink on a memory broker: what is sent, in which order, and when it is deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from servers import until

from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint
from netwatch.agent.uplink.session_presence import start_session
from netwatch.agent.uplink.uplink import Uplink
from netwatch.aio.executor import SingleThreadExecutor
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Measurement, Vantage
from netwatch.wire.ack import ACKNOWLEDGEMENT, Ack
from netwatch.wire.batch_codec import unpack_batch
from netwatch.wire.memory import MemoryBroker, MemoryTransport
from netwatch.wire.presence_message import PRESENCE
from netwatch.wire.rate_advice import RATE_ADVICE, RateAdvice
from netwatch.wire.signing import Signer
from netwatch.wire.topics import ALL_BATCHES, ALL_PRESENCE, RATE_ADVICE_TOPIC, ack_topic

CREATED_AT = datetime(2026, 1, 8, tzinfo=UTC)


class UplinkRig:
    """An uplink, a spool, a broker, and a collector that the test controls."""

    def __init__(self, folder: Path) -> None:
        self.broker = MemoryBroker()
        self.executor = SingleThreadExecutor("test")
        self.spool = Spool(folder / "spool.sqlite", vantage=Vantage("a1"), created_at=CREATED_AT)
        self.uplink = Uplink(
            start_session("a1", self.spool, CREATED_AT),
            [Endpoint("memory", "", lambda will: MemoryTransport(self.broker, will=will))],
            spool=self.spool,
            executor=self.executor,
            pace=0.05,
        )
        self.received: list[int] = []
        self.presence: list[bytes] = []

    def fill(self, count: int) -> list[int]:
        for number in range(count):
            time = CREATED_AT + timedelta(seconds=number)
            row = Measurement("one", "tcp", time, None, "", host_responded=True, seconds=0.1)
            self.spool.append([row])
            self.spool.flush()
        return [batch.sequence for batch in self.spool.oldest(count)]

    @asynccontextmanager
    async def run(self) -> AsyncIterator[MemoryTransport]:
        async with MemoryTransport(self.broker) as collector:
            await collector.subscribe(ALL_BATCHES)
            await collector.subscribe(ALL_PRESENCE)
            tasks = [
                asyncio.ensure_future(part)
                for part in (self._receive(collector), self.uplink.run())
            ]
            try:
                yield collector
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, collector: MemoryTransport) -> None:
        async for message in collector.messages():
            if message.topic.endswith("/b"):
                self.received.append(unpack_batch(message.payload).sequence)
            else:
                self.presence.append(message.payload)

    async def acknowledge(
        self, collector: MemoryTransport, *sequences: int, **more: object
    ) -> None:
        signer = more.pop("signer", None)
        ack = Ack("a1", tuple((one, one) for one in sequences), **more)
        message = ACKNOWLEDGEMENT.pack(ack, signer)
        await collector.publish(ack_topic("a1"), message)


@pytest.fixture
def rig(tmp_path: Path) -> UplinkRig:
    return UplinkRig(tmp_path)


async def test_the_newest_is_sent_first_and_a_quarter_is_backlog(rig: UplinkRig) -> None:
    numbers = rig.fill(20)
    async with rig.run():
        await until(lambda: len(rig.received) >= 3)
        assert rig.received[0] == numbers[-1]
        assert rig.received[1:3] == numbers[:2]


async def test_the_window_limits_batches_in_flight(rig: UplinkRig) -> None:
    rig.fill(30)
    async with rig.run():
        await until(lambda: len(rig.received) >= 8)
        assert len(set(rig.received)) == 8


async def test_only_an_acknowledgement_deletes_batches(rig: UplinkRig) -> None:
    numbers = rig.fill(3)
    async with rig.run() as collector:
        await until(lambda: set(rig.received) == set(numbers))
        assert rig.spool.count_pending() == 3
        await rig.acknowledge(collector, *numbers[:2])
        await until(lambda: rig.spool.count_pending() == 1)


async def test_unacknowledged_batches_are_resent(rig: UplinkRig) -> None:
    (number,) = rig.fill(1)
    async with rig.run():
        await until(lambda: rig.received.count(number) >= 3)


async def test_a_refused_batch_is_not_resent(rig: UplinkRig) -> None:
    (number,) = rig.fill(1)
    async with rig.run() as collector:
        await until(lambda: number in rig.received)
        await rig.acknowledge(collector, refused=((number, "future"),))
        await until(lambda: rig.spool.state().refused == 1)
    assert rig.spool.count_pending() == 0


async def test_everything_is_sent_after_a_broker_outage(rig: UplinkRig) -> None:
    (first,) = rig.fill(1)
    async with rig.run():
        await until(lambda: first in rig.received)
        rig.broker.stop()
    rig.received.clear()
    rig.fill(3)
    rig.broker.start()
    async with rig.run():
        await until(lambda: len(set(rig.received)) == 4)


async def test_presence_is_published_on_connecting_and_on_exit(rig: UplinkRig) -> None:
    async with rig.run():
        await until(lambda: len(rig.presence) == 1)
    birth = PRESENCE.unpack(rig.presence[0])[0]
    left = PRESENCE.unpack(rig.broker.retained(ALL_PRESENCE)[0].payload)[0]
    assert (birth.state, left.state, left.reason) == ("up", "stop", "shutdown")
    assert birth.order == left.order
    assert birth.transport == "memory"
    assert birth.uptime > 0


async def test_a_forged_acknowledgement_deletes_nothing(rig: UplinkRig) -> None:
    """Once the collector has signed, a broker cannot forge acknowledgements."""
    numbers = rig.fill(2)
    signer, forger = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
    async with rig.run() as collector:
        await until(lambda: bool(rig.presence))
        await rig.acknowledge(collector, numbers[0], signer=signer)
        await until(lambda: rig.spool.count_pending() == 1)
        await rig.acknowledge(collector, numbers[1])
        await rig.acknowledge(collector, numbers[1], signer=forger)
        await collector.publish(ack_topic("a1"), b"garbage")
        await asyncio.sleep(0.2)
        assert rig.spool.count_pending() == 1
        await rig.acknowledge(collector, numbers[1], signer=signer)
        await until(lambda: rig.spool.count_pending() == 0)


async def test_only_the_collectors_rate_advice_is_applied(rig: UplinkRig) -> None:
    """Advice counts once an acknowledgement has shown the key; older advice is ignored."""
    (number,) = rig.fill(1)
    ours, forger = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))

    def advice(signer: Signer, milliseconds: int, rate: float = 1.0) -> bytes:
        return RATE_ADVICE.pack(RateAdvice(rate, 0.1, milliseconds), signer)

    async with rig.run() as collector:
        await collector.publish(RATE_ADVICE_TOPIC, advice(ours, 10), retain=True)
        await until(lambda: number in rig.received)
        assert rig.spool.get_meta("rate_advice") is None
        await rig.acknowledge(collector, number, signer=ours)
        await until(lambda: rig.spool.get_meta("rate_advice") == advice(ours, 10))
        for false in (
            advice(forger, 99),
            advice(ours, 9),
            RATE_ADVICE.pack(RateAdvice(9.0, 0, 99)),
            b"?",
        ):
            await collector.publish(RATE_ADVICE_TOPIC, false, retain=True)
        await collector.publish(RATE_ADVICE_TOPIC, advice(ours, 11, rate=2.0), retain=True)
        await until(lambda: rig.spool.get_meta("rate_advice") == advice(ours, 11, rate=2.0))
        assert rig.uplink._backlog.delay(monotonic()) <= 1 / (2.0 / 4)


async def test_a_failing_disk_does_not_stop_the_uplink(
    rig: UplinkRig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = rig.fill(2)
    async with rig.run() as collector:
        await until(lambda: set(rig.received) == set(numbers))
        with monkeypatch.context() as failing:

            def fail(*_: object) -> int:
                raise StoreError("disk is full")

            failing.setattr(rig.spool, "acknowledge", fail)
            await rig.acknowledge(collector, *numbers)
            await until(lambda: "disk is full" in caplog.text)
        assert rig.spool.count_pending() == 2
        await rig.acknowledge(collector, *numbers)
        await until(lambda: rig.spool.count_pending() == 0)
