"""Sends batches, and deletes each only when the collector acknowledges that it is durable.

Batches measured since the connection was made go first, so that the present is known. The
backlog follows, oldest first, at up to a quarter of the allowed rate. A broker's PUBACK proves
nothing: a transport that accepts batches without any acknowledgement has failed, and the next one
is tried. While another than the preferred transport is used, better ones are retried.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from random import Random
from time import monotonic

import msgspec

from netwatch.agent.clock import AckClockSync
from netwatch.agent.spool.ack_verifier import verify_ack
from netwatch.agent.spool.schema import MetaKey
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
from netwatch.wire import topics
from netwatch.wire.ack import Ack
from netwatch.wire.rate_advice import RATE_ADVICE, RateAdvice

_log = logging.getLogger("netwatch.agent.uplink.uplink")
_ACK_TIMEOUT = 6
"""Paces (flush intervals, usually ten seconds) until a batch is resent."""
_STALLED = 12
"""Paces without any acknowledgement after which a transport has failed."""
_RECONNECT_SPREAD = 6
"""Paces over which agents reconnect after all were disconnected, unless the collector advises."""
_UPGRADE_PERIOD = 30
"""Paces between attempts at a better transport; doubles each time that it fails after all."""
_MAX_RELAPSES = 4
"""Doublings of that period."""
_BATCHES_PER_PACE = 160
"""Batches that may be sent in one pace."""
_FAREWELL_TIMEOUT = 1.0
"""Seconds to publish the offline message on exit."""


class Uplink:
    """Keeps a connection to the collector until it is cancelled; `run` may be called again.

    The spool is used in the thread of `executor`. `pace` is the flush interval in seconds; every
    timeout is a multiple of it. `on_target_list` is called with a received target list, and may
    block; set it before `run`.
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
        self._spool = spool
        self._executor = executor
        self._pace = pace
        self._clock_sync = clock_sync
        self._random = Random()  # noqa: S311 - jitter
        self._failover = TransportFailover(endpoints, pace=pace, random=self._random)
        self._failover.on_status_change = self._publish_status_change
        self._window = InFlightWindow(timeout=_ACK_TIMEOUT * pace)
        own_rate = backlog_rate(_BATCHES_PER_PACE / pace, None)
        self._backlog = TokenBucket(own_rate, BACKLOG_SHARE * WINDOW_SIZE)
        self._new_batches, self._status_changed = asyncio.Event(), asyncio.Event()
        self._first_fresh = 0
        self._is_acknowledged, self._connected_at = False, 0.0
        self._endpoint: Endpoint | None = None
        self._better: tuple[Endpoint, Transport] | None = None
        self._relapses = 0
        self._advice: RateAdvice | None = None
        self._unverified_advice: bytes | None = None
        self.on_target_list: Callable[[bytes], None] | None = None
        self.on_status_change: Callable[[TransportStatus], None] = lambda _: None

    def notify(self) -> None:
        """Wake the sender: there are new batches."""
        self._new_batches.set()

    def retry_now(self) -> None:
        """Reconnect without waiting: the network seems to be back."""
        self._failover.retry_now()

    async def run(self) -> None:
        """Connect, send, and reconnect until cancelled."""
        with suppress(StoreError):
            stored = await self._executor.run(self._spool.get_meta, MetaKey.RATE_ADVICE)
            if stored is not None:
                await self._apply_rate_advice(stored)
        try:
            await run_until_first_exits(self._stay_connected(), self._save_status())
        finally:
            if (better := self._take_better()) is not None:
                await better[1].__aexit__(None, None, None)

    async def _stay_connected(self) -> None:
        while True:
            endpoint, transport = self._take_better() or await self._failover.connect(
                self._session.will, spread=self._spread
            )
            self._endpoint, self._is_acknowledged = endpoint, False
            self._connected_at = monotonic()
            self._window.reset(self._connected_at)
            try:
                await self._exchange(endpoint, transport)
            except StoreError as error:
                _log.error("spool: %s", error)
            except TransportError as error:
                if self._better is None and not self._end_connection(endpoint, error):
                    continue
            if self._better is None:
                # Agents that were disconnected together must not reconnect at once.
                await asyncio.sleep(self._random.uniform(0, self._spread))

    def _take_better(self) -> tuple[Endpoint, Transport] | None:
        better, self._better = self._better, None
        return better

    def _end_connection(self, endpoint: Endpoint, error: TransportError) -> bool:
        """Record the end of a connection; return whether it had worked."""
        _log.warning("uplink lost: %s", error)
        self._endpoint = None
        self._status_changed.set()
        # A connection without anything to send has not failed.
        is_idle = self._window.is_empty() and monotonic() - self._connected_at > self._pace
        if self._is_acknowledged or is_idle:
            return True
        self._failover.demote(endpoint, error)
        self._relapses = min(self._relapses + 1, _MAX_RELAPSES)
        return False

    @property
    def _spread(self) -> float:
        return self._advice.reconnect_spread if self._advice else _RECONNECT_SPREAD * self._pace

    async def _exchange(self, endpoint: Endpoint, transport: Transport) -> None:
        try:
            await self._subscribe(transport)
            birth = self._session.birth(endpoint.transport)
            await transport.publish(birth.topic, birth.payload, retain=True)
            _log.info("uplink of %s is up by %s", self._session.agent, endpoint.transport)
            newest = await self._executor.run(self._spool.newest, 1)
            self._first_fresh = newest[0].sequence if newest else 0
            await run_until_first_exits(
                self._receive(transport, endpoint),
                self._send(transport),
                self._detect_stall(endpoint),
                self._seek_better(endpoint),
            )
        except asyncio.CancelledError:
            await self._send_offline(endpoint, transport)
            raise
        finally:
            await transport.__aexit__(None, None, None)

    async def _subscribe(self, transport: Transport) -> None:
        await transport.subscribe(topics.ack_topic(self._session.agent))
        if self.on_target_list is not None:
            await transport.subscribe(topics.TARGET_LIST_TOPIC)
        with suppress(TransportError):  # the broker may not permit it
            await transport.subscribe(topics.RATE_ADVICE_TOPIC)

    async def _send_offline(self, endpoint: Endpoint, transport: Transport) -> None:
        offline = self._session.clean_offline(endpoint.transport, "shutdown")
        with suppress(TransportError, TimeoutError):
            async with asyncio.timeout(_FAREWELL_TIMEOUT):
                await transport.publish(offline.topic, offline.payload, retain=True)

    async def _send(self, transport: Transport) -> None:
        while True:
            self._new_batches.clear()
            has_sent = False
            async for batch in self._sendable():
                has_sent = True
                if self._clock_sync is not None:
                    self._clock_sync.sent(batch.sequence)
                await transport.publish(topics.batch_topic(self._session.agent), batch.payload)
                self._window.sent(batch.sequence, monotonic())
            wait = self._backlog.delay(monotonic())
            if wait <= 0 and not has_sent:
                # Nothing is pending; a new batch ends the wait.
                wait = self._pace
            with suppress(TimeoutError):
                await asyncio.wait_for(self._new_batches.wait(), min(self._pace, wait))

    async def _sendable(self) -> AsyncIterator[SealedBatch]:
        in_flight = self._window.in_flight(monotonic())
        room = WINDOW_SIZE - len(in_flight)
        if room <= 0:
            return
        newest = await self._executor.run(self._spool.newest, room, exclude=in_flight)
        fresh = [batch for batch in newest if batch.sequence >= self._first_fresh]
        for batch in fresh:
            yield batch
            in_flight.add(batch.sequence)
        count = min(room - len(fresh), int(self._backlog.available(monotonic())))
        if count <= 0:
            return
        for batch in await self._executor.run(self._spool.oldest, count, exclude=in_flight):
            self._backlog.take()
            yield batch

    async def _detect_stall(self, endpoint: Endpoint) -> None:
        while True:
            await asyncio.sleep(self._pace)
            seconds = self._window.time_since_ack(monotonic())
            if seconds > _STALLED * self._pace and len(self._failover.transports) > 1:
                self._is_acknowledged = False
                raise TransportError(
                    f"{endpoint.transport} accepts batches, but none was acknowledged"
                    f" for {seconds:.0f} s"
                )

    async def _seek_better(self, endpoint: Endpoint) -> None:
        rank = self._failover.rank(endpoint)
        while self._better is None:
            period = _UPGRADE_PERIOD * self._pace * 2**self._relapses
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * period)
            self._better = await self._failover.try_transports(
                self._failover.transports[:rank], self._session.will
            )

    async def _receive(self, transport: Transport, endpoint: Endpoint) -> None:
        async for message in transport.messages():
            try:
                await self._handle(message, endpoint)
            except (StoreError, TransportError):
                raise
            except Exception:  # noqa: BLE001 - a defect, whatever it is
                # No single message may end the agent.
                _log.exception("a message for %s is ignored", message.topic[:100])

    async def _handle(self, message: Message, endpoint: Endpoint) -> None:
        if message.topic == topics.TARGET_LIST_TOPIC and self.on_target_list is not None:
            await self._executor.run(self.on_target_list, message.payload)
        elif message.topic == topics.RATE_ADVICE_TOPIC:
            await self._apply_rate_advice(message.payload)
        elif (ack := await self._verify(message)) is not None:
            if not self._is_acknowledged:
                self._is_acknowledged, self._relapses = True, 0
                self._failover.record_success(endpoint)
                self._status_changed.set()
            try:
                await self._apply_ack(ack)
            except StoreError as error:
                # The batches stay pending, are sent and acknowledged again.
                _log.error("spool: %s", error)
            if self._unverified_advice is not None:
                await self._apply_rate_advice(self._unverified_advice)

    async def _apply_ack(self, ack: Ack) -> None:
        now = monotonic()
        if self._clock_sync is not None:
            self._clock_sync.acknowledged(ack)
        for low, high in ack.stored:
            self._window.ack(low, high, now)
        await self._executor.run(self._spool.acknowledge, ack.stored)
        for sequence, reason in ack.refused:
            _log.warning("the collector refused batch %d: %s", sequence, reason)
            self._window.ack(sequence, sequence, now)
        if ack.refused:
            await self._executor.run(self._spool.refuse, ack.refused)
        self.notify()

    async def _verify(self, message: Message) -> Ack | None:
        try:
            return await self._executor.run(
                verify_ack, message.payload, self._session.agent, self._spool
            )
        except InputError as error:
            _log.warning("%s", error)
            return None

    async def _apply_rate_advice(self, payload: bytes) -> None:
        """Send as fast as the collector advises; advice of others or older advice is ignored."""
        pinned = await self._executor.run(self._spool.get_meta, MetaKey.COLLECTOR)
        # It cannot be verified until an acknowledgement has shown the collector's key.
        self._unverified_advice = payload if pinned is None else None
        if pinned is None:
            return
        try:
            plain, key = RATE_ADVICE.verify(payload)
            advice = RATE_ADVICE.decode(plain) if key == pinned else None
        except InputError as error:
            _log.warning("%s", error)
            return
        if advice is None or (self._advice and advice.time_ms < self._advice.time_ms):
            _log.warning("rate advice: not the collector's, or outdated")
            return
        self._advice = advice
        self._backlog.rate = backlog_rate(_BATCHES_PER_PACE / self._pace, advice.rate)
        await self._executor.run(self._spool.set_meta, MetaKey.RATE_ADVICE, payload)

    def _publish_status_change(self, status: TransportStatus) -> None:
        self._status_changed.set()
        self.on_status_change(status)

    async def _save_status(self) -> None:
        while True:
            await self._status_changed.wait()
            self._status_changed.clear()
            endpoint = self._endpoint if self._is_acknowledged else None
            status = {
                "transport": endpoint.transport if endpoint else None,
                "transports": list(self._failover.statuses.values()),
            }
            with suppress(StoreError):
                encoded = msgspec.json.encode(status)
                await self._executor.run(self._spool.set_meta, MetaKey.UPLINK, encoded)
