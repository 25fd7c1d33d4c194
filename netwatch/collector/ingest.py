"""Validates incoming batches (size, form, sender, time) and stores the valid ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from netwatch.collector.agent_tables import IngestResult
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.metrics import CollectorMetrics
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch
from netwatch.model.time import to_millis
from netwatch.protocols import Clock, Message
from netwatch.wire.ack import Ack, merge_ranges
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.topics import topic_agent

_MAX_AHEAD = timedelta(minutes=5)
"""How far a vantage's clock may be ahead of the collector's."""
_MAX_AGE = timedelta(days=400)
"""A spool holds some months; older measurements come from a clock with a wrong year."""
_REFUSALS = {
    IngestResult.EQUIVOCATION: "has other content than before; look at: netwatch agents list",
    IngestResult.RETIRED: "is from a retired agent",
}


@dataclass(slots=True)
class _Outcome:
    stored: list[tuple[int, int]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


class Ingest:
    """Turns messages into stored batches and their acknowledgements."""

    def __init__(
        self, batch_log: BatchLog, *, width: timedelta, clock: Clock, metrics: CollectorMetrics
    ) -> None:
        self._width = width
        self._batch_log = batch_log
        self._clock = clock
        self._metrics = metrics

    def ingest(self, messages: Sequence[Message], closed_until: datetime | None) -> list[Ack]:
        """Store the valid batches in one durable transaction; return the acks. Blocks.

        Bins of `width` before `closed_until` that get new data are recorded as late.
        After a StoreError, nothing was stored, and nothing may be acknowledged.
        """
        outcomes: dict[str, _Outcome] = {}
        received = [batch for message in messages if (batch := self._open(message, outcomes))]
        results = self._batch_log.add(received, closed_until=closed_until, width=self._width)
        for one, result in zip(received, results, strict=True):
            self._record(one.batch, result, outcomes)
        now = to_millis(self._clock())
        return [
            Ack(agent, merge_ranges(outcome.stored), tuple(outcome.refused), now)
            for agent, outcome in outcomes.items()
        ]

    def _record(self, batch: Batch, result: IngestResult, outcomes: dict[str, _Outcome]) -> None:
        agent = batch.vantage.id
        if result is IngestResult.WRONG_KEY:
            # No ack: the sender is not the agent that the batch names.
            text = f"batch {batch.sequence} of {agent} is not signed with its key"
            self._metrics.warn(self._metrics.batches, result.value, text)
            return
        outcome = outcomes.setdefault(agent, _Outcome())
        if result in _REFUSALS:
            outcome.refused.append((batch.sequence, result.value))
            text = f"batch {batch.sequence} of {agent} {_REFUSALS[result]}"
            self._metrics.warn(self._metrics.batches, result.value, text)
            return
        outcome.stored.append((batch.sequence, batch.sequence))
        self._metrics.batches.labels(result.value).inc()
        if result is IngestResult.STORED:
            self._metrics.measurements.labels("stored").inc(len(batch.measurements))

    def _open(self, message: Message, outcomes: dict[str, _Outcome]) -> ReceivedBatch | None:
        sender, where = topic_agent(message.topic), message.topic[:100]
        if len(message.payload) > BATCH.limit:
            self._refuse("too_large", f"{where}: {len(message.payload)} bytes are too many")
            return None
        try:
            batch, key = BATCH.unpack(message.payload)
        except InputError as error:
            self._refuse("garbled", f"{where}: {error}")
            return None
        if batch.vantage.id != sender:
            self._refuse("wrong_sender", f"{where}: the batch says it is from {batch.vantage.id}")
            return None
        now = self._clock()
        if not batch.clock_segments:
            # Without clock samples the vantage's own times stand, so they must be plausible.
            if any(row.time > now + _MAX_AHEAD for row in batch.measurements):
                self._refuse("future", f"batch {batch.sequence} of {sender} is in the future")
                # Only the owner of the name may learn that its batch is refused.
                if self._batch_log.key_of(sender) in {None, key}:
                    refused = outcomes.setdefault(sender, _Outcome()).refused
                    refused.append((batch.sequence, "future"))
                return None
            batch = self._without_old(batch)
        return ReceivedBatch(batch, message.payload, key, received_at=now)

    def _without_old(self, batch: Batch) -> Batch:
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
