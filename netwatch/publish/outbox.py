"""Outbox loop: delivers each post of the ledger to its channel once, also across crashes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial

from netwatch.model.errors import StoreError
from netwatch.protocols import Channel, Clock, Delivery, Outbox, OutboxEntry, OutboxState

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 1.0
"""Wait between polls of the outbox when nothing is due."""
_DRAIN_SECONDS = 15.0
"""How long a stop waits for deliveries in progress."""
_UNCONFIGURED_DELAY = timedelta(minutes=1)
"""Delay before a post whose channel is not configured is looked at again."""
_FIRST_DELAY, _LONGEST_DELAY = timedelta(seconds=5), timedelta(minutes=10)
"""The delay after the first failed attempt doubles up to the longest."""
_MAX_ATTEMPTS = 100
"""Attempts after which a post is `failed`."""


class OutboxSender:
    """Delivers the posts of an outbox to their channels. Only one may run per outbox.

    Raises:
        StoreError: from every method but `run` when the outbox cannot be read or written.
    """

    def __init__(self, outbox: Outbox, channels: Mapping[str, Channel], clock: Clock) -> None:
        self._outbox, self._channels, self._clock = outbox, channels, clock
        self._unrecorded: dict[str, Callable[[], None]] = {}

    async def run(self) -> None:
        """Deliver posts that are due until cancelled; waits while the outbox cannot be used.

        Cancelling waits 15 seconds for deliveries in progress. A delivery that takes longer is
        recovered at the next start, as after a crash.
        """
        work: Callable[[], Awaitable[int | None]] = self.recover_interrupted
        is_failing = False
        while True:
            sent = None
            try:
                sent, work = await work(), self.send_due
                is_failing = False
            except StoreError as error:
                if not is_failing:
                    _LOG.warning("posts wait: %s", error)
                # Deliveries that this cut short have an unknown outcome.
                work, is_failing = self.recover_interrupted, True
            if not sent:
                await asyncio.sleep(_POLL_SECONDS)

    async def recover_interrupted(self) -> None:
        """Decide about posts whose delivery was interrupted, so that their outcome is unknown.

        Idempotent channels get them again. For other channels a person decides: a missing post
        can be sent by hand, a post that shows twice cannot be unsent.
        """
        await self._record_outcomes()
        for state in (OutboxState.SENDING, OutboxState.UNKNOWN):
            for entry in await asyncio.to_thread(self._outbox.in_state, state):
                channel = self._channels.get(entry.post.channel)
                idempotent = channel is not None and channel.idempotent
                decided = OutboxState.READY if idempotent else OutboxState.NEEDS_REVIEW
                await self._mark(entry, decided, "interrupted while sending")

    async def send_due(self) -> int:
        """Attempt every post that is due now once; return the number of attempts.

        Posts of one incident, channel and language become due one after another: call this
        until it returns 0 to deliver a backlog.
        """
        sending = asyncio.create_task(self._send_all())
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            # A post that is sent but not yet marked would be sent again, or wait for a person.
            await asyncio.wait({sending}, timeout=_DRAIN_SECONDS)
            sending.cancel()
            raise

    async def _record_outcomes(self) -> None:
        for key, record in list(self._unrecorded.items()):
            await asyncio.to_thread(record)
            del self._unrecorded[key]

    async def _send_all(self) -> int:
        await self._record_outcomes()
        due = await asyncio.to_thread(self._outbox.due, self._clock())
        try:
            async with asyncio.TaskGroup() as group:
                for entry in due:
                    group.create_task(self._send(entry))
        except ExceptionGroup as errors:
            # A broken outbox is one error, not one per post.
            raise errors.exceptions[0] from errors
        return len(due)

    async def _send(self, entry: OutboxEntry) -> None:
        post = entry.post
        channel = self._channels.get(post.channel)
        if channel is None:
            reason = f"no channel {post.channel!r} is configured"
            _LOG.warning("post %s of %s waits: %s", post.key[:8], post.incident, reason)
            await self._mark(entry, OutboxState.READY, reason, delay=_UNCONFIGURED_DELAY)
            return
        if not await asyncio.to_thread(self._outbox.claim, post.key, at=self._clock()):
            return
        delivery = await channel.deliver(post)
        state, delay = _next_state(delivery, entry.attempts + 1)
        if not delivery.sent:
            _LOG.warning(
                "post %s to %s: %s: %s", post.key[:8], post.channel, state, delivery.reason
            )
        await self._mark(entry, state, delivery.reason, delay=delay)

    async def _mark(
        self,
        entry: OutboxEntry,
        state: OutboxState,
        reason: str,
        *,
        delay: timedelta = timedelta(0),
    ) -> None:
        now = self._clock()
        key, next_at = entry.post.key, now + delay
        record = partial(self._outbox.mark, key, state, at=now, reason=reason, next_at=next_at)
        # On a full disk the outcome waits here, so that no post is sent again for want of it.
        self._unrecorded[key] = record
        await asyncio.to_thread(record)
        del self._unrecorded[key]


def _next_state(delivery: Delivery, attempts: int) -> tuple[OutboxState, timedelta]:
    """Return the state of a post after `attempts`, and the delay before the next one."""
    if delivery.sent:
        return OutboxState.SENT, timedelta(0)
    if not delivery.retryable or attempts >= _MAX_ATTEMPTS:
        return OutboxState.FAILED, timedelta(0)
    doublings = min(attempts - 1, 20)  # a hundred overflow
    delay = min(_FIRST_DELAY * 2**doublings, _LONGEST_DELAY)
    return OutboxState.READY, max(delay, delivery.retry_after or timedelta(0))
