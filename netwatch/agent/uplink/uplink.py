"""Sends sealed batches and forgets each only when the collector says that it is durable.

What was measured since the link came up goes at once, so that the present is known; the
backlog follows, oldest first, at a quarter of the allowed rate at the most. A broker's
receipt proves nothing: a way that takes batches and brings no acknowledgement has failed,
and the next one is tried. From a lower rung we look for a better one now and then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from random import Random
from time import monotonic

import msgspec

from netwatch.agent.clock import AckClockSync
from netwatch.agent.spool.ack_verifier import COLLECTOR_KEY, verify_ack
from netwatch.agent.spool.spool import SealedBatch, Spool
from netwatch.agent.uplink.failover import Endpoint, TransportFailover, TransportStatus
from netwatch.agent.uplink.send_window import (
    BACKLOG_SHARE,
    WINDOW_SIZE,
    InFlightWindow,
    backlog_rate,
)
from netwatch.agent.uplink.session_presence import AgentSession
from netwatch.aio.executor import SingleThreadExecutor
from netwatch.aio.tasks import run_until_first_exits
from netwatch.aio.token_bucket import TokenBucket
from netwatch.model.errors import InputError, StoreError, TransportError
from netwatch.protocols import Message, Transport
from netwatch.wire.ack import Ack
from netwatch.wire.rate_advice import RateAdvice, unpack_rate_advice
from netwatch.wire.signing import RATE_ADVICE, open_signed
from netwatch.wire.topics import (
    RATE_ADVICE_TOPIC,
    TARGET_LIST_TOPIC,
    ack_topic,
    batch_topic,
)

STATUS_KEY = "uplink"
"""Under this name the spool remembers, as JSON, which rung carries us and how all fared."""
_DRAIN = "drain"
_log = logging.getLogger("netwatch.agent.uplink.uplink")
# In paces, ten seconds each as a rule:
_PATIENCE = 6
"""until a batch is sent again,"""
_STALL = 12
"""until a way without an acknowledgement has failed,"""
_SPREAD = 6
"""in which agents come back after they were cut off together, unless the collector says."""
_BETTER = 30
"""between two looks for a better rung; doubled each time that it failed after all."""
_MOST_RELAPSES = 4
_RATE = 160
"""Batches that may be sent in a pace."""


class Uplink:
    """Keeps one link to the collector, through broken connections, until it is cancelled.

    It may be run again after that.

    Args:
        session: who we are, and what we say of ourselves.
        endpoints: how to get there, best rungs first.
        spool, executor: the batches, and the thread that may touch them.
        pace: seconds between seals; every patience is a multiple of it.
        clock_sync: learns the time from acknowledgements.

    Attributes:
        on_target_list: takes a target list as it came; set it before `run`. Blocks.
        noted: told of every change in how a rung fares.
    """

    def __init__(  # noqa: PLR0913 - what it sends, where and how
        self,
        session: AgentSession,
        endpoints: Sequence[Endpoint],
        *,
        spool: Spool,
        executor: SingleThreadExecutor,
        pace: float,
        clock_sync: AckClockSync | None = None,
    ) -> None:
        self._session = session
        self._clock_sync = clock_sync
        self._spool = spool
        self._executor = executor
        self._pace = pace
        self._random = Random()  # noqa: S311 - spreads reconnections, hides nothing
        self._ladder = TransportFailover(endpoints, pace=pace, random=self._random)
        self._ladder.on_status_change = self._take_note
        self._flight = InFlightWindow(patience=_PATIENCE * pace)
        self._pacer = TokenBucket(backlog_rate(_RATE / pace, None), BACKLOG_SHARE * WINDOW_SIZE)
        self._nudged, self._changed = asyncio.Event(), asyncio.Event()
        self._present = 0
        self._answered, self._since = False, 0.0
        self._way: Endpoint | None = None
        self._better: tuple[Endpoint, Transport] | None = None
        self._relapses = 0
        self._drain: RateAdvice | None = None
        self._unopened: bytes | None = None
        self.on_target_list: Callable[[bytes], None] | None = None
        self.on_status_change: Callable[[TransportStatus], None] = lambda _: None

    def notify(self) -> None:
        """Say that there is something new to send."""
        self._nudged.set()

    def retry_now(self) -> None:
        """Say that the network seems to be back."""
        self._ladder.retry_now()

    async def run(self) -> None:
        """Connect, send, and connect again; returns only by cancellation."""
        with suppress(StoreError):
            await self._obey(await self._executor.run(self._spool.get_meta, _DRAIN))
        try:
            await run_until_first_exits(self._keep_linked(), self._keep_status())
        finally:
            if (better := self._take_better()) is not None:
                await better[1].__aexit__(None, None, None)

    async def _keep_linked(self) -> None:
        """Hold one link after another."""
        below = -1
        while True:
            way, link = self._take_better() or await self._ladder.connect(
                self._session.will, below=below, spread=self._spread
            )
            self._way, self._answered, self._since = way, False, monotonic()
            self._flight.begin(self._since)
            below = await self._use(way, link)
            if below < 0 and not self._has_better():
                # Whoever was cut off together must not come back in the same moment.
                await asyncio.sleep(self._random.uniform(0, self._spread))

    async def _use(self, way: Endpoint, link: Transport) -> int:
        """Hold a link to its end; return the rung below which to look then, -1 for all."""
        try:
            await self._hold(way, link)
        except StoreError as error:
            _log.error("spool: %s", error)
        except TransportError as error:
            if not self._has_better():
                _log.warning("uplink lost: %s", error)
                return self._judge_loss(way, error)
        return -1

    def _take_better(self) -> tuple[Endpoint, Transport] | None:
        """Return the connected link on a better rung, if one was found; it is used once."""
        found, self._better = self._better, None
        return found

    def _has_better(self) -> bool:
        return self._better is not None

    def _judge_loss(self, way: Endpoint, error: TransportError) -> int:
        """Return the rung below which to look now: -1, or that of a way that never worked."""
        self._way = None
        self._changed.set()
        # A link that had nothing to carry for a while has not failed us.
        idle = not self._flight.sent and monotonic() - self._since > self._pace
        if self._answered or idle:
            return -1
        self._ladder.record_failure(way, error)
        self._relapses = min(self._relapses + 1, _MOST_RELAPSES)
        return self._ladder.rank(way)

    @property
    def _spread(self) -> float:
        return self._drain.reconnect_spread if self._drain else _SPREAD * self._pace

    async def _hold(self, way: Endpoint, link: Transport) -> None:
        """Use a link until it breaks, or a better one is found.

        Raises:
            LinkError: it broke, or is of no use.
        """
        try:
            await self._subscribe(link)
            birth = self._session.birth(way.transport)
            await link.publish(birth.topic, birth.payload, retain=True)
            _log.info("uplink of %s is up by %s", self._session.agent, way.transport)
            newest = await self._executor.run(self._spool.newest, 1)
            self._present = newest[0].sequence if newest else 0
            await run_until_first_exits(
                self._listen(link, way),
                self._send(link),
                self._watch_silence(way),
                self._seek_better(way),
            )
        except asyncio.CancelledError:
            await self._part(way, link)
            raise
        finally:
            await link.__aexit__(None, None, None)

    async def _subscribe(self, link: Transport) -> None:
        """Ask for what concerns us; a broker may keep the fleet's topics from us."""
        await link.subscribe(ack_topic(self._session.agent))
        if self.on_target_list is not None:
            await link.subscribe(TARGET_LIST_TOPIC)
        with suppress(TransportError):
            await link.subscribe(RATE_ADVICE_TOPIC)

    async def _part(self, way: Endpoint, link: Transport) -> None:
        """Say that we stop on purpose, if that is quickly said."""
        farewell = self._session.clean_offline(way.transport, "shutdown")
        with suppress(TransportError, TimeoutError):
            async with asyncio.timeout(1):
                await link.publish(farewell.topic, farewell.payload, retain=True)

    async def _send(self, link: Transport) -> None:
        """Send what waits, as window and rate allow."""
        while True:
            self._nudged.clear()
            sent = False
            async for batch in self._choose():
                sent = True
                if self._clock_sync is not None:
                    self._clock_sync.sent(batch.sequence)
                await link.publish(batch_topic(self._session.agent), batch.payload)
                self._flight.note(batch.sequence, monotonic())
            pause = self._pacer.delay(monotonic())
            if pause <= 0 and not sent:
                # More might go, but there is no more: whatever comes will nudge us.
                pause = self._pace
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), min(self._pace, pause))

    async def _choose(self) -> AsyncIterator[SealedBatch]:
        """Yield the batches to send now: those of the present, then backlog."""
        waiting = self._flight.waiting(monotonic())
        room = WINDOW_SIZE - len(waiting)
        if room <= 0:
            return
        newest = await self._executor.run(self._spool.newest, room, exclude=waiting)
        newest = [batch for batch in newest if batch.sequence >= self._present]
        for batch in newest:
            yield batch
            waiting.add(batch.sequence)
        share = min(room - len(newest), int(self._pacer.available(monotonic())))
        if share <= 0:
            return
        for batch in await self._executor.run(self._spool.oldest, share, exclude=waiting):
            self._pacer.take()
            yield batch

    async def _watch_silence(self, way: Endpoint) -> None:
        """Watch whether what is sent is ever acknowledged, where there is another way.

        Raises:
            LinkError: it is not.
        """
        while True:
            await asyncio.sleep(self._pace)
            silence = self._flight.silence(monotonic())
            if silence > _STALL * self._pace and len(self._ladder.transports) > 1:
                self._answered = False
                raise TransportError(
                    f"{way.transport} takes batches, and for {silence:.0f} s none was kept"
                )

    async def _seek_better(self, way: Endpoint) -> None:
        """Look for a better rung than that of `way`; return once one is connected."""
        place = self._ladder.rank(way)
        while True:
            wait = _BETTER * self._pace * 2**self._relapses
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * wait)
            if place:
                self._better = await self._ladder.try_transports(
                    self._ladder.transports[:place], self._session.will
                )
            if self._better is not None:
                return

    async def _listen(self, link: Transport, way: Endpoint) -> None:
        """Take acknowledgements, target lists, and how fast we may send."""
        async for message in link.messages():
            if message.topic == TARGET_LIST_TOPIC and self.on_target_list is not None:
                await self._executor.run(self.on_target_list, message.payload)
            elif message.topic == RATE_ADVICE_TOPIC:
                await self._obey(message.payload)
            elif (answer := await self._open(message)) is not None:
                if not self._answered:
                    self._answered, self._relapses = True, 0
                    self._ladder.record_success(way)
                    self._changed.set()
                try:
                    await self._believe(answer)
                except StoreError as error:
                    # What could not be forgotten goes again and is forgotten then.
                    _log.error("spool: %s", error)
                if self._unopened is not None:
                    await self._obey(self._unopened)

    async def _believe(self, answer: Ack) -> None:
        """Forget what is kept; keep back what is refused."""
        now = monotonic()
        if self._clock_sync is not None:
            self._clock_sync.acknowledged(answer)
        for low, high in answer.stored:
            self._flight.forget(low, high, now)
        await self._executor.run(self._spool.acknowledge, answer.stored)
        for sequence, reason in answer.refused:
            _log.warning("the collector refused batch %d: %s", sequence, reason)
            self._flight.forget(sequence, sequence, now)
        if answer.refused:
            await self._executor.run(self._spool.refuse, answer.refused)
        self.notify()

    async def _open(self, message: Message) -> Ack | None:
        """Return an acknowledgement that is the collector's and for us."""
        try:
            return await self._executor.run(
                verify_ack, message.payload, self._session.agent, self._spool
            )
        except InputError as error:
            _log.warning("%s", error)
            return None

    async def _obey(self, message: bytes | None) -> None:
        """Send as fast as the collector says, if it is the collector who says so."""
        if message is None:
            return
        known = await self._executor.run(self._spool.get_meta, COLLECTOR_KEY)
        # Until an acknowledgement has shown the collector's key, nobody can say so.
        self._unopened = message if known is None else None
        if known is None:
            return
        try:
            plain, key = open_signed(message, RATE_ADVICE)
            drain = unpack_rate_advice(plain)
        except InputError as error:
            _log.warning("%s", error)
            return
        if key != known or (self._drain and drain.time_ms < self._drain.time_ms):
            _log.warning("a drain rate is not the collector's, or is older than what it said")
            return
        self._drain = drain
        self._pacer.rate = backlog_rate(_RATE / self._pace, drain.rate)
        await self._executor.run(self._spool.set_meta, _DRAIN, message)

    def _take_note(self, outcome: TransportStatus) -> None:
        self._changed.set()
        self.on_status_change(outcome)

    async def _keep_status(self) -> None:
        """Write down how the rungs fare, for who asks for the agent's status."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            collector_time = {
                "transport": self._way.transport if self._way and self._answered else None,
                "transports": list(self._ladder.statuses.values()),
            }
            with suppress(StoreError):
                await self._executor.run(
                    self._spool.set_meta, STATUS_KEY, msgspec.json.encode(collector_time)
                )
