"""Batches under a name that is not the sender's: they neither harm its owner nor stay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ingest_rig import IngestRig, answered

from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import by_label
from netwatch.collector.registry import Registry
from netwatch.model.measurement import Batch, Target, Vantage
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import Signer
from netwatch.wire.topics import batch_topic

NOW = datetime(2026, 6, 8, 16, 30, tzinfo=UTC)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}
MINUTE = timedelta(minutes=1)


def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def message(
    sequence: int,
    ago: int,
    key: Signer | None,
    *,
    supersedes: tuple[tuple[int, int], ...] = (),
) -> Message:
    rows = (answered(NOW - ago * MINUTE),)
    batch = Batch(Vantage("a1", "XX", 64501), sequence, rows, supersedes)
    return Message(batch_topic("a1"), BATCH.pack(batch, key))


@pytest.fixture
def rig(tmp_path: Path) -> IngestRig:
    rig = IngestRig(tmp_path, NOW, BOOK)
    rig.closer.until = NOW
    return rig


def counted(rig: IngestRig) -> list[int]:
    rows = rig.batch_log.measurements(NOW - 60 * MINUTE, NOW)
    return sorted((NOW - row.time) // MINUTE for _, row in rows)


def test_unsigned_batches_are_refused_without_a_word_unless_configured(tmp_path: Path) -> None:
    rig = IngestRig(tmp_path, NOW, BOOK)
    strict = Ingest(rig.batch_log, width=MINUTE, clock=lambda: NOW, metrics=rig.metrics)
    assert strict.ingest([message(1, 1, None)], None).acks == []
    assert by_label(rig.metrics.batches) == {"unsigned": 1}
    assert counted(rig) == []


def test_a_signed_batch_replaces_the_unsigned_ones_of_its_name(rig: IngestRig) -> None:
    """Five forged batches quarantined the owner of the name."""
    for number in range(1, 6):
        rig.receive(message(number, 10 * number, None))
    rig.batch_log.clear_late(rig.batch_log.late_bins())
    owner = signer()
    for number in range(1, 6):
        assert rig.receive_flat(message(number, 1, owner)) == ([number], [])
    assert counted(rig) == [1] * 5
    assert len(rig.batch_log.late_bins()) >= 5  # where the forged ones counted
    assert rig.receive_flat(message(6, 2, None)) == ([], [])


def test_unsigned_batches_supersede_nothing_of_the_owner_of_the_name(rig: IngestRig) -> None:
    rig.receive(message(1, 9, None, supersedes=((0, 2**53 - 1),)))
    owner = signer()
    assert rig.receive_flat(message(7, 1, owner), message(8, 2, owner)) == ([7, 8], [])
    assert counted(rig) == [1, 2]


def test_an_equivocation_takes_two_signatures_of_the_agent(rig: IngestRig) -> None:
    owner = signer()
    rig.receive(message(1, 1, owner))
    for _ in range(5):
        rig.receive(message(1, 2, None), message(1, 3, signer()))
    assert rig.receive_flat(message(2, 2, owner)) == ([2], [])
    assert counted(rig) == [1, 2]
    assert rig.receive_flat(message(2, 3, owner)) == ([], ["equivocation"])
    rig.receive(message(3, 3, owner))
    assert counted(rig) == [1, 2]


def test_a_batch_of_a_lost_key_is_replaced_and_one_of_a_former_key_contradicts(
    rig: IngestRig, tmp_path: Path
) -> None:
    lost, former, owner = signer(), signer(), signer()
    rig.receive(message(1, 1, lost))
    with Registry(tmp_path / "batches.sqlite") as registry, registry._database.transaction():
        registry._file.execute("UPDATE vantage SET key = ?", (former.public,))
    assert rig.receive_flat(message(1, 2, former)) == ([1], [])
    assert counted(rig) == [2]
    with Registry(tmp_path / "batches.sqlite") as registry:
        registry.change_key("a1", former.public, owner.public, now=NOW)
    assert rig.receive_flat(message(1, 3, owner)) == ([], ["equivocation"])


def test_a_strangers_batch_is_not_decoded(rig: IngestRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.receive(message(1, 1, signer()))
    monkeypatch.setattr("netwatch.collector.ingest.decoding_cost", pytest.fail)
    assert rig.receive_flat(message(2, 1, signer())) == ([], [])
    assert by_label(rig.metrics.batches)["wrong_key"] == 1
