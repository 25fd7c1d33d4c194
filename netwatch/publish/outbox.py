"""Outbox loop: delivers each post of the ledger to its channel once, also across crashes."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.protocols import Channel, Clock, Delivery, Outbox, OutboxEntry, OutboxState

_LOG = logging.getLogger(__name__)
_UNCONFIGURED_DELAY = timedelta(minutes=1)
"""Delay before a post whose channel is not configured is looked at again."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When deliveries are attempted.

    Attributes:
        poll_interval: wait between polls of the outbox when nothing is due.
        first_delay, longest_delay: the delay after the first failure doubles up to the longest.
        max_attempts: attempts after which a post is `failed`.
        drain_timeout: how long a stop waits for deliveries in progress.
    """

    poll_interval: timedelta = timedelta(seconds=1)
    first_delay: timedelta = timedelta(seconds=5)
    longest_delay: timedelta = timedelta(minutes=10)
    max_attempts: int = 100
    drain_timeout: timedelta = timedelta(seconds=15)

    def delay(self, attempts: int) -> timedelta:
        """Return the delay after `attempts` failures."""
        doublings = min(max(attempts - 1, 0), 20)
        return min(self.first_delay * (1 << doublings), self.longest_delay)


_DEFAULT_POLICY = RetryPolicy()


async def run_outbox(
    outbox: Outbox,
    channels: Mapping[str, Channel],
    clock: Clock,
    *,
    policy: RetryPolicy = _DEFAULT_POLICY,
) -> None:
    """Deliver posts that are due until cancelled. Only one such loop may run per outbox.

    Cancelling waits for deliveries in progress, up to `policy.drain_timeout`. A delivery that
    takes longer is recovered at the next start like one that a crash interrupted.

    Raises:
        StoreError: the outbox cannot be read or written.
    """
    await recover_interrupted(outbox, channels, clock)
    while True:
        if not await send_due(outbox, channels, clock, policy=policy):
            await asyncio.sleep(policy.poll_interval.total_seconds())


async def recover_interrupted(
    outbox: Outbox, channels: Mapping[str, Channel], clock: Clock
) -> None:
    """Decide about posts whose delivery was interrupted, so that their outcome is unknown.

    Idempotent channels get them again. For other channels a person decides: a missing post can
    be sent by hand, a post that shows twice cannot be unsent.
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
    policy: RetryPolicy = _DEFAULT_POLICY,
) -> int:
    """Attempt every post that is due now once; return the number of attempts.

    Posts of one incident, channel and language become due one after another: call this until
    it returns 0 to deliver a backlog.
    """
    sending = asyncio.create_task(_send_all(outbox, channels, clock, policy))
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        # A post that is sent but not yet marked would be sent again, or wait for a person.
        await asyncio.wait({sending}, timeout=policy.drain_timeout.total_seconds())
        sending.cancel()
        raise


async def _send_all(
    outbox: Outbox, channels: Mapping[str, Channel], clock: Clock, policy: RetryPolicy
) -> int:
    due = await asyncio.to_thread(outbox.due, clock())
    try:
        async with asyncio.TaskGroup() as group:
            for entry in due:
                channel = channels.get(entry.post.channel)
                if channel is None:
                    group.create_task(_postpone(entry, outbox, clock))
                else:
                    group.create_task(_send(entry, outbox, channel, clock, policy=policy))
    except ExceptionGroup as errors:
        # A broken outbox is one error, not one per post.
        raise errors.exceptions[0] from errors
    return len(due)


async def _postpone(entry: OutboxEntry, outbox: Outbox, clock: Clock) -> None:
    """Keep a post ready until its channel is configured."""
    post, now = entry.post, clock()
    reason = f"no channel {post.channel!r} is configured"
    _LOG.warning("post %s of %s waits: %s", post.key[:8], post.incident, reason)
    next_at = now + _UNCONFIGURED_DELAY
    state = OutboxState.READY
    await asyncio.to_thread(outbox.mark, post.key, state, at=now, reason=reason, next_at=next_at)


async def _send(
    entry: OutboxEntry, outbox: Outbox, channel: Channel, clock: Clock, *, policy: RetryPolicy
) -> None:
    """Make one attempt to deliver a post."""
    post = entry.post
    if not await asyncio.to_thread(outbox.claim, post.key, at=clock()):
        return
    delivery = await channel.deliver(post)
    now = clock()
    state, next_at = _next_state(delivery, entry.attempts + 1, now, policy)
    if not delivery.sent:
        _LOG.warning("post %s to %s: %s: %s", post.key[:8], post.channel, state, delivery.reason)
    await asyncio.to_thread(
        outbox.mark, post.key, state, at=now, reason=delivery.reason, next_at=next_at
    )


def _next_state(
    delivery: Delivery, attempts: int, now: datetime, policy: RetryPolicy
) -> tuple[OutboxState, datetime]:
    """Return the state of a post after a delivery, and the earliest next attempt."""
    if delivery.sent:
        return OutboxState.SENT, now
    if not delivery.retryable or attempts >= policy.max_attempts:
        return OutboxState.FAILED, now
    delay = max(policy.delay(attempts), delivery.retry_after or timedelta(0))
    return OutboxState.READY, now + delay
