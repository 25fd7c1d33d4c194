"""The collector: hear, keep, acknowledge, and close bins while it can hear.

Batches come over the link to the broker and through the doors of the HTTP service; both end
in one mailbox, and one task empties it, so that doors work on while the broker is away.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random

from netwatch.aio.backoff import connect_with_backoff
from netwatch.aio.executor import SingleThreadExecutor
from netwatch.aio.tasks import run_until_first_exits
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.ingest import Ingest
from netwatch.collector.ingest_queue import IngestQueue, QueuedMessage
from netwatch.collector.metrics import CollectorMetrics
from netwatch.collector.presence_tracker import PresenceTracker
from netwatch.config import AnalysisConfig
from netwatch.model.errors import StoreError, TransportError
from netwatch.model.measurement import Target
from netwatch.protocols import Clock, Message, SeriesStore, Transport
from netwatch.signals.presence.log import PresenceLog, count_agents
from netwatch.wire.ack import Ack, pack_ack
from netwatch.wire.rate_advice import RateAdvice, pack_rate_advice
from netwatch.wire.signing import ACKNOWLEDGEMENT, RATE_ADVICE, Signer
from netwatch.wire.topics import (
    ALL_BATCHES,
    ALL_PRESENCE,
    RATE_ADVICE_TOPIC,
    SHARED_BATCHES,
    ack_topic,
    topic_agent,
)

_TOGETHER = 256
"""Messages in one transaction."""
_LONGEST_TICK = 1.0


@dataclass(frozen=True, slots=True)
class CollectorDeps:
    """Everything a collector is made of.

    Attributes:
        connect: makes a link to the broker, with the given last will or none.
        inbox: the durable raw log; the caller closes it.
        store: where bins go; used from one thread that is not the caller's.
        targets: the target book, by id.
        clock: the wall clock.
        config: bin width and grace.
        metrics: what was counted, for whoever shows it.
        signer: signs acknowledgements; without, they go unsigned.
        mailbox: where the doors of the HTTP service put what they are brought.
        attendance: the log of who is there, None to watch nobody; the caller closes it.
        settle: how long agents have to come back after our own link was down.
        drain: how fast agents may send, None to leave it to them.
        broker: what the broker is called in the attendance log.
        shared: whether several collectors share the batches between them.
        open_weight: how far agents are believed that never enrolled, 0 to 1.
    """

    connect: Callable[[Message | None], Transport]
    inbox: BatchLog
    store: SeriesStore
    targets: Mapping[str, Target]
    clock: Clock
    config: AnalysisConfig = field(default_factory=AnalysisConfig)
    metrics: CollectorMetrics = field(default_factory=CollectorMetrics)
    signer: Signer | None = None
    mailbox: IngestQueue = field(default_factory=IngestQueue)
    attendance: PresenceLog | None = None
    settle: timedelta = timedelta(minutes=3)
    drain: RateAdvice | None = None
    broker: str = ""
    shared: bool = False
    open_weight: float = 1.0


async def run_collector(parts: CollectorDeps) -> None:
    """Collect until cancelled. A dead broker or a full disk is waited out.

    An interval is closed `grace` after its end, and not before we have been listening for
    `grace`: after our own absence, agents first send what they kept. While the broker is
    away nothing is closed, since our failure is no outage.
    """
    with SingleThreadExecutor("collector") as worker:
        collector = _Collector(parts, worker)
        try:
            await collector.open()
            await run_until_first_exits(collector.keep(), collector.follow())
        finally:
            parts.mailbox.shut()


class _Collector:
    """The collector's tasks around one mailbox and one link after another."""

    def __init__(self, parts: CollectorDeps, worker: SingleThreadExecutor) -> None:
        self._parts = parts
        self._worker = worker
        self._intake = Ingest(parts.inbox, clock=parts.clock, metrics=parts.metrics)
        self._closer: BinCloser | None = None
        self._watcher: PresenceTracker | None = None
        self._link: Transport | None = None
        self._broken = asyncio.Event()
        self._drain = self._say_drain()
        parts.mailbox.drain = self._drain

    async def open(self) -> None:
        """Read from the store how far we have come, as soon as it lets us."""
        while self._closer is None:
            try:
                self._closer = await self._worker.run(self._open)
            except StoreError as error:
                self._parts.metrics.warn(self._parts.metrics.errors, "store", str(error))
                await asyncio.sleep(_LONGEST_TICK)

    async def follow(self) -> None:
        """Hold a link to the broker, and another when it breaks."""
        pace = min(self._parts.config.late_data_grace.total_seconds(), _LONGEST_TICK)
        while True:
            link = await connect_with_backoff(
                lambda: self._parts.connect(None),
                pace=pace,
                random=Random(),  # noqa: S311 - jitter
            )
            try:
                await self._hold(link)
            except TransportError as error:
                present = await self._watch(lambda watcher: watcher.went_deaf())
                more = f"; its {present} agents do not count as lost" if present else ""
                self._parts.metrics.warn(self._parts.metrics.errors, "broker", f"{error}{more}")
            await asyncio.sleep(pace / 10)

    async def keep(self) -> None:
        """Keep what arrives, as much at once as is there, then acknowledge it."""
        while True:
            arrivals = await self._parts.mailbox.take(_TOGETHER)
            try:
                answers = await self._worker.run(self._take, arrivals)
            except StoreError as error:
                # Not acknowledged: the agents keep it and send it again.
                self._parts.metrics.warn(
                    self._parts.metrics.errors, "batch_log", f"nothing can be kept: {error}"
                )
                answers = {}
            # Whoever posts under another's name must not keep his answer from him.
            over_link = {topic_agent(one.message.topic) for one in arrivals if one.answer is None}
            for arrival in arrivals:
                arrival.reply(answers.get(topic_agent(arrival.message.topic)))
            for agent, message in answers.items():
                if agent in over_link:
                    await self._tell(agent, message)

    async def _hold(self, link: Transport) -> None:
        """Use a link until it breaks.

        Raises:
            LinkError: it broke.
        """
        self._broken.clear()
        try:
            await link.subscribe(SHARED_BATCHES if self._parts.shared else ALL_BATCHES)
            if self._watcher is not None:
                await link.subscribe(ALL_PRESENCE)
            if self._drain is not None:
                await link.publish(RATE_ADVICE_TOPIC, self._drain, retain=True)
            self._link = link
            await self._watch(lambda watcher: watcher.came_back(self._parts.broker))
            await run_until_first_exits(self._listen(link), self._close(), self._broken_off())
        finally:
            self._link = None
            await link.__aexit__(None, None, None)

    async def _broken_off(self) -> None:
        """Wait until something could not be published.

        Raises:
            LinkError: it could not.
        """
        await self._broken.wait()
        raise TransportError("the broker took no more of our answers")

    async def _listen(self, link: Transport) -> None:
        """Bring messages from the link to the mailbox; retained batches are old and none."""
        async for message in link.messages():
            if not message.retained or not message.topic.endswith("/b"):
                await self._parts.mailbox.put(message)

    async def _tell(self, agent: str, message: bytes) -> None:
        """Publish an acknowledgement; where that fails, the agent will send again and ask."""
        link = self._link
        if link is None:
            return
        try:
            await link.publish(ack_topic(agent), message)
        except TransportError:
            if link is self._link:
                self._link = None
                self._broken.set()

    async def _close(self) -> None:
        """Close bins as their time comes."""
        assert self._closer is not None
        grace = self._parts.config.late_data_grace
        listening = self._parts.clock()
        tick = min(max(self._closer.width.total_seconds() / 10, 0.02), _LONGEST_TICK)
        while True:
            await asyncio.sleep(tick)
            await self._watch(lambda watcher: watcher.tick())
            bound = self._parts.clock() - grace
            if bound < listening:
                continue
            try:
                await self._worker.run(self._closer.close, bound)
                await self._worker.run(self._closer.recount)
            except StoreError as error:
                self._parts.metrics.warn(self._parts.metrics.errors, "store", str(error))

    async def _watch(self, call: Callable[[PresenceTracker], int | None]) -> int | None:
        """Let the watcher do something; its disk may be sick without stopping anything."""
        if self._watcher is None:
            return None
        try:
            return await self._worker.run(call, self._watcher)
        except StoreError as error:
            self._parts.metrics.warn(self._parts.metrics.errors, "presence_log", str(error))
            return None

    def _open(self) -> BinCloser:
        """Open what reads from disk; blocks."""
        parts = self._parts
        closer = BinCloser(
            parts.inbox,
            parts.store,
            targets=parts.targets,
            width=parts.config.bin,
            metrics=parts.metrics,
        )
        closer.open_weight = parts.open_weight
        if parts.attendance is not None:
            closer.beside = partial(count_agents, parts.attendance)
            self._watcher = PresenceTracker(
                parts.attendance,
                register=parts.inbox.identify,
                clock=parts.clock,
                metrics=parts.metrics,
                settle=parts.settle,
            )
        return closer

    def _take(self, arrivals: Sequence[QueuedMessage]) -> dict[str, bytes]:
        """Keep what arrived and return what to tell whom; blocks."""
        assert self._closer is not None
        messages = [one.message for one in arrivals]
        batches = [one for one in messages if one.topic.endswith("/b")]
        answers = self._intake.take(batches, self._closer) if batches else []
        if self._watcher is not None:
            try:
                # A will ends what came before it; the batches of this load came before it.
                self._watcher.hear(answer.agent for answer in answers)
                self._watcher.take(one for one in messages if one.topic.endswith("/p"))
            except StoreError as error:
                self._parts.metrics.warn(self._parts.metrics.errors, "presence_log", str(error))
        return {answer.agent: self._sign(answer) for answer in answers}

    def _sign(self, answer: Ack) -> bytes:
        message = pack_ack(answer)
        signer = self._parts.signer
        return message if signer is None else signer.sign(message, ACKNOWLEDGEMENT)

    def _say_drain(self) -> bytes | None:
        """Return what agents are told about how fast to send, signed where we can sign."""
        if self._parts.drain is None:
            return None
        message = pack_rate_advice(self._parts.drain)
        signer = self._parts.signer
        return message if signer is None else signer.sign(message, RATE_ADVICE)
