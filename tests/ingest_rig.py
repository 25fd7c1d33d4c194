"""A collector's ingest on one batch log, without a broker, and with a clock that is set by hand."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics
from netwatch.model.measurement import Measurement, Target
from netwatch.model.voices import is_voices
from netwatch.protocols import Message
from netwatch.store.memory import MemoryStore
from netwatch.wire.ack import Ack

__all__ = ["WIDTH", "IngestRig", "answered"]

WIDTH = timedelta(minutes=5)


def answered(time: datetime) -> Measurement:
    """Return a measurement of the target `one` that succeeded."""
    return Measurement("one", "tcp", time, None, "", host_responded=True, seconds=0.01)


class IngestRig:
    """An ingest and a bin closer; `now` is the collector's time."""

    def __init__(self, folder: Path, now: datetime, targets: Mapping[str, Target]) -> None:
        self.now = now
        self.targets = targets
        self.metrics, self.store = CollectorMetrics(), MemoryStore()
        self.batch_log = BatchLog(folder / "batches.sqlite")
        self.ingest = Ingest(
            self.batch_log,
            width=WIDTH,
            clock=lambda: self.now,
            metrics=self.metrics,
            accept_unsigned=True,
        )
        self.reopen()

    def reopen(self) -> None:
        """Make a new bin closer, as after a restart."""
        self.closer = BinCloser(
            self.batch_log, self.store, targets=self.targets, width=WIDTH, metrics=self.metrics
        )

    def receive(self, *messages: Message) -> list[Ack]:
        """Ingest messages and return the acknowledgements."""
        return self.ingest.ingest(messages, self.closer.until).acks

    def receive_flat(self, *messages: Message) -> tuple[list[int], list[str]]:
        """Ingest messages; return the sequences that were stored, and the reasons of refusals."""
        acks = self.receive(*messages)
        stored = [
            sequence
            for ack in acks
            for low, high in ack.stored
            for sequence in range(low, high + 1)
        ]
        return stored, [reason for ack in acks for _, reason in ack.refused]

    def totals(self) -> list[float | None]:
        """Return the totals of all bins of measurements within nine days of `now`."""
        span = timedelta(days=9)
        bins = self.store.read_bins(self.now - span, self.now + span)
        return [one.total for one in bins if not is_voices(one)]
