"""The outbox loop: what the ledger holds ready goes out once, whatever crashes in between."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.protocols import Channel, Clock, Delivery, Outbox, OutboxEntry, OutboxState

_LOG = logging.getLogger(__name__)
_NOT_HERE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to look, and how patiently to try again.

    Attributes:
        look: how long to wait where nothing is due.
        first_wait, longest_wait: the wait after the first failure doubles up to the longest.
        most_attempts: after so many a post is given up as `failed`.
        patience: how long a stop waits for deliveries that are under way.
    """

    look: timedelta = timedelta(seconds=1)
    first_wait: timedelta = timedelta(seconds=5)
    longest_wait: timedelta = timedelta(minutes=10)
    most_attempts: int = 100
    patience: timedelta = timedelta(seconds=15)

    def wait(self, attempts: int) -> timedelta:
        """Return how long to wait after `attempts` failures."""
        doublings = min(max(attempts - 1, 0), 20)
        return min(self.first_wait * (1 << doublings), self.longest_wait)


async def run_outbox(
    outbox: Outbox,
    channels: Mapping[str, Channel],
    clock: Clock,
    *,
    pace: RetryPolicy | None = None,
) -> None:
    """Send what is ready, for ever; end it by cancelling.

    One such loop runs per outbox. Deliveries under way are finished first; one that takes
    longer than the pace's patience is found by the next start like one cut short by a crash.

    Raises:
        StoreError: the outbox cannot be read or written.
    """
    pace = pace or RetryPolicy()
    await recover_interrupted(outbox, channels, clock)
    while True:
        if not await send_due(outbox, channels, clock, pace=pace):
            await asyncio.sleep(pace.look.total_seconds())


async def recover_interrupted(
    outbox: Outbox, channels: Mapping[str, Channel], clock: Clock
) -> None:
    """Decide about posts of which a crash left unknown whether they went out.

    Where the same key shows once they are sent again; elsewhere a human decides, because a
    post that is missing can be sent by hand and one that stands there twice cannot be unsent.
    """
    for state in (OutboxState.SENDING, OutboxState.UNKNOWN):
        for entry in await asyncio.to_thread(outbox.in_state, state):
            channel = channels.get(entry.post.channel)
            idempotent = channel is not None and channel.idempotent
            await asyncio.to_thread(
                outbox.mark,
                entry.post.key,
                OutboxState.READY if idempotent else OutboxState.NEEDS_REVIEW,
                at=clock(),
                reason="interrupted while sending",
            )


async def send_due(
    outbox: Outbox,
    channels: Mapping[str, Channel],
    clock: Clock,
    *,
    pace: RetryPolicy | None = None,
) -> int:
    """Try every post that is due now, once; return how many were tried.

    Posts to different channels go out side by side, those of one thread one after another,
    so call it until it returns 0 to have a whole backlog sent.
    """
    pace = pace or RetryPolicy()
    sending = asyncio.create_task(_send_all(outbox, channels, clock, pace=pace))
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        # A post that is out but not yet marked so would go out again, or wait for a human.
        await asyncio.wait({sending}, timeout=pace.patience.total_seconds())
        sending.cancel()
        raise


async def _send_all(
    outbox: Outbox, channels: Mapping[str, Channel], clock: Clock, *, pace: RetryPolicy
) -> int:
    """Try what is due side by side; a broken outbox is one error, not one a post."""
    due = await asyncio.to_thread(outbox.due, clock())
    try:
        async with asyncio.TaskGroup() as group:
            for entry in due:
                group.create_task(_send(entry, outbox, channels, clock, pace=pace))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return len(due)


async def _send(
    entry: OutboxEntry,
    outbox: Outbox,
    channels: Mapping[str, Channel],
    clock: Clock,
    *,
    pace: RetryPolicy,
) -> None:
    """Take one post through one attempt."""
    post = entry.post
    channel = channels.get(post.channel)
    if channel is None:
        reason = f"no channel {post.channel!r} is set up here"
        _LOG.warning("post %s of %s waits: %s", post.key[:8], post.incident, reason)
        now = clock()
        await asyncio.to_thread(
            outbox.mark,
            post.key,
            OutboxState.READY,
            at=now,
            reason=reason,
            next_at=now + _NOT_HERE,
        )
        return
    if not await asyncio.to_thread(outbox.claim, post.key, at=clock()):
        return
    delivery = await channel.deliver(post)
    now = clock()
    state, next_at = _verdict(delivery, entry.attempts + 1, now, pace)
    if not delivery.sent:
        _LOG.warning("post %s to %s: %s: %s", post.key[:8], post.channel, state, delivery.reason)
    await asyncio.to_thread(
        outbox.mark, post.key, state, at=now, reason=delivery.reason, next_at=next_at
    )


def _verdict(
    delivery: Delivery, attempts: int, now: datetime, pace: RetryPolicy
) -> tuple[OutboxState, datetime]:
    """Return what a delivery makes of its post, and when it is tried again."""
    if delivery.sent:
        return OutboxState.SENT, now
    if not delivery.retryable or attempts >= pace.most_attempts:
        return OutboxState.FAILED, now
    wait = max(pace.wait(attempts), delivery.retry_after or timedelta(0))
    return OutboxState.READY, now + wait
