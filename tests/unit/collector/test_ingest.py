from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.file_import import import_batches
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.model.measurement import Batch, Measurement, Target, Vantage
from netwatch.protocols import Message
from netwatch.store.memory import MemoryStore
from netwatch.wire.batch_codec import pack_batch
from netwatch.wire.export import write_export
from netwatch.wire.signing import BATCH, Signer
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}


class Desk:
    """An intake and a closer on one inbox, with a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.metrics, self.store = CollectorMetrics(), MemoryStore()
        self.inbox = BatchLog(folder / "inbox.sqlite")
        self.intake = Ingest(self.inbox, clock=lambda: START, metrics=self.metrics)
        self.reopen()

    def reopen(self) -> None:
        self.closer = BinCloser(
            self.inbox, self.store, targets=BOOK, width=WIDTH, metrics=self.metrics
        )

    def take(self, *messages: Message) -> list[object]:
        return list(self.intake.take(messages, self.closer))

    def totals(self) -> list[float | None]:
        span = (START - timedelta(days=9), START + timedelta(days=9))
        return [found.total for found in self.store.read_bins(*span)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


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


def test_what_is_kept_is_acknowledged_in_ranges(desk: Desk) -> None:
    answers = desk.take(message(1, 0), message(2, 0), message(4, 0), message(2, 0))
    assert [(one.agent, one.stored, one.refused) for one in answers] == [
        ("a1", ((1, 2), (4, 4)), ())
    ]
    assert answers[0].time_ms == START.timestamp() * 1000
    assert by_label(desk.metrics.batches)["stored"] == 3
    assert by_label(desk.metrics.batches)["repeated"] == 1
    assert by_label(desk.metrics.measurements)["stored"] == 3


def test_a_stranger_cannot_speak_for_another(desk: Desk) -> None:
    assert desk.take(message(1, 0, sender="a2", vantage="a1")) == []
    assert by_label(desk.metrics.batches)["wrong_sender"] == 1
    assert desk.inbox.count_batches() == 0


def test_equivocation_is_refused_and_counted(desk: Desk) -> None:
    desk.take(message(1, 0))
    (answer,) = desk.take(message(1, 1))
    assert answer.stored == ()
    assert answer.refused == ((1, "equivocation"),)
    assert by_label(desk.metrics.batches)["equivocation"] == 1


def test_the_future_is_refused(desk: Desk) -> None:
    (answer,) = desk.take(message(1, 6))
    assert answer.refused == ((1, "future"),)
    assert desk.inbox.count_batches() == 0
    (answer,) = desk.take(message(2, 4))
    assert answer.stored == ((2, 2),)


def test_what_a_clock_dated_years_back_is_left_out_and_the_batch_kept(desk: Desk) -> None:
    (answer,) = desk.take(message(1, -401 * 24 * 60), message(2, 0))
    assert answer.stored == ((1, 2),)
    assert by_label(desk.metrics.measurements)["too_old"] == 1
    assert by_label(desk.metrics.measurements)["stored"] == 1


def test_bad_input_is_counted_by_reason_and_logged_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Message(batch_topic("a1"), b"garbage")
    large = Message(batch_topic("a1"), b"x" * 10_000_000)
    (answer,) = desk.take(bad, bad, large, message(1, 0), bad)
    assert answer.stored == ((1, 1),)
    assert by_label(desk.metrics.batches)["garbled"] == 3
    assert by_label(desk.metrics.batches)["too_large"] == 1
    assert len(caplog.records) == 2


def test_a_late_batch_is_counted_into_its_closed_bin(desk: Desk) -> None:
    desk.take(message(1, -10, -5))
    assert desk.closer.close(START) == 2
    assert desk.totals() == [1.0, 1.0]
    desk.take(message(2, -10, -9))
    assert desk.closer.recount() == 1
    assert desk.totals() == [3.0, 1.0]
    assert desk.closer.recount() == 0
    assert by_label(desk.metrics.intervals)["recounted"] == 1


def test_closing_goes_on_where_a_crash_left_it(desk: Desk) -> None:
    """Counting again what is in the store already changes nothing."""
    desk.take(message(1, -60, -30, -1))
    desk.closer.close(START - timedelta(minutes=20))
    before = desk.totals()
    desk.reopen()
    assert desk.closer.until == START - timedelta(minutes=20)
    desk.closer.close(START)
    assert desk.totals() == [*before, 1.0]
    assert desk.store.closed_until() == START


def test_an_interval_without_data_closes_without_bins(desk: Desk) -> None:
    assert desk.closer.close(START) == 0  # nothing was ever heard: there is no first bin
    desk.take(message(1, -60))
    assert desk.closer.close(START) == 12
    assert desk.totals() == [1.0]


def signed(signer: Signer, sequence: int, *minutes: float) -> Message:
    plain = message(sequence, *minutes)
    return Message(plain.topic, signer.sign(plain.payload, BATCH))


def test_the_first_key_is_the_vantages_key_for_good(desk: Desk) -> None:
    """An imposter, signed or not, is neither kept nor answered; the vantage goes on."""
    ours, theirs = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
    assert len(desk.take(signed(ours, 1, 0))) == 1
    assert desk.take(signed(theirs, 2, 0)) == []
    assert desk.take(message(3, 0)) == []
    assert by_label(desk.metrics.batches)["wrong_key"] == 2
    assert len(desk.take(signed(ours, 2, 0))) == 1
    assert desk.inbox.count_batches() == 2


def test_a_false_signature_is_garbled(desk: Desk) -> None:
    good = signed(Signer(Ed25519PrivateKey.generate()), 1, 0)
    assert desk.take(Message(good.topic, good.payload[:-1] + b"?")) == []
    assert by_label(desk.metrics.batches)["garbled"] == 1


def test_an_unsigned_vantage_may_begin_to_sign(desk: Desk) -> None:
    desk.take(message(1, 0))
    assert len(desk.take(signed(Signer(Ed25519PrivateKey.generate()), 2, 0))) == 1
    assert desk.take(message(3, 0)) == []


def test_a_file_comes_in_by_the_same_door(desk: Desk, tmp_path: Path) -> None:
    ours = Signer(Ed25519PrivateKey.generate())
    path = tmp_path / "stick.nwx"
    messages = [signed(ours, number, 0).payload for number in range(250)]
    assert write_export(path, [*messages, b"garbage"]) == 251
    shares: list[float] = []
    done = import_batches(path, desk.intake, desk.closer, progress=shares.append)
    assert (done.read, done.problem, len(shares)) == (251, "", 3)
    assert 0 < shares[0] < shares[1] < shares[2] <= 1
    assert [answer.stored for answer in done.answers] == [((0, 99),), ((100, 199),), ((200, 249),)]
    assert by_label(desk.metrics.batches)["garbled"] == 1
    import_batches(path, desk.intake, desk.closer)
    assert desk.inbox.count_batches() == 250
    assert by_label(desk.metrics.batches)["repeated"] == 250


def test_what_stands_before_damage_is_kept(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "stick.nwx"
    write_export(path, [message(number, 0).payload for number in range(5)])
    path.write_bytes(path.read_bytes()[:-3])
    done = import_batches(path, desk.intake, desk.closer)
    assert done.problem == f"{path}: ends in the middle of a batch"
    assert [answer.stored for answer in done.answers] == [((0, 3),)]
    for name, content in (("none", None), ("other", b"netwatch receipts 1\n")):
        bad = tmp_path / name
        if content is not None:
            bad.write_bytes(content)
        done = import_batches(bad, desk.intake, desk.closer)
        assert done.read == 0
        assert str(bad) in done.problem
