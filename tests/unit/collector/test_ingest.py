import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from batch_counts import count_batches
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ingest_rig import IngestRig, answered

from netwatch.collector.file_import import import_batches
from netwatch.collector.metrics import by_label
from netwatch.model.measurement import Batch, Target, Vantage
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH, pack_batch
from netwatch.wire.export import FileKind, write_messages
from netwatch.wire.signing import Signer
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}


@pytest.fixture
def rig(tmp_path: Path) -> IngestRig:
    return IngestRig(tmp_path, START, BOOK)


def message(sequence: int, *minutes: float, sender: str = "a1", vantage: str = "a1") -> Message:
    rows = tuple(answered(START + timedelta(minutes=after)) for after in minutes)
    payload = pack_batch(Batch(Vantage(vantage), sequence, rows))
    return Message(batch_topic(sender), payload)


def test_stored_batches_are_acknowledged_in_ranges(rig: IngestRig) -> None:
    acks = rig.receive(message(1, 0), message(2, 0), message(4, 0), message(2, 0))
    assert [(one.agent, one.stored, one.refused) for one in acks] == [("a1", ((1, 2), (4, 4)), ())]
    assert acks[0].time_ms == START.timestamp() * 1000
    assert by_label(rig.metrics.batches)["stored"] == 3
    assert by_label(rig.metrics.batches)["repeated"] == 1
    assert by_label(rig.metrics.measurements)["stored"] == 3


def test_a_batch_under_another_name_is_ignored(rig: IngestRig) -> None:
    assert rig.receive(message(1, 0, sender="a2", vantage="a1")) == []
    assert by_label(rig.metrics.batches)["wrong_sender"] == 1
    assert count_batches(rig.batch_log) == 0


def test_equivocation_is_refused_and_counted(rig: IngestRig) -> None:
    rig.receive(message(1, 0))
    (ack,) = rig.receive(message(1, 1))
    assert ack.stored == ()
    assert ack.refused == ((1, "equivocation"),)
    assert by_label(rig.metrics.batches)["equivocation"] == 1


def test_a_batch_from_the_future_is_stored_once_its_time_has_come(rig: IngestRig) -> None:
    """It is never refused for good: the clock that is wrong may be ours."""
    assert rig.receive(message(1, 6)) == []
    assert by_label(rig.metrics.batches)["future"] == 1
    assert count_batches(rig.batch_log) == 0
    rig.now = START + timedelta(minutes=2)
    assert rig.receive_flat(message(1, 6)) == ([1], [])
    (ack,) = rig.receive(message(2, 4))
    assert ack.stored == ((2, 2),)


def test_measurements_dated_years_back_are_dropped_and_the_batch_stored(rig: IngestRig) -> None:
    (ack,) = rig.receive(message(1, -401 * 24 * 60), message(2, 0))
    assert ack.stored == ((1, 2),)
    assert by_label(rig.metrics.measurements)["too_old"] == 1
    assert by_label(rig.metrics.measurements)["stored"] == 1


def test_bad_input_is_counted_by_reason_and_logged_once(
    rig: IngestRig, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Message(batch_topic("a1"), b"garbage")
    large = Message(batch_topic("a1"), b"x" * 10_000_000)
    (ack,) = rig.receive(bad, bad, large, message(1, 0), bad)
    assert ack.stored == ((1, 1),)
    assert by_label(rig.metrics.batches)["garbled"] == 3
    assert by_label(rig.metrics.batches)["too_large"] == 1
    assert len(caplog.records) == 2


def test_a_late_batch_is_counted_into_its_closed_bin(rig: IngestRig) -> None:
    rig.receive(message(1, -10, -5))
    assert rig.closer.close(START) == 2
    assert rig.totals() == [1.0, 1.0]
    rig.receive(message(2, -10, -9))
    assert rig.closer.recount_late() == 1
    assert rig.totals() == [3.0, 1.0]
    assert rig.closer.recount_late() == 0
    assert by_label(rig.metrics.intervals)["recounted"] == 1


def test_closing_continues_after_a_crash(rig: IngestRig) -> None:
    """Counting a closed bin again changes nothing."""
    rig.receive(message(1, -60, -30, -1))
    rig.closer.close(START - timedelta(minutes=20))
    before = rig.totals()
    rig.reopen()
    assert rig.closer.until == START - timedelta(minutes=20)
    rig.closer.close(START)
    assert rig.totals() == [*before, 1.0]
    assert rig.store.closed_until() == START


def test_an_interval_without_data_closes_without_bins(rig: IngestRig) -> None:
    assert rig.closer.close(START) == 0  # without any batch there is no first bin
    rig.receive(message(1, -60))
    assert rig.closer.close(START) == 12
    assert rig.totals() == [1.0]


def signed(signer: Signer, sequence: int, *minutes: float) -> Message:
    plain = message(sequence, *minutes)
    return Message(plain.topic, signer.sign(plain.payload, BATCH.purpose))


def test_the_first_key_is_pinned(rig: IngestRig) -> None:
    """An impostor, signed or not, is neither stored nor acknowledged; the vantage still is."""
    ours, theirs = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
    assert len(rig.receive(signed(ours, 1, 0))) == 1
    assert rig.receive(signed(theirs, 2, 0)) == []
    assert rig.receive(message(3, 0)) == []
    assert by_label(rig.metrics.batches)["wrong_key"] == 2
    assert len(rig.receive(signed(ours, 2, 0))) == 1
    assert count_batches(rig.batch_log) == 2


def test_a_wrong_signature_is_garbled(rig: IngestRig) -> None:
    good = signed(Signer(Ed25519PrivateKey.generate()), 1, 0)
    assert rig.receive(Message(good.topic, good.payload[:-1] + b"?")) == []
    assert by_label(rig.metrics.batches)["garbled"] == 1


def test_an_unsigned_vantage_may_begin_to_sign(rig: IngestRig) -> None:
    rig.receive(message(1, 0))
    assert len(rig.receive(signed(Signer(Ed25519PrivateKey.generate()), 2, 0))) == 1
    assert rig.receive(message(3, 0)) == []


def test_a_file_is_imported_with_the_same_checks(rig: IngestRig, tmp_path: Path) -> None:
    ours = Signer(Ed25519PrivateKey.generate())
    path = tmp_path / "stick.nwx"
    messages = [signed(ours, number, 0).payload for number in range(250)]
    assert write_messages(path, [*messages, b"garbage"], FileKind.EXPORT) == 251
    shares: list[float] = []
    imported = import_batches(path, rig.ingest, closed_until=START, progress=shares.append)
    assert (imported.read, imported.problem, len(shares)) == (251, "", 3)
    assert 0 < shares[0] < shares[1] < shares[2] <= 1
    assert [ack.stored for ack in imported.acks] == [((0, 99),), ((100, 199),), ((200, 249),)]
    assert by_label(rig.metrics.batches)["garbled"] == 1
    import_batches(path, rig.ingest, closed_until=START)
    assert count_batches(rig.batch_log) == 250
    assert by_label(rig.metrics.batches)["repeated"] == 250


def test_a_pipe_is_imported_as_a_file(rig: IngestRig, tmp_path: Path) -> None:
    path = tmp_path / "stick.nwx"
    write_messages(path, [message(number, 0).payload for number in range(5)], FileKind.EXPORT)
    reader, writer = os.pipe()
    os.write(writer, path.read_bytes())
    os.close(writer)
    shares: list[float] = []
    pipe = Path(f"/dev/fd/{reader}")
    imported = import_batches(pipe, rig.ingest, closed_until=START, progress=shares.append)
    os.close(reader)
    assert (imported.read, imported.problem, shares) == (5, "", [1.0])


def test_batches_before_damage_are_stored(rig: IngestRig, tmp_path: Path) -> None:
    path = tmp_path / "stick.nwx"
    write_messages(path, [message(number, 0).payload for number in range(5)], FileKind.EXPORT)
    path.write_bytes(path.read_bytes()[:-3])
    imported = import_batches(path, rig.ingest, closed_until=START)
    assert imported.problem == f"{path}: ends in the middle of a message"
    assert [ack.stored for ack in imported.acks] == [((0, 3),)]
    for name, content in (("none", None), ("other", b"netwatch receipts 1\n")):
        bad = tmp_path / name
        if content is not None:
            bad.write_bytes(content)
        imported = import_batches(bad, rig.ingest, closed_until=START)
        assert imported.read == 0
        assert str(bad) in imported.problem
