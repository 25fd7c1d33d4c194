"""Validates incoming batches (size, form, sender, time) and stores the valid ones."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from netwatch.collector.admission import Envelope, admit
from netwatch.collector.agent_tables import IngestResult, Standing
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.fleet_time import FleetTime
from netwatch.collector.metrics import CollectorMetrics
from netwatch.model.clock_samples import ClockSample
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch
from netwatch.model.steady_clock import TOLERANCE, as_steady
from netwatch.model.time import to_millis
from netwatch.protocols import Clock, Message
from netwatch.wire.ack import Ack, merge_ranges
from netwatch.wire.batch_codec import BATCH, OUTLINE, decoding_cost
from netwatch.wire.topics import is_agent_id, topic_agent

_MAX_AGE = timedelta(days=400)
"""A spool holds some months; older measurements come from a clock with a wrong year."""
_REFUSALS = {
    IngestResult.EQUIVOCATION: "has other content than before; look at: netwatch agents list",
    IngestResult.RETIRED: "is from a retired agent",
}

_SILENT = {
    IngestResult.WRONG_KEY: "is not signed with its key",
    IngestResult.DEFECT: "cannot be stored, by a defect of this program; please report it",
}
"""Results that are not acknowledged: the sender is not the agent named, or nothing is decided."""


@dataclass(slots=True)
class _Outcome:
    stored: list[tuple[int, int]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What is remembered of a batch once it is stored; `clock` is the newest of a signed one."""

    agent: str
    sequence: int
    rows: int
    clock: ClockSample | None


class Ingested(NamedTuple):
    """The result of one load; `postponed` messages were not decoded, and must be ingested later."""

    acks: list[Ack]
    postponed: list[Message]


class Ingest:
    """Turns messages into stored batches and their acknowledgements.

    `accept_unsigned` takes batches without a signature from agents that have no key yet.

    Attributes:
        fleet_time: learns the clocks of the agents that sign.
    """

    def __init__(
        self,
        batch_log: BatchLog,
        *,
        width: timedelta,
        clock: Clock,
        metrics: CollectorMetrics,
        accept_unsigned: bool = False,
    ) -> None:
        self._accept_unsigned = accept_unsigned
        self._width = width
        self._batch_log = batch_log
        self._clock = as_steady(clock)
        self.fleet_time = FleetTime(self._clock.monotonic, lambda _: "")
        self._metrics = metrics

    def ingest(self, messages: Sequence[Message], closed_until: datetime | None) -> Ingested:
        """Store the valid batches in one durable transaction. Blocks.

        Batches beyond the load that one transaction takes are returned, to be ingested later.
        Bins of `width` before `closed_until` that get new data are recorded as late.
        After a StoreError, nothing was stored, and nothing may be acknowledged.
        """
        if not messages:
            return Ingested([], [])
        outcomes: dict[str, _Outcome] = {}
        opened = [one for message in messages if (one := self._open(message)) is not None]
        admitted, postponed = admit(opened)
        taken: list[_Taken] = []
        results = self._batch_log.add(
            self._decoded(admitted, taken), closed_until=closed_until, width=self._width
        )
        for stored, result in zip(taken, results, strict=True):
            self._record(stored, result, outcomes)
        self._report_limits(len(postponed))
        # A time in doubt would move the agents' clocks, and the dates of all they measure.
        now = 0 if self._clock.in_doubt else to_millis(self._clock())
        acks = [
            Ack(agent, merge_ranges(outcome.stored), tuple(outcome.refused), now)
            for agent, outcome in outcomes.items()
        ]
        return Ingested(acks, [one.message for one in postponed])

    def _decoded(
        self,
        envelopes: Iterable[Envelope],
        taken: list[_Taken],
    ) -> Iterator[ReceivedBatch]:
        """Decode one batch at a time, so that only one is in memory."""
        for envelope in envelopes:
            received = self._decode(envelope)
            if received is not None:
                batch = received.batch
                clocks = batch.clock_samples if envelope.key is not None else ()
                clock = clocks[-1] if clocks else None
                rows = len(batch.measurements)
                taken.append(_Taken(batch.vantage.id, batch.sequence, rows, clock))
                yield received

    def _report_limits(self, postponed: int) -> None:
        if postponed:
            text = f"{postponed} batches wait, since those of one load take too long to decode"
            self._metrics.warn(self._metrics.batches, "postponed", text, amount=postponed)
        if waiting := self._batch_log.waiting_bins:
            text = f"{waiting} late intervals of agents that sent many are counted one by one"
            self._metrics.warn(self._metrics.intervals, "waiting", text, amount=waiting)

    def _record(self, one: _Taken, result: IngestResult, outcomes: dict[str, _Outcome]) -> None:
        agent = one.agent
        if result in _SILENT:
            self._refuse(result.value, f"batch {one.sequence} of {agent} {_SILENT[result]}")
            return
        outcome = outcomes.setdefault(agent, _Outcome())
        if result in _REFUSALS:
            outcome.refused.append((one.sequence, result.value))
            self._refuse(result.value, f"batch {one.sequence} of {agent} {_REFUSALS[result]}")
            return
        outcome.stored.append((one.sequence, one.sequence))
        self._metrics.batches.labels(result.value).inc()
        if result is IngestResult.STORED:
            self._metrics.measurements.labels("stored").inc(one.rows)
            if one.clock is not None:
                self.fleet_time.add(agent, one.clock)

    def _open(self, message: Message) -> Envelope | None:
        """Check what is known before a message is decoded: size, signature, and whose key it is."""
        sender, where = topic_agent(message.topic), message.topic[:100]
        if len(message.payload) > BATCH.limit:
            self._refuse("too_large", f"{where}: {len(message.payload)} bytes are too many")
            return None
        if not is_agent_id(sender):
            self._refuse("wrong_sender", f"{where}: the topic names no agent")
            return None
        try:
            plain, key = BATCH.verify(message.payload)
            standing = self._batch_log.standing(sender, key)
            if standing is Standing.WRONG_KEY:
                self._refuse("wrong_key", f"{where}: not signed with the key of {sender}")
            elif key is None and not self._accept_unsigned:
                self._refuse("unsigned", f"{where}: not signed; see `unsigned` of [collector]")
            else:
                cost = decoding_cost(plain)
                return Envelope(message, plain, key, sender, standing, cost)
        except InputError as error:
            self._refuse("garbled", f"{where}: {error}")
        return None

    def _decode(self, envelope: Envelope) -> ReceivedBatch | None:
        sender, where = envelope.sender, envelope.message.topic[:100]
        try:
            batch = OUTLINE.decode(envelope.plain)
        except InputError as error:
            self._refuse("garbled", f"{where}: {error}")
            return None
        if batch.vantage.id != sender:
            self._refuse("wrong_sender", f"{where}: the batch says it is from {batch.vantage.id}")
            return None
        now = self._clock()
        if self._is_ahead(batch, now):
            # Without an acknowledgement it is sent again, and counts once its time has come.
            self._refuse("future", f"batch {batch.sequence} of {sender} is in the future")
            return None
        if not batch.clock_segments:
            batch = self._without_old(batch)
        return ReceivedBatch(batch, envelope.message.payload, envelope.key, received_at=now)

    def _is_ahead(self, batch: Batch, now: datetime) -> bool:
        """Return whether a batch is from the future, so that a clock is wrong.

        Without clock samples the vantage's own times stand, so they must be plausible. With them,
        they are corrected, unless the clock in doubt is ours.
        """
        if batch.clock_segments and not self._clock.in_doubt:
            return False
        return any(row.time > now + TOLERANCE for row in batch.measurements)

    def _without_old(self, batch: Batch) -> Batch:
        if self._clock.in_doubt:
            return batch
        bound = self._clock() - _MAX_AGE
        recent = tuple(row for row in batch.measurements if row.time >= bound)
        old = len(batch.measurements) - len(recent)
        if not old:
            return batch
        text = f"batch {batch.sequence} of {batch.vantage.id}: {old} dated before {bound:%Y-%m-%d}"
        self._metrics.warn(self._metrics.measurements, "too_old", text, amount=old)
        return replace(batch, measurements=recent)

    def _refuse(self, result: str, text: str) -> None:
        self._metrics.warn(self._metrics.batches, result, text)
