"""Equivocation: the agent is quarantined, its batches stored, and counted once released."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from batch_counts import count_batches
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ingest_rig import WIDTH, IngestRig, answered

from netwatch.collector.metrics import by_label
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Target, Vantage
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import Signer
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}


class Rig(IngestRig):
    """An ingest with a fixed clock, and an agent that signs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, START, BOOK)
        self.signer = Signer(Ed25519PrivateKey.generate())

    def message(
        self,
        sequence: int,
        *minutes: float,
        name: str = "a1",
        signed: bool = True,
        supersedes: tuple[tuple[int, int], ...] = (),
    ) -> Message:
        rows = tuple(answered(START + timedelta(minutes=after)) for after in minutes)
        batch = Batch(Vantage(name, "XX", 64501), sequence, rows, supersedes)
        payload = BATCH.pack(batch, self.signer if signed else None)
        return Message(batch_topic(name), payload)

    def counted(self) -> int:
        rows = self.batch_log.measurements(START - timedelta(days=1), START + timedelta(days=1))
        return len(list(rows))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_an_equivocation_quarantines_the_agent(rig: Rig) -> None:
    assert rig.receive_flat(rig.message(1, -1)) == ([1], [])
    assert rig.receive_flat(rig.message(1, -2)) == ([], ["equivocation"])
    assert rig.receive_flat(rig.message(2, -1), rig.message(3, -1)) == ([2, 3], [])
    assert rig.counted() == 1  # earlier batches count, later ones do not
    assert count_batches(rig.batch_log) == 3
    assert by_label(rig.metrics.batches)["quarantined"] == 2


def test_another_agent_still_counts(rig: Rig) -> None:
    rig.receive_flat(rig.message(1, -1), rig.message(1, -2))
    assert rig.receive_flat(rig.message(1, -1, name="a2")) == ([1], [])
    assert rig.counted() == 2


def test_a_replayed_batch_is_acknowledged_and_changes_nothing(rig: Rig) -> None:
    rig.receive_flat(rig.message(1, -1))
    assert rig.receive_flat(rig.message(1, -1)) == ([1], [])
    assert rig.receive_flat(rig.message(2, -1)) == ([2], [])
    assert rig.counted() == 2
    assert by_label(rig.metrics.batches)["repeated"] == 1


def test_an_unsigned_agent_cannot_be_framed(rig: Rig) -> None:
    rig.receive_flat(rig.message(1, -1, signed=False))
    assert rig.receive_flat(rig.message(1, -2, signed=False)) == ([], ["equivocation"])
    rig.receive_flat(rig.message(2, -1, signed=False))
    assert rig.counted() == 2


def test_a_signing_agent_cannot_be_framed_with_another_key(rig: Rig) -> None:
    rig.receive_flat(rig.message(1, -1))
    ours, rig.signer = rig.signer, Signer(Ed25519PrivateKey.generate())
    assert rig.receive_flat(rig.message(1, -2)) == ([], [])
    rig.signer = ours
    rig.receive_flat(rig.message(2, -1))
    assert rig.counted() == 2


def test_a_released_agent_counts_in_full(rig: Rig) -> None:
    rig.receive_flat(rig.message(1, -10), rig.message(1, -20))
    rig.receive_flat(rig.message(2, -10), rig.message(3, -10))
    # Downsampled by the agent in the meantime: supersedes a quarantined batch too.
    rig.receive_flat(rig.message(4, -9, supersedes=((2, 2),)))
    rig.closer.close(START)
    assert rig.totals() == [1.0]
    assert rig.batch_log.release("a1", width=WIDTH) == 3
    rig.closer.recount_late()
    assert rig.totals() == [3.0]
    rig.receive_flat(rig.message(5, -1))
    assert rig.counted() == 4


def test_a_quarantined_batch_supersedes_nothing(rig: Rig) -> None:
    """A quarantined agent cannot remove its earlier rows."""
    rig.receive_flat(rig.message(1, -10), rig.message(1, -20))
    rig.receive_flat(rig.message(2, -9, supersedes=((1, 1),)))
    assert rig.counted() == 1
    rig.batch_log.release("a1", width=WIDTH)
    assert rig.counted() == 1  # now the other one counts


def test_an_erased_agent_leaves_nothing(rig: Rig) -> None:
    rig.receive_flat(rig.message(1, -10), rig.message(1, -20), rig.message(2, -10))
    rig.receive_flat(rig.message(1, -10, name="a2"))
    assert rig.batch_log.erase("a1", now=rig.now) == 2
    assert count_batches(rig.batch_log) == 1
    rig.signer = Signer(Ed25519PrivateKey.generate())  # the name is free again
    assert rig.receive_flat(rig.message(1, -10)) == ([1], [])
    assert rig.counted() == 2


def test_an_agent_that_has_sent_nothing_cannot_be_released(rig: Rig) -> None:
    """Nobody should believe that it was vetted, or that a name is known that was misspelt."""
    with pytest.raises(InputError, match="'a9' has sent nothing yet"):
        rig.batch_log.release("a9", width=WIDTH)
