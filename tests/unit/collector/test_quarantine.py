"""Equivocation: the agent is quarantined, its batches stored, and counted once released."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from batch_counts import count_batches
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.model.measurement import Batch, Measurement, Target, Vantage
from netwatch.protocols import Message
from netwatch.store.memory import MemoryStore
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import Signer
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}


class Bench:
    """An ingest with a fixed clock, and an agent that signs."""

    def __init__(self, folder: Path) -> None:
        self.signer = Signer(Ed25519PrivateKey.generate())
        self.metrics, self.store = CollectorMetrics(), MemoryStore()
        self.batch_log = BatchLog(folder / "batches.sqlite")
        self.ingest = Ingest(self.batch_log, width=WIDTH, clock=lambda: START, metrics=self.metrics)
        self.closer = BinCloser(
            self.batch_log, self.store, targets=BOOK, width=WIDTH, metrics=self.metrics
        )

    def message(
        self,
        sequence: int,
        *minutes: float,
        name: str = "a1",
        signed: bool = True,
        supersedes: tuple[tuple[int, int], ...] = (),
    ) -> Message:
        rows = tuple(
            Measurement(
                "one",
                "tcp",
                START + timedelta(minutes=after),
                None,
                "",
                host_responded=True,
                seconds=0.01,
            )
            for after in minutes
        )
        batch = Batch(Vantage(name, "XX", 64501), sequence, rows, supersedes)
        payload = BATCH.pack(batch, self.signer if signed else None)
        return Message(batch_topic(name), payload)

    def send(self, *messages: Message) -> tuple[list[int], list[str]]:
        """Return the sequences that were acknowledged, and the reasons of refusals."""
        stored, refused = [], []
        for answer in self.ingest.ingest(messages, self.closer.until):
            stored += [one for low, high in answer.stored for one in range(low, high + 1)]
            refused += [reason for _, reason in answer.refused]
        return stored, refused

    def counted(self) -> int:
        rows = self.batch_log.measurements(START - timedelta(days=1), START + timedelta(days=1))
        return len(list(rows))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_equivocation_quarantines_the_agent(bench: Bench) -> None:
    assert bench.send(bench.message(1, -1)) == ([1], [])
    assert bench.send(bench.message(1, -2)) == ([], ["equivocation"])
    assert bench.send(bench.message(2, -1), bench.message(3, -1)) == ([2, 3], [])
    assert bench.counted() == 1  # earlier batches count, later ones do not
    assert count_batches(bench.batch_log) == 3
    assert by_label(bench.metrics.batches)["quarantined"] == 2


def test_another_agent_still_counts(bench: Bench) -> None:
    bench.send(bench.message(1, -1), bench.message(1, -2))
    assert bench.send(bench.message(1, -1, name="a2")) == ([1], [])
    assert bench.counted() == 2


def test_a_replayed_batch_is_acknowledged_and_changes_nothing(bench: Bench) -> None:
    bench.send(bench.message(1, -1))
    assert bench.send(bench.message(1, -1)) == ([1], [])
    assert bench.send(bench.message(2, -1)) == ([2], [])
    assert bench.counted() == 2
    assert by_label(bench.metrics.batches)["repeated"] == 1


def test_an_unsigned_agent_cannot_be_framed(bench: Bench) -> None:
    bench.send(bench.message(1, -1, signed=False))
    assert bench.send(bench.message(1, -2, signed=False)) == ([], ["equivocation"])
    bench.send(bench.message(2, -1, signed=False))
    assert bench.counted() == 2


def test_a_signing_agent_cannot_be_framed_with_another_key(bench: Bench) -> None:
    bench.send(bench.message(1, -1))
    ours, bench.signer = bench.signer, Signer(Ed25519PrivateKey.generate())
    assert bench.send(bench.message(1, -2)) == ([], [])
    bench.signer = ours
    bench.send(bench.message(2, -1))
    assert bench.counted() == 2


def test_a_released_agent_counts_in_full(bench: Bench) -> None:
    bench.send(bench.message(1, -10), bench.message(1, -20))
    bench.send(bench.message(2, -10), bench.message(3, -10))
    # Downsampled by the agent in the meantime: supersedes a quarantined batch too.
    bench.send(bench.message(4, -9, supersedes=((2, 2),)))
    bench.closer.close(START)
    assert [found.total for found in _bins(bench)] == [1.0]
    assert bench.batch_log.release("a1", width=WIDTH) == 3
    bench.closer.recount_late()
    assert [found.total for found in _bins(bench)] == [3.0]
    bench.send(bench.message(5, -1))
    assert bench.counted() == 4


def test_a_quarantined_batch_supersedes_nothing(bench: Bench) -> None:
    """A quarantined agent cannot remove its earlier rows."""
    bench.send(bench.message(1, -10), bench.message(1, -20))
    bench.send(bench.message(2, -9, supersedes=((1, 1),)))
    assert bench.counted() == 1
    bench.batch_log.release("a1", width=WIDTH)
    assert bench.counted() == 1  # now the other one counts


def test_an_erased_agent_leaves_nothing(bench: Bench) -> None:
    bench.send(bench.message(1, -10), bench.message(1, -20), bench.message(2, -10))
    bench.send(bench.message(1, -10, name="a2"))
    assert bench.batch_log.erase("a1") == 2
    assert count_batches(bench.batch_log) == 1
    bench.signer = Signer(Ed25519PrivateKey.generate())  # the name is free again
    assert bench.send(bench.message(1, -10)) == ([1], [])
    assert bench.counted() == 2


def _bins(bench: Bench) -> list:
    return list(bench.store.read_bins(START - timedelta(days=1), START + timedelta(days=1)))
