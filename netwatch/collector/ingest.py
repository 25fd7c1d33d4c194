"""Judges what comes in: size, form, sender, time. Only what passes is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from netwatch.collector.batch_log import BatchLog, IngestResult, ReceivedBatch
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.metrics import CollectorMetrics
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch
from netwatch.protocols import Clock, Message
from netwatch.wire.ack import Ack, to_ranges
from netwatch.wire.batch_codec import MAX_MESSAGE_BYTES, unpack_batch
from netwatch.wire.signing import BATCH, open_signed
from netwatch.wire.topics import topic_agent

_TOLERANCE = timedelta(minutes=5)
"""How far ahead of ours a vantage's clock may be."""
_OLDEST = timedelta(days=400)
"""A spool holds some months; what is older was dated by a clock that did not know the year."""

_REFUSALS = {
    IngestResult.EQUIVOCATION: "came with other content; look at: netwatch agents list",
    IngestResult.RETIRED: "comes from an agent that was retired",
}


@dataclass(slots=True)
class _Answer:
    """What one agent is to be told."""

    kept: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


class Ingest:
    """Turns messages into kept batches and the acknowledgements for them."""

    def __init__(self, inbox: BatchLog, *, clock: Clock, metrics: CollectorMetrics) -> None:
        self._inbox = inbox
        self._clock = clock
        self._metrics = metrics

    def take(self, messages: Sequence[Message], closer: BinCloser) -> list[Ack]:
        """Keep what is sound in one durable transaction; return what to tell whom. Blocks.

        Raises:
            StoreError: the inbox took nothing; nobody must be told anything.
        """
        answers: dict[str, _Answer] = {}
        parcels = [parcel for message in messages if (parcel := self._open(message, answers))]
        verdicts = self._inbox.add(parcels, closed_until=closer.until, width=closer.width)
        for parcel, verdict in zip(parcels, verdicts, strict=True):
            batch = parcel.batch
            if verdict is IngestResult.WRONG_KEY:
                # No answer: who asks is not who is named.
                text = f"batch {batch.sequence} of {batch.vantage.id} is not signed with its key"
                self._metrics.warn(self._metrics.batches, verdict.value, text)
                continue
            answer = answers.setdefault(batch.vantage.id, _Answer())
            if verdict in _REFUSALS:
                answer.refused.append((batch.sequence, verdict.value))
                text = f"batch {batch.sequence} of {batch.vantage.id} {_REFUSALS[verdict]}"
                self._metrics.warn(self._metrics.batches, verdict.value, text)
                continue
            answer.kept.append(batch.sequence)
            self._metrics.batches.labels(verdict.value).inc()
            if verdict is IngestResult.STORED:
                self._metrics.measurements.labels("stored").inc(len(batch.measurements))
        now = int(self._clock().timestamp() * 1000)
        return [
            Ack(agent, to_ranges(answer.kept), tuple(answer.refused), now)
            for agent, answer in answers.items()
        ]

    def _open(self, message: Message, answers: dict[str, _Answer]) -> ReceivedBatch | None:
        """Return the batch of a sound message; count and log an unsound one."""
        sender = topic_agent(message.topic)
        if len(message.payload) > MAX_MESSAGE_BYTES:
            text = f"{message.topic[:100]}: {len(message.payload)} bytes are too many"
            self._metrics.warn(self._metrics.batches, "too_large", text)
            return None
        try:
            plain, key = open_signed(message.payload, BATCH)
            batch = unpack_batch(plain)
        except InputError as error:
            self._metrics.warn(self._metrics.batches, "garbled", f"{message.topic[:100]}: {error}")
            return None
        if batch.vantage.id != sender:
            text = f"{message.topic[:100]}: the batch says it is from {batch.vantage.id}"
            self._metrics.warn(self._metrics.batches, "wrong_sender", text)
            return None
        now = self._clock()
        if batch.clock_segments:
            # Its clocks may show anything: the inbox dates it by what is known of them.
            return ReceivedBatch(batch, message.payload, key, now, now)
        bound = now + _TOLERANCE
        if any(measurement.time > bound for measurement in batch.measurements):
            self._metrics.warn(
                self._metrics.batches,
                "future",
                f"batch {batch.sequence} of {sender} is in the future",
            )
            # A stranger must not get our word that somebody else's batch is of no use.
            if self._inbox.speaks_for(sender, key):
                answers.setdefault(sender, _Answer()).refused.append((batch.sequence, "future"))
            return None
        return ReceivedBatch(self._without_old(batch), message.payload, key, heard=now)

    def _without_old(self, batch: Batch) -> Batch:
        """Return a batch without what a clock dated years back; the rest of it is kept."""
        bound = self._clock() - _OLDEST
        recent = tuple(one for one in batch.measurements if one.time >= bound)
        if len(recent) == len(batch.measurements):
            return batch
        old = len(batch.measurements) - len(recent)
        text = f"batch {batch.sequence} of {batch.vantage.id}: {old} dated before {bound:%Y-%m-%d}"
        self._metrics.warn(self._metrics.measurements, "too_old", text, amount=old)
        return replace(batch, measurements=recent)
