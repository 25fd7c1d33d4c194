"""What a sender can make the collector count again, and what it costs everybody else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ingest_rig import WIDTH, IngestRig, answered

from netwatch.collector import batch_log, late_bins
from netwatch.collector.metrics import by_label
from netwatch.collector.trust_weights import TrustSettings
from netwatch.model.clock_samples import ClockSegment
from netwatch.model.measurement import Batch, Target, Vantage
from netwatch.protocols import Message
from netwatch.wire import batch_codec
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import Signer
from netwatch.wire.topics import batch_topic

NOW = datetime(2026, 6, 8, 16, 30, tzinfo=UTC)
DAY = timedelta(days=1)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}


class Rig(IngestRig):
    """A collector that has closed every bin until now, and an agent that signs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, NOW, BOOK)
        self.closer.until = NOW
        self.signer = Signer(Ed25519PrivateKey.generate())

    def message(
        self,
        sequence: int,
        *ago: timedelta,
        name: str = "a1",
        dated: bool = False,
        supersedes: tuple[tuple[int, int], ...] = (),
    ) -> Message:
        rows = tuple(answered(self.now - one) for one in ago)
        segments = (ClockSegment("", 0, 0, len(rows)),) if dated else ()
        batch = Batch(Vantage(name, "XX", 64501), sequence, rows, supersedes, segments)
        return Message(batch_topic(name), BATCH.pack(batch, self.signer))

    def work(self, *messages: Message) -> int:
        """Return the steps of SQLite that it takes to receive messages."""
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection = self.batch_log._file
        connection.set_progress_handler(count, 10)
        self.receive(*messages)
        connection.set_progress_handler(None, 0)
        return steps


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.batch_log.close()


@pytest.mark.parametrize("dated", [False, True])
def test_a_batch_over_400_days_marks_only_the_bins_of_its_rows(rig: Rig, *, dated: bool) -> None:
    rig.receive(rig.message(1, 399 * DAY, DAY, dated=dated))
    assert len(rig.batch_log.late_bins()) == 2


def test_replacing_a_batch_over_400_days_marks_only_the_bins_of_its_rows(rig: Rig) -> None:
    rig.receive(rig.message(1, 399 * DAY, DAY, dated=True))
    rig.batch_log.clear_late(rig.batch_log.late_bins())
    rig.receive(rig.message(2, 2 * DAY, supersedes=((1, 1),)))
    assert len(rig.batch_log.late_bins()) == 3


def test_an_agent_has_so_many_bins_counted_again_in_a_day_and_no_bin_is_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_bins, "AGENT_BINS_PER_DAY", 10)
    rig.receive(rig.message(1, *(number * WIDTH for number in range(1, 31))))
    assert by_label(rig.metrics.intervals)["waiting"] == 20
    rig.receive(rig.message(1, WIDTH, name="a2"))
    seen = set()
    while late := rig.batch_log.late_bins():
        seen |= set(late)
        rig.batch_log.clear_late(late)
        assert len(seen) >= 10
    assert len(seen) == 30
    rig.receive(rig.message(2, *(number * WIDTH for number in range(1, 31))))
    assert len(rig.batch_log.late_bins()) == 1  # the allowance is used up
    rig.now += DAY
    rig.receive(rig.message(3, DAY + WIDTH, DAY + 2 * WIDTH))
    assert len(rig.batch_log.late_bins()) >= 2


def test_a_backlog_of_72_hours_is_counted_again_at_once(rig: Rig) -> None:
    for number in range(72):
        ago = [timedelta(hours=number) + part * WIDTH for part in range(1, 13)]
        rig.receive(rig.message(number, *ago))
    assert len(rig.batch_log.late_bins()) == 72 * 12
    assert "waiting" not in by_label(rig.metrics.intervals)


def test_the_senders_of_late_data_are_known_until_it_is_counted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_start = NOW - WIDTH
    rig.closer.until = bin_start
    rig.receive(rig.message(1, WIDTH, name="a1"))
    rig.closer.until = NOW
    rig.receive(rig.message(1, WIDTH, name="a2"))
    assert rig.batch_log.late_senders(bin_start) == {"a2"}
    rig.batch_log.clear_late(rig.batch_log.late_bins())
    assert rig.batch_log.late_senders(bin_start) == set()
    monkeypatch.setattr(late_bins, "_MAX_SENDERS", 3)
    for number in range(5):
        rig.receive(rig.message(2, WIDTH, name=f"b{number}"))
    assert len(rig.batch_log.late_senders(bin_start)) == 3


def test_late_data_that_cannot_count_marks_nothing(rig: Rig) -> None:
    """Where agents that never enrolled have no weight, only the observatory's own vantage marks."""
    rig.batch_log.trust = TrustSettings(open_weight=0.0)
    rig.receive(rig.message(1, DAY))
    assert rig.batch_log.late_bins() == []
    rig.batch_log.trust = TrustSettings(open_weight=0.0, own_keys=lambda: {rig.signer.public})
    rig.receive(rig.message(2, 2 * DAY))
    assert len(rig.batch_log.late_bins()) == 1


def test_many_names_share_one_allowance(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_bins, "OPEN_BINS_PER_DAY", 10)
    for number in range(5):
        rig.signer = Signer(Ed25519PrivateKey.generate())
        ago = [(5 * number + part) * WIDTH for part in range(1, 6)]
        rig.receive(rig.message(1, *ago, name=f"a{number}"))
    assert by_label(rig.metrics.intervals)["waiting"] == 15


def test_superseded_ranges_cost_a_later_batch_nothing(rig: Rig) -> None:
    before = rig.work(rig.message(1, DAY))
    for number in range(20):
        start = 10_000 + 1_500 * number
        ranges = tuple((start + 3 * one, start + 3 * one + 1) for one in range(500))
        rig.receive(rig.message(100 + number, DAY, supersedes=ranges))
    assert rig.work(rig.message(2, DAY)) <= 1.2 * before


def test_superseded_ranges_are_merged_and_bounded(rig: Rig) -> None:
    rig.receive(rig.message(9, supersedes=((1, 2), (3, 3), (5, 6), (2, 5))))
    rig.receive(rig.message(10, supersedes=((8, 2**53 - 1),)))
    stored = rig.batch_log._file.execute("SELECT low, high FROM superseded_range ORDER BY low")
    assert stored.fetchall() == [(1, 6), (8, 2**53 - 1)]
    assert rig.receive_flat(rig.message(4, DAY)) == ([4], [])
    assert rig.receive_flat(rig.message(7, DAY)) == ([7], [])
    assert by_label(rig.metrics.batches) == {"stored": 3, "repeated": 1}


def test_a_range_over_many_stored_batches_is_worked_off(rig: Rig) -> None:
    for number in range(450):
        rig.receive(rig.message(number, WIDTH))
    rig.receive(rig.message(1000, 9 * WIDTH, supersedes=((0, 999),)))
    for _ in range(3):
        rig.batch_log.late_bins()
    rows = rig.batch_log.measurements(NOW - DAY, NOW)
    assert [row.time for _, row in rows] == [NOW - 9 * WIDTH]


def test_many_ranges_of_an_earlier_version_are_worked_off(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third stored batch is superseded, by more ranges than are looked at once."""
    monkeypatch.setattr(batch_log, "_LOOKED_AT_ONCE", 50)
    monkeypatch.setattr(batch_codec, "MAX_SUPERSEDED", 5_000)
    for number in range(450):
        rig.receive(rig.message(number, WIDTH))
    ranges = tuple((number, number) for number in range(0, 9_000, 3))
    assert rig.receive_flat(rig.message(10_000, supersedes=ranges)) == ([10_000], [])
    for _ in range(450 // 50):
        rig.batch_log.late_bins()
    assert len(list(rig.batch_log.measurements(NOW - DAY, NOW))) == 300
    query = "SELECT count(*) FROM superseding"
    assert rig.batch_log._file.execute(query).fetchone() == (0,)
    assert rig.receive_flat(rig.message(8_997, WIDTH)) == ([8_997], [])
    assert len(list(rig.batch_log.measurements(NOW - DAY, NOW))) == 300


def test_an_interval_reads_few_long_batches_of_one_agent(rig: Rig) -> None:
    for number in range(60):
        rig.receive(rig.message(number, 10 * DAY, WIDTH + timedelta(seconds=number)))
    rig.receive(rig.message(99, 9 * DAY, WIDTH, name="a2"))
    names = [vantage.id for vantage, _ in rig.batch_log.measurements(NOW - 2 * WIDTH, NOW)]
    assert names.count("a1") == 50
    assert names.count("a2") == 1


def test_an_interval_reads_few_batches_of_agents_that_do_not_count(rig: Rig) -> None:
    """New keys cost nothing, so all of them together get as much as one."""
    rig.batch_log.trust = TrustSettings(open_weight=0.0)
    for number in range(210):
        rig.receive(rig.message(1, WIDTH, name=f"new-{number}"))
    rows = list(rig.batch_log.measurements(NOW - 2 * WIDTH, NOW))
    assert (len(rows), rig.batch_log.unread) == (200, 10)


def test_an_interval_reads_so_many_rows_of_one_agent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_log, "_MAX_ROWS", 5)
    for number in range(10):
        rig.receive(rig.message(number, WIDTH, WIDTH))
    rig.receive(rig.message(99, WIDTH, name="a2"))
    names = [vantage.id for vantage, _ in rig.batch_log.measurements(NOW - 2 * WIDTH, NOW)]
    assert (names.count("a1"), names.count("a2"), rig.batch_log.unread) == (6, 1, 7)
