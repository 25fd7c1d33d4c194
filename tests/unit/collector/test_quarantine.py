"""One name, two contents: the agent is set aside, kept, and counted again when released."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.model.measurement import Batch, Measurement, Target, Vantage
from netwatch.protocols import Message
from netwatch.store.memory import MemoryStore
from netwatch.wire.batch_codec import pack_batch
from netwatch.wire.signing import BATCH, Signer
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}


class Desk:
    """An intake with a clock that stands still, and an agent that signs."""

    def __init__(self, folder: Path) -> None:
        self.signer = Signer(Ed25519PrivateKey.generate())
        self.metrics, self.store = CollectorMetrics(), MemoryStore()
        self.inbox = BatchLog(folder / "inbox.sqlite")
        self.intake = Ingest(self.inbox, clock=lambda: START, metrics=self.metrics)
        self.closer = BinCloser(
            self.inbox, self.store, targets=BOOK, width=WIDTH, metrics=self.metrics
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
        plain = pack_batch(Batch(Vantage(name, "XX", 64501), sequence, rows, supersedes))
        payload = self.signer.sign(plain, BATCH) if signed else plain
        return Message(batch_topic(name), payload)

    def take(self, *messages: Message) -> tuple[list[int], list[str]]:
        """Return the sequences that were acknowledged, and the reasons of refusals."""
        kept, refused = [], []
        for answer in self.intake.take(messages, self.closer):
            kept += [one for low, high in answer.stored for one in range(low, high + 1)]
            refused += [reason for _, reason in answer.refused]
        return kept, refused

    def counted(self) -> int:
        rows = self.inbox.measurements(START - timedelta(days=1), START + timedelta(days=1))
        return len(list(rows))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_other_content_under_one_name_sets_the_agent_aside(desk: Desk) -> None:
    assert desk.take(desk.message(1, -1)) == ([1], [])
    assert desk.take(desk.message(1, -2)) == ([], ["equivocation"])
    assert desk.take(desk.message(2, -1), desk.message(3, -1)) == ([2, 3], [])
    assert desk.counted() == 1  # what came before counts on, what came after does not
    assert desk.inbox.count_batches() == 3  # and nothing is lost
    assert by_label(desk.metrics.batches)["quarantined"] == 2


def test_another_agent_counts_on(desk: Desk) -> None:
    desk.take(desk.message(1, -1), desk.message(1, -2))
    assert desk.take(desk.message(1, -1, name="a2")) == ([1], [])
    assert desk.counted() == 2


def test_a_replayed_batch_is_acknowledged_and_changes_nothing(desk: Desk) -> None:
    desk.take(desk.message(1, -1))
    assert desk.take(desk.message(1, -1)) == ([1], [])
    assert desk.take(desk.message(2, -1)) == ([2], [])
    assert desk.counted() == 2
    assert by_label(desk.metrics.batches)["repeated"] == 1


def test_who_does_not_sign_cannot_be_framed(desk: Desk) -> None:
    desk.take(desk.message(1, -1, signed=False))
    assert desk.take(desk.message(1, -2, signed=False)) == ([], ["equivocation"])
    desk.take(desk.message(2, -1, signed=False))
    assert desk.counted() == 2


def test_who_signs_cannot_be_framed_by_another_key(desk: Desk) -> None:
    desk.take(desk.message(1, -1))
    ours, desk.signer = desk.signer, Signer(Ed25519PrivateKey.generate())
    assert desk.take(desk.message(1, -2)) == ([], [])
    desk.signer = ours
    desk.take(desk.message(2, -1))
    assert desk.counted() == 2


def test_released_it_counts_again_late_and_in_full(desk: Desk) -> None:
    desk.take(desk.message(1, -10), desk.message(1, -20))
    desk.take(desk.message(2, -10), desk.message(3, -10))
    # Thinned by the agent meanwhile: it takes the place of what is set aside, too.
    desk.take(desk.message(4, -9, supersedes=((2, 2),)))
    desk.closer.close(START)
    assert [found.total for found in _bins(desk)] == [1.0]
    assert desk.inbox.count_again("a1", width=WIDTH) == 3
    desk.closer.recount()
    assert [found.total for found in _bins(desk)] == [3.0]
    desk.take(desk.message(5, -1))
    assert desk.counted() == 4


def test_what_is_set_aside_replaces_nothing_that_counts(desk: Desk) -> None:
    """An agent under quarantine cannot make its earlier rows vanish."""
    desk.take(desk.message(1, -10), desk.message(1, -20))
    desk.take(desk.message(2, -9, supersedes=((1, 1),)))
    assert desk.counted() == 1
    desk.inbox.count_again("a1", width=WIDTH)
    assert desk.counted() == 1  # and here the other one counts


def test_erased_an_agent_leaves_nothing(desk: Desk) -> None:
    desk.take(desk.message(1, -10), desk.message(1, -20), desk.message(2, -10))
    desk.take(desk.message(1, -10, name="a2"))
    assert desk.inbox.erase("a1") == 2
    assert desk.inbox.count_batches() == 1
    desk.signer = Signer(Ed25519PrivateKey.generate())  # the name is free again
    assert desk.take(desk.message(1, -10)) == ([1], [])
    assert desk.counted() == 2


def _bins(desk: Desk) -> list:
    return list(desk.store.read_bins(START - timedelta(days=1), START + timedelta(days=1)))
