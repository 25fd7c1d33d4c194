from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from batch_counts import count_batches
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.file_import import import_batches
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.model.measurement import Batch, Measurement, Target, Vantage
from netwatch.protocols import Message
from netwatch.store.memory import MemoryStore
from netwatch.wire.batch_codec import BATCH, pack_batch
from netwatch.wire.export import FileKind, write_messages
from netwatch.wire.signing import Signer
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}


class Bench:
    """An ingest and a closer on one batch log, with a fixed clock."""

    def __init__(self, folder: Path) -> None:
        self.metrics, self.store = CollectorMetrics(), MemoryStore()
        self.batch_log = BatchLog(folder / "batches.sqlite")
        self.ingest = Ingest(self.batch_log, width=WIDTH, clock=lambda: START, metrics=self.metrics)
        self.reopen()

    def reopen(self) -> None:
        self.closer = BinCloser(
            self.batch_log, self.store, targets=BOOK, width=WIDTH, metrics=self.metrics
        )

    def send(self, *messages: Message) -> list[object]:
        return list(self.ingest.ingest(messages, self.closer.until))

    def totals(self) -> list[float | None]:
        span = (START - timedelta(days=9), START + timedelta(days=9))
        return [found.total for found in self.store.read_bins(*span)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def message(sequence: int, *minutes: float, sender: str = "a1", vantage: str = "a1") -> Message:
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
    payload = pack_batch(Batch(Vantage(vantage), sequence, rows))
    return Message(batch_topic(sender), payload)


def test_stored_batches_are_acknowledged_in_ranges(bench: Bench) -> None:
    answers = bench.send(message(1, 0), message(2, 0), message(4, 0), message(2, 0))
    assert [(one.agent, one.stored, one.refused) for one in answers] == [
        ("a1", ((1, 2), (4, 4)), ())
    ]
    assert answers[0].time_ms == START.timestamp() * 1000
    assert by_label(bench.metrics.batches)["stored"] == 3
    assert by_label(bench.metrics.batches)["repeated"] == 1
    assert by_label(bench.metrics.measurements)["stored"] == 3


def test_a_batch_under_another_name_is_ignored(bench: Bench) -> None:
    assert bench.send(message(1, 0, sender="a2", vantage="a1")) == []
    assert by_label(bench.metrics.batches)["wrong_sender"] == 1
    assert count_batches(bench.batch_log) == 0


def test_equivocation_is_refused_and_counted(bench: Bench) -> None:
    bench.send(message(1, 0))
    (answer,) = bench.send(message(1, 1))
    assert answer.stored == ()
    assert answer.refused == ((1, "equivocation"),)
    assert by_label(bench.metrics.batches)["equivocation"] == 1


def test_a_batch_from_the_future_is_refused(bench: Bench) -> None:
    (answer,) = bench.send(message(1, 6))
    assert answer.refused == ((1, "future"),)
    assert count_batches(bench.batch_log) == 0
    (answer,) = bench.send(message(2, 4))
    assert answer.stored == ((2, 2),)


def test_measurements_dated_years_back_are_dropped_and_the_batch_stored(bench: Bench) -> None:
    (answer,) = bench.send(message(1, -401 * 24 * 60), message(2, 0))
    assert answer.stored == ((1, 2),)
    assert by_label(bench.metrics.measurements)["too_old"] == 1
    assert by_label(bench.metrics.measurements)["stored"] == 1


def test_bad_input_is_counted_by_reason_and_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Message(batch_topic("a1"), b"garbage")
    large = Message(batch_topic("a1"), b"x" * 10_000_000)
    (answer,) = bench.send(bad, bad, large, message(1, 0), bad)
    assert answer.stored == ((1, 1),)
    assert by_label(bench.metrics.batches)["garbled"] == 3
    assert by_label(bench.metrics.batches)["too_large"] == 1
    assert len(caplog.records) == 2


def test_a_late_batch_is_counted_into_its_closed_bin(bench: Bench) -> None:
    bench.send(message(1, -10, -5))
    assert bench.closer.close(START) == 2
    assert bench.totals() == [1.0, 1.0]
    bench.send(message(2, -10, -9))
    assert bench.closer.recount_late() == 1
    assert bench.totals() == [3.0, 1.0]
    assert bench.closer.recount_late() == 0
    assert by_label(bench.metrics.intervals)["recounted"] == 1


def test_closing_continues_after_a_crash(bench: Bench) -> None:
    """Counting a closed bin again changes nothing."""
    bench.send(message(1, -60, -30, -1))
    bench.closer.close(START - timedelta(minutes=20))
    before = bench.totals()
    bench.reopen()
    assert bench.closer.until == START - timedelta(minutes=20)
    bench.closer.close(START)
    assert bench.totals() == [*before, 1.0]
    assert bench.store.closed_until() == START


def test_an_interval_without_data_closes_without_bins(bench: Bench) -> None:
    assert bench.closer.close(START) == 0  # without any batch there is no first bin
    bench.send(message(1, -60))
    assert bench.closer.close(START) == 12
    assert bench.totals() == [1.0]


def signed(signer: Signer, sequence: int, *minutes: float) -> Message:
    plain = message(sequence, *minutes)
    return Message(plain.topic, signer.sign(plain.payload, BATCH.purpose))


def test_the_first_key_is_pinned(bench: Bench) -> None:
    """An impostor, signed or not, is neither stored nor acknowledged; the vantage still is."""
    ours, theirs = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
    assert len(bench.send(signed(ours, 1, 0))) == 1
    assert bench.send(signed(theirs, 2, 0)) == []
    assert bench.send(message(3, 0)) == []
    assert by_label(bench.metrics.batches)["wrong_key"] == 2
    assert len(bench.send(signed(ours, 2, 0))) == 1
    assert count_batches(bench.batch_log) == 2


def test_a_wrong_signature_is_garbled(bench: Bench) -> None:
    good = signed(Signer(Ed25519PrivateKey.generate()), 1, 0)
    assert bench.send(Message(good.topic, good.payload[:-1] + b"?")) == []
    assert by_label(bench.metrics.batches)["garbled"] == 1


def test_an_unsigned_vantage_may_begin_to_sign(bench: Bench) -> None:
    bench.send(message(1, 0))
    assert len(bench.send(signed(Signer(Ed25519PrivateKey.generate()), 2, 0))) == 1
    assert bench.send(message(3, 0)) == []


def test_a_file_is_imported_with_the_same_checks(bench: Bench, tmp_path: Path) -> None:
    ours = Signer(Ed25519PrivateKey.generate())
    path = tmp_path / "stick.nwx"
    messages = [signed(ours, number, 0).payload for number in range(250)]
    assert write_messages(path, [*messages, b"garbage"], FileKind.EXPORT) == 251
    shares: list[float] = []
    done = import_batches(path, bench.ingest, closed_until=START, progress=shares.append)
    assert (done.read, done.problem, len(shares)) == (251, "", 3)
    assert 0 < shares[0] < shares[1] < shares[2] <= 1
    assert [answer.stored for answer in done.acks] == [((0, 99),), ((100, 199),), ((200, 249),)]
    assert by_label(bench.metrics.batches)["garbled"] == 1
    import_batches(path, bench.ingest, closed_until=START)
    assert count_batches(bench.batch_log) == 250
    assert by_label(bench.metrics.batches)["repeated"] == 250


def test_batches_before_damage_are_stored(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "stick.nwx"
    write_messages(path, [message(number, 0).payload for number in range(5)], FileKind.EXPORT)
    path.write_bytes(path.read_bytes()[:-3])
    done = import_batches(path, bench.ingest, closed_until=START)
    assert done.problem == f"{path}: ends in the middle of a message"
    assert [answer.stored for answer in done.acks] == [((0, 3),)]
    for name, content in (("none", None), ("other", b"netwatch receipts 1\n")):
        bad = tmp_path / name
        if content is not None:
            bad.write_bytes(content)
        done = import_batches(bad, bench.ingest, closed_until=START)
        assert done.read == 0
        assert str(bad) in done.problem
