"""The collector: receives, stores and acknowledges batches, and closes bins.

One queue takes batches from MQTT and HTTP, so that HTTP works without the broker.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from netwatch.aio.backoff import connect_with_backoff
from netwatch.aio.executor import SingleThreadExecutor
from netwatch.aio.tasks import run_until_first_exits
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.clock_guard import ClockGuard
from netwatch.collector.ingest import Ingest
from netwatch.collector.ingest_queue import IngestQueue, QueuedMessage
from netwatch.collector.metrics import CollectorMetrics
from netwatch.collector.presence_tracker import PresenceTracker
from netwatch.collector.review import AmendmentReview
from netwatch.collector.trust_weights import TrustSettings
from netwatch.config import AnalysisConfig
from netwatch.model.errors import StoreError, TransportError, one_line
from netwatch.model.measurement import Target
from netwatch.model.steady_clock import as_steady
from netwatch.protocols import Amendments, Clock, Message, SeriesStore, Transport
from netwatch.signals.presence.log import PresenceLog
from netwatch.wire import topics
from netwatch.wire.ack import ACKNOWLEDGEMENT
from netwatch.wire.rate_advice import RATE_ADVICE, RateAdvice
from netwatch.wire.signing import Signer

_MESSAGES_PER_TRANSACTION = 256
_MAX_TICK_SECONDS = 1.0
_MAX_WAITING = 128
"""Messages of MQTT that wait for the next transaction when one takes too long; half of a load, so
that new messages are looked at in each. Agents send the others again."""

_PAUSE_SECONDS = 30.0
"""Time between two looks at the clock, of which one takes seconds at most, from which this machine
slept, or a virtual one was stopped."""


@dataclass(frozen=True, slots=True)
class CollectorDeps:
    """Everything that a collector uses.

    Attributes:
        connect: makes a connection to the broker, with the given last will or none.
        batch_log: the durable raw log; the caller closes it.
        store: receives bins; used from one thread that is not the caller's.
        signer: signs acknowledgements; None leaves them unsigned.
        presence_log: None to track no presence; the caller closes it.
        settle_time: how long agents have to reconnect after the collector did.
        rate_advice: how fast agents may send, None for no advice.
        broker: name of the broker in the presence log.
        accept_unsigned: whether unsigned batches of agents without a key are stored.
        trust: who counts in addition to enrolled agents.
        amendments: where changes of closed bins wait for a person; None lets all of them pass.
        own_boot: returns the id that an agent of this name gives to this machine's boot.
    """

    connect: Callable[[Message | None], Transport]
    batch_log: BatchLog
    store: SeriesStore
    targets: Mapping[str, Target]
    clock: Clock
    config: AnalysisConfig = field(default_factory=AnalysisConfig)
    metrics: CollectorMetrics = field(default_factory=CollectorMetrics)
    signer: Signer | None = None
    queue: IngestQueue = field(default_factory=IngestQueue)
    presence_log: PresenceLog | None = None
    settle_time: timedelta = timedelta(minutes=3)
    rate_advice: RateAdvice | None = None
    broker: str = ""
    shared: bool = False
    accept_unsigned: bool = False
    trust: TrustSettings = field(default_factory=TrustSettings)
    own_boot: Callable[[str], str] = lambda _: ""
    amendments: Amendments | None = None


async def run_collector(deps: CollectorDeps) -> None:
    """Collect until cancelled; retries while the broker is unavailable or the disk is full.

    An interval is closed `late_data_grace` after its end, and not before the collector has
    listened for that long: after its own downtime or sleep, agents first send their backlog.
    While the broker is unavailable no interval is closed, since a failure of our own is not an
    outage. Nor is any while our own clock is in doubt.
    """
    with SingleThreadExecutor("collector") as executor:
        collector = _Collector(deps, executor)
        try:
            await collector.open()
            await run_until_first_exits(collector.empty_queue(), collector.follow_broker())
        finally:
            deps.queue.stop_accepting()


class _Collector:
    def __init__(self, deps: CollectorDeps, executor: SingleThreadExecutor) -> None:
        self._deps = deps
        self._executor = executor
        self._clock = as_steady(deps.clock)
        self._guard = ClockGuard(
            self._clock, deps.batch_log, own_boot=deps.own_boot, metrics=deps.metrics
        )
        self._ingest = Ingest(
            deps.batch_log,
            width=deps.config.bin,
            clock=self._clock,
            metrics=deps.metrics,
            accept_unsigned=deps.accept_unsigned,
        )
        self._ingest.fleet_time = self._guard.fleet
        self._closer: BinCloser | None = None
        self._tracker: PresenceTracker | None = None
        self._link: Transport | None = None
        self._publish_failed = asyncio.Event()
        if deps.rate_advice is not None:
            deps.queue.rate_advice = RATE_ADVICE.pack(deps.rate_advice, deps.signer)

    async def open(self) -> None:
        while self._closer is None:
            try:
                self._closer = await self._executor.run(self._open)
            except StoreError as error:
                self._warn("store", str(error))
                await asyncio.sleep(_MAX_TICK_SECONDS)

    async def follow_broker(self) -> None:
        pace = min(self._deps.config.late_data_grace.total_seconds(), _MAX_TICK_SECONDS)
        while True:
            link = await connect_with_backoff(lambda: self._deps.connect(None), pace=pace)
            try:
                await self._use(link)
            except TransportError as error:
                online = await self._track(lambda tracker: tracker.on_broker_lost())
                more = f"; its {online} agents do not count as lost" if online else ""
                self._warn("broker", f"{error}{more}")
            await asyncio.sleep(pace / 10)

    async def empty_queue(self) -> None:
        waiting: list[QueuedMessage] = []
        while True:
            most = _MESSAGES_PER_TRANSACTION - len(waiting)
            queued = waiting + await self._deps.queue.take(most, wait=not waiting)
            try:
                acks, postponed = await self._executor.run(self._store, queued)
            except StoreError as error:
                # Without an acknowledgement the agents send the batches again.
                self._warn("batch_log", f"nothing can be stored: {error}")
                acks, postponed = {}, []
            waiting = _postpone(queued, postponed)
            # Also publish over MQTT: an HTTP client may have used another agent's id.
            over_mqtt = {
                topics.topic_agent(one.message.topic) for one in queued if one.response is None
            }
            for one in queued:
                one.respond(acks.get(topics.topic_agent(one.message.topic)))
            for agent, payload in acks.items():
                if agent in over_mqtt:
                    await self._publish_ack(agent, payload)

    async def _use(self, link: Transport) -> None:
        self._publish_failed.clear()
        try:
            await link.subscribe(topics.SHARED_BATCHES if self._deps.shared else topics.ALL_BATCHES)
            if self._tracker is not None:
                await link.subscribe(topics.ALL_PRESENCE)
            if self._deps.queue.rate_advice is not None:
                advice = self._deps.queue.rate_advice
                await link.publish(topics.RATE_ADVICE_TOPIC, advice, retain=True)
            self._link = link
            await self._track(lambda tracker: tracker.on_broker_up(self._deps.broker))
            await run_until_first_exits(
                self._receive(link), self._close_bins(), self._raise_publish_failure()
            )
        finally:
            self._link = None
            await link.__aexit__(None, None, None)

    async def _raise_publish_failure(self) -> None:
        await self._publish_failed.wait()
        raise TransportError("the broker accepts no more acknowledgements")

    async def _receive(self, link: Transport) -> None:
        """Queue messages; a retained batch is an old one and is ignored."""
        async for message in link.messages():
            if not message.retained or not topics.topic_matches(topics.ALL_BATCHES, message.topic):
                await self._deps.queue.put(message)

    async def _publish_ack(self, agent: str, payload: bytes) -> None:
        """Publish an acknowledgement; if that fails, the agent sends its batch again."""
        link = self._link
        if link is None:
            return
        try:
            await link.publish(topics.ack_topic(agent), payload)
        except TransportError:
            if link is self._link:
                self._link = None
                self._publish_failed.set()

    async def _close_bins(self) -> None:
        assert self._closer is not None
        grace = self._deps.config.late_data_grace
        listening_since, line = self._clock.monotonic(), self._clock.line
        tick = min(max(self._closer.width.total_seconds() / 10, 0.02), _MAX_TICK_SECONDS)
        while True:
            began = self._clock.monotonic()
            await asyncio.sleep(tick)
            await self._track(lambda tracker: tracker.tick())
            try:
                bound = await self._executor.run(self._guard.bound, self._closer.until, grace)
                paused = self._clock.monotonic() - began + self._clock.line - line
                line = self._clock.line
                if paused > _PAUSE_SECONDS:
                    listening_since = self._clock.monotonic()
                listened = self._clock.monotonic() - listening_since
                if bound is None or listened < grace.total_seconds():
                    continue
                if self._closer.until is not None and bound < self._closer.until:
                    await self._executor.run(self._closer.reopen, bound)
                    await self._track(lambda tracker: tracker.restart(self._deps.broker))
                await self._executor.run(self._closer.close, bound)
                await self._executor.run(self._closer.recount_late)
            except StoreError as error:
                self._warn("store", str(error))

    async def _track(self, call: Callable[[PresenceTracker], int | None]) -> int | None:
        """Call the presence tracker; a failure of its disk stops nothing else."""
        if self._tracker is None:
            return None
        try:
            return await self._executor.run(call, self._tracker)
        except StoreError as error:
            self._warn("presence_log", str(error))
            return None

    def _open(self) -> BinCloser:
        deps = self._deps
        deps.batch_log.trust = deps.trust
        self._guard.resume()
        closer = BinCloser(
            deps.batch_log,
            deps.store,
            targets=deps.targets,
            width=deps.config.bin,
            metrics=deps.metrics,
        )
        closer.presence_log = deps.presence_log
        if deps.amendments is not None:
            closer.review = AmendmentReview(
                deps.store, deps.amendments, width=closer.width, clock=self._clock
            )
        if deps.presence_log is not None:
            self._tracker = PresenceTracker(
                deps.presence_log,
                identify=deps.batch_log.identify,
                clock=self._clock,
                metrics=deps.metrics,
                settle_time=deps.settle_time,
            )
        return closer

    def _store(self, queued: Sequence[QueuedMessage]) -> tuple[dict[str, bytes], Sequence[Message]]:
        """Store messages; return the signed acknowledgement of each agent, and what must wait.

        Blocks.
        """
        assert self._closer is not None
        messages = [one.message for one in queued]
        batches = [one for one in messages if topics.topic_matches(topics.ALL_BATCHES, one.topic)]
        acks, postponed = self._ingest.ingest(batches, self._closer.until)
        if self._tracker is not None:
            try:
                # A will ends what was sent before it, such as the batches of this load.
                self._tracker.on_batch(ack.agent for ack in acks)
                for message in messages:
                    if topics.topic_matches(topics.ALL_PRESENCE, message.topic):
                        self._track_message(self._tracker, message)
            except StoreError as error:
                self._warn("presence_log", str(error))
        packed = {ack.agent: ACKNOWLEDGEMENT.pack(ack, self._deps.signer) for ack in acks}
        return packed, postponed

    def _track_message(self, tracker: PresenceTracker, message: Message) -> None:
        """Process a presence message: no single one may end the loop."""
        try:
            tracker.on_message(message)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect, whatever it is
            text = f"{message.topic[:100]}: {type(error).__name__}: {one_line(error)}"
            self._warn("presence_message", text)

    def _warn(self, component: str, text: str) -> None:
        self._deps.metrics.warn(self._deps.metrics.errors, component, text)


def _postpone(queued: Sequence[QueuedMessage], postponed: Sequence[Message]) -> list[QueuedMessage]:
    """Tell HTTP clients to send their messages later; return those of MQTT that can wait here."""
    later = {id(message) for message in postponed}
    waiting = []
    for one in queued:
        if id(one.message) in later:
            one.postpone()
            waiting += [one] if one.response is None else []
    return waiting[:_MAX_WAITING]
