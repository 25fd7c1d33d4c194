import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers import until

from netwatch.aio.tasks import cancel_and_wait
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.errors import StoreError
from netwatch.model.incident import Post
from netwatch.protocols import Channel, Delivery, OutboxState
from netwatch.publish.channels.console import ConsoleChannel
from netwatch.publish.outbox import OutboxSender

NOW = datetime(2019, 11, 17, 6, 30, tzinfo=UTC)


class Scripted:
    """A channel that returns given results in turn and records the posts it accepted."""

    name = "console"

    def __init__(self, *deliveries: Delivery, idempotent: bool = False) -> None:
        self.deliveries = list(deliveries)
        self.idempotent = idempotent
        self.shown: list[str] = []

    async def deliver(self, post: Post) -> Delivery:
        delivery = self.deliveries.pop(0) if self.deliveries else Delivery(sent=True)
        if delivery.sent:
            self.shown.append(post.key)
        return delivery


class CrashError(Exception):
    """The process dies."""


class Crashing(Scripted):
    """Crashes before or after the post is published; sometimes refuses it."""

    def __init__(self, chance: random.Random, *, idempotent: bool) -> None:
        super().__init__(idempotent=idempotent)
        self.chance = chance

    async def deliver(self, post: Post) -> Delivery:
        draw = self.chance.random()
        if draw < 0.15:
            raise CrashError
        if draw < 0.3:
            return Delivery(sent=False, reason="refused", retryable=True)
        self.shown.append(post.key)
        if draw < 0.45:
            raise CrashError
        return Delivery(sent=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    opened = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    yield opened
    opened.close()


def _sender(
    ledger: SqlLedger, channel: Channel, clock: Callable[[], datetime] = lambda: NOW
) -> OutboxSender:
    """Return the sender of a ledger with one channel, the console."""
    return OutboxSender(ledger.outbox, {"console": channel}, clock)


async def test_a_backlog_is_sent_in_order_and_once(
    ledger: SqlLedger, make_post: Callable[..., Post]
) -> None:
    ledger.record([], [make_post(key=str(number), revision=number) for number in range(1, 6)])
    channel = Scripted()
    while await _sender(ledger, channel).send_due():
        pass
    assert channel.shown == ["1", "2", "3", "4", "5"]
    assert len(ledger.outbox.in_state(OutboxState.SENT)) == 5


async def test_delays_double_and_respect_retry_after(
    ledger: SqlLedger, make_post: Callable[..., Post]
) -> None:
    ledger.record([], [make_post()])
    away = Delivery(sent=False, reason="away", retryable=True)
    asked = Delivery(sent=False, reason="busy", retryable=True, retry_after=timedelta(minutes=9))
    channel, now = Scripted(away, away, asked), NOW
    waits = []

    def clock() -> datetime:
        return now

    for _ in range(3):
        assert await _sender(ledger, channel, clock).send_due() == 1
        entry = ledger.outbox.in_state(OutboxState.READY)[0]
        waits.append(entry.next_at - now)
        now = entry.next_at
    assert waits == [timedelta(seconds=5), timedelta(seconds=10), timedelta(minutes=9)]
    await _sender(ledger, channel, clock).send_due()
    assert [entry.attempts for entry in ledger.outbox.in_state(OutboxState.SENT)] == [4]


async def test_permanent_failures_and_too_many_attempts_fail(
    ledger: SqlLedger, make_post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.publish.outbox._MAX_ATTEMPTS", 1)
    ledger.record([], [make_post(key="gone"), make_post(key="busy", language="fr")])
    gone = Delivery(sent=False, reason="answered 410")
    busy = Delivery(sent=False, reason="busy", retryable=True)
    await _sender(ledger, Scripted(gone, busy)).send_due()
    reasons = {entry.reason for entry in ledger.outbox.in_state(OutboxState.FAILED)}
    assert reasons == {"answered 410", "busy"}


async def test_delays_grow_to_ten_minutes_until_the_attempts_end(
    ledger: SqlLedger, make_post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.publish.outbox._MAX_ATTEMPTS", 40)
    ledger.record([], [make_post()])
    channel, now = Scripted(*[Delivery(sent=False, reason="busy", retryable=True)] * 40), NOW
    sender = _sender(ledger, channel, lambda: now)
    delays = []
    for _ in range(39):
        await sender.send_due()
        [entry] = ledger.outbox.in_state(OutboxState.READY)
        delays.append(entry.next_at - now)
        now = entry.next_at
    assert delays[-1] == max(delays) == timedelta(minutes=10)
    await sender.send_due()
    assert [entry.attempts for entry in ledger.outbox.in_state(OutboxState.FAILED)] == [40]


async def test_a_channel_that_is_not_configured_blocks_nothing(
    ledger: SqlLedger, make_post: Callable[..., Post]
) -> None:
    ledger.record([], [make_post(key="1", channel="pigeon"), make_post(key="2")])
    channel = Scripted()
    await _sender(ledger, channel).send_due()
    assert channel.shown == ["2"]
    waiting = ledger.outbox.in_state(OutboxState.READY)[0]
    assert "pigeon" in waiting.reason
    assert waiting.attempts == 0


@pytest.mark.parametrize("state", [OutboxState.SENDING, OutboxState.UNKNOWN])
async def test_after_a_crash_only_idempotent_channels_send_again(
    ledger: SqlLedger, make_post: Callable[..., Post], state: OutboxState
) -> None:
    posts = [
        make_post(key="1"),
        make_post(key="2", channel="file"),
        make_post(key="3", channel="x"),
    ]
    ledger.record([], posts)
    for post in posts:
        assert ledger.outbox.claim(post.key, at=NOW)
        ledger.outbox.mark(post.key, state, at=NOW)
    channels = {"console": Scripted(), "file": Scripted(idempotent=True)}
    await OutboxSender(ledger.outbox, channels, lambda: NOW).recover_interrupted()
    assert [entry.post.key for entry in ledger.outbox.in_state(OutboxState.READY)] == ["2"]
    assert [entry.post.key for entry in ledger.outbox.in_state(OutboxState.NEEDS_REVIEW)] == [
        "1",
        "3",
    ]


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_no_post_is_lost_or_sent_twice_by_crashes(
    tmp_path: Path, make_post: Callable[..., Post], seed: int, *, idempotent: bool
) -> None:
    url = ledger_url(tmp_path / "ledger.sqlite")
    keys = {str(number) for number in range(30)}
    ledger = SqlLedger(url)
    ledger.record([], [make_post(key=key, incident=f"NW-{int(key) % 7}") for key in keys])
    channel = Crashing(random.Random(seed), idempotent=idempotent)
    now = NOW

    def clock() -> datetime:
        return now

    async def live() -> None:
        nonlocal now
        await _sender(ledger, channel, clock).recover_interrupted()
        while any(
            ledger.outbox.in_state(state) for state in (OutboxState.READY, OutboxState.SENDING)
        ):
            await _sender(ledger, channel, clock).send_due()
            now += timedelta(minutes=11)

    for _ in range(500):
        try:
            asyncio.run(live())
            break
        except CrashError:
            ledger.close()
            ledger = SqlLedger(url)
    sent = {entry.post.key for entry in ledger.outbox.in_state(OutboxState.SENT)}
    needs_review = {entry.post.key for entry in ledger.outbox.in_state(OutboxState.NEEDS_REVIEW)}
    ledger.close()
    assert sent | needs_review == keys
    assert sent <= set(channel.shown)
    if idempotent:
        assert needs_review == set()
    else:
        assert len(channel.shown) == len(set(channel.shown)), "no post is out twice"


async def test_cancelling_waits_for_a_delivery(
    ledger: SqlLedger, make_post: Callable[..., Post]
) -> None:
    ledger.record([], [make_post()])
    begun, go = asyncio.Event(), asyncio.Event()

    class Slow(Scripted):
        async def deliver(self, post: Post) -> Delivery:
            begun.set()
            await go.wait()
            return await super().deliver(post)

    channel = Slow()
    loop = asyncio.create_task(_sender(ledger, channel).run())
    await begun.wait()
    loop.cancel()
    asyncio.get_running_loop().call_later(0.05, go.set)
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert len(ledger.outbox.in_state(OutboxState.SENT)) == 1


async def test_posts_of_another_process_are_sent(
    ledger: SqlLedger,
    tmp_path: Path,
    make_post: Callable[..., Post],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    arrived = asyncio.Event()

    def write(text: str) -> None:
        written.append(text)
        arrived.set()

    monkeypatch.setattr("netwatch.publish.outbox._POLL_SECONDS", 0.01)
    loop = asyncio.create_task(_sender(ledger, ConsoleChannel(write)).run())
    other = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    other.record([], [make_post()])
    await asyncio.wait_for(arrived.wait(), 10)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert written == [f"{make_post().text}\n\n"]
    assert len(other.outbox.in_state(OutboxState.SENT)) == 1
    other.close()


async def test_a_broken_outbox_is_waited_for(
    ledger: SqlLedger, make_post: Callable[..., Post], caplog: pytest.LogCaptureFixture
) -> None:
    ledger.record([], [make_post()])
    rename = "ALTER TABLE post RENAME COLUMN {} TO {}"
    with ledger._database.engine.begin() as connection:
        connection.exec_driver_sql(rename.format("attempts", "tries"))
    channel = Scripted()
    running = asyncio.ensure_future(_sender(ledger, channel).run())
    await until(lambda: bool(caplog.messages))
    with ledger._database.engine.begin() as connection:
        connection.exec_driver_sql(rename.format("tries", "attempts"))
    await until(lambda: bool(ledger.outbox.in_state(OutboxState.SENT)))
    await cancel_and_wait([running])
    assert len(channel.shown) == len(caplog.messages) == 1
    assert caplog.messages[0].startswith("posts wait: ledger: cannot read")


async def test_an_outcome_that_cannot_be_recorded_is_recorded_later_and_not_sent_again(
    ledger: SqlLedger, make_post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record([], [make_post()])
    channel, mark, failures = Scripted(), ledger.outbox.mark, [1, 2]

    def fail_twice(*values: object, **more: object) -> None:
        if failures:
            failures.pop()
            raise StoreError("the disk is full")
        mark(*values, **more)

    monkeypatch.setattr(ledger.outbox, "mark", fail_twice)
    running = asyncio.ensure_future(_sender(ledger, channel).run())
    await until(lambda: bool(ledger.outbox.in_state(OutboxState.SENT)))
    await cancel_and_wait([running])
    assert channel.shown == ["a" * 64]
