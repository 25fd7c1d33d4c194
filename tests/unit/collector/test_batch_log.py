from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import DatabaseError, IntegrityError, OperationalError, connect
from unittest.mock import Mock

import pytest
from batch_counts import count_batches

from netwatch.collector import clock_corrector
from netwatch.collector.agent_tables import IngestResult
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.registry import Registry
from netwatch.model.clock_samples import ClockSample, ClockSegment, ClockSource
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.model.time import to_millis
from netwatch.wire.batch_codec import pack_batch

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
HOUR = timedelta(hours=1)
END = START + 24 * HOUR


def received(sequence: int, *seconds: float, vantage: str = "a1") -> ReceivedBatch:
    rows = tuple(
        Measurement(
            "one",
            "tcp",
            START + timedelta(seconds=after),
            None,
            "",
            host_responded=True,
            seconds=0.01,
        )
        for after in seconds
    )
    batch = Batch(Vantage(vantage, "IR", 44244), sequence, rows)
    return ReceivedBatch(batch, pack_batch(batch), None, START)


def add(
    batch_log: BatchLog, *batches: ReceivedBatch, closed: datetime | None = None
) -> list[IngestResult]:
    return batch_log.add(batches, closed_until=closed, width=WIDTH)


def times(batch_log: BatchLog, start: datetime, end: datetime) -> list[float]:
    return sorted(
        (row.time - START).total_seconds() for _, row in batch_log.measurements(start, end)
    )


def test_an_interval_is_half_open_and_yields_the_vantage(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        add(batch_log, received(1, -1, 0, 299.999, 300))
        assert times(batch_log, START, START + WIDTH) == [0, 299.999]
        ((vantage, _),) = batch_log.measurements(START - WIDTH, START)
        assert vantage == Vantage("a1", "IR", 44244)
        assert batch_log.first_time() == START - timedelta(seconds=1)


def test_a_batch_counts_once_and_its_sequence_is_used(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        assert add(batch_log, received(1, 0), received(1, 0)) == [
            IngestResult.STORED,
            IngestResult.REPEATED,
        ]
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        assert add(batch_log, received(1, 0)) == [IngestResult.REPEATED]
        assert add(batch_log, received(1, 7)) == [IngestResult.EQUIVOCATION]
        assert add(batch_log, received(1, 7, vantage="a2")) == [IngestResult.STORED]
        assert times(batch_log, START, START + HOUR) == [0, 7]


def test_a_batch_that_spans_days_is_found_in_the_middle(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        add(batch_log, received(1, 0, 86_400, 2 * 86_400), received(2, 3_599, 7_100))
        day = START + timedelta(days=1)
        assert times(batch_log, day, day + WIDTH) == [86_400]
        assert times(batch_log, START + timedelta(seconds=7_000), START + 2 * HOUR) == [7_100]


def test_data_for_closed_bins_is_recorded_as_late(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        closed = START + 2 * WIDTH
        add(batch_log, received(1, 10, 20, 310, 700), closed=closed)
        assert batch_log.late_bins() == [START, START + WIDTH]
        batch_log.clear_late([START])
        add(batch_log, received(1, 10, 20, 310, 700), closed=closed)
        assert batch_log.late_bins() == [START + WIDTH]
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        assert batch_log.late_bins() == [START + WIDTH]


def test_a_superseded_batch_marks_only_the_bins_of_its_rows(tmp_path: Path) -> None:
    """A batch over months must not make the collector count every bin between its rows."""
    rows = received(2, 10).batch.measurements
    newer = Batch(Vantage("a1", "IR", 44244), 2, rows, supersedes=((1, 1),))
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        add(batch_log, received(1, 10, 86_400))
        add(batch_log, ReceivedBatch(newer, pack_batch(newer), None, START), closed=END + 24 * HOUR)
        assert batch_log.late_bins() == [START, START + 24 * HOUR]


def test_a_released_batch_marks_only_the_bins_of_its_rows(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        with connect(tmp_path / "batches.sqlite") as file:
            file.execute("INSERT INTO quarantine VALUES ('a1', 0, 'equivocation')")
        file.close()
        add(batch_log, received(2, 10, 86_400), closed=END + 24 * HOUR)
        assert batch_log.release("a1", width=WIDTH) == 1
        assert batch_log.late_bins() == [START, START + 24 * HOUR]


@pytest.mark.parametrize("offset", [-60, -20, 0, 20, 60])
def test_a_time_that_needs_no_correction_is_in_its_own_bin(tmp_path: Path, offset: int) -> None:
    """The estimated time, some milliseconds off, may lie in a neighbouring bin."""
    boot, shift = "ab" * 8, to_millis(START)
    sample = ClockSample(boot, 0, shift, ClockSource.COLLECTOR, synced=True, offset=offset, error=9)
    for number, after in enumerate((0, 299.999)):
        rows = received(1, after).batch.measurements
        segments = (ClockSegment(boot, shift, 0, 1),)
        batch = Batch(Vantage("a1"), 1, rows, (), segments, (sample,))
        with BatchLog(tmp_path / f"{number}.sqlite") as batch_log:
            add(batch_log, ReceivedBatch(batch, pack_batch(batch), None, START + HOUR), closed=END)
            assert times(batch_log, START, START + WIDTH) == [after]
            assert batch_log.late_bins() == [START]


def test_an_empty_log_has_no_first_time(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        assert batch_log.first_time() is None
        assert times(batch_log, START, START + HOUR) == []


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        add(batch_log, received(1, 0))
        batch_log._file.execute("PRAGMA max_page_count = 1")
        many = [received(number, *range(number, number + 400)) for number in range(2, 60)]
        with pytest.raises(StoreError, match=r"batches\.sqlite: database or disk is full"):
            add(batch_log, *many)
        batch_log._file.execute("PRAGMA max_page_count = 100000")
        assert count_batches(batch_log) == 1
        assert add(batch_log, *many) == [IngestResult.STORED] * 58


@pytest.mark.parametrize("kind", [OperationalError, DatabaseError])
def test_an_error_of_the_disk_is_no_defect_of_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        monkeypatch.setattr(batch_log._superseded, "contains", Mock(side_effect=kind("disk")))
        with pytest.raises(StoreError):
            add(batch_log, received(1, 0))
        monkeypatch.undo()
        assert count_batches(batch_log) == 0
        assert add(batch_log, received(1, 0)) == [IngestResult.STORED]


def test_a_batch_that_breaks_a_rule_of_the_tables_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        answers = Mock(side_effect=[False, IntegrityError("not unique"), False])
        monkeypatch.setattr(batch_log._superseded, "contains", answers)
        results = add(batch_log, *(received(number, number) for number in range(3)))
        assert results == [IngestResult.STORED, IngestResult.DEFECT, IngestResult.STORED]
        assert count_batches(batch_log) == 2


def test_a_superseded_range_that_ends_before_it_starts_holds_nothing(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        for sequence, ranges in ((1, [(7, 10)]), (2, [(10, 5)]), (3, [(12, 8)])):
            one = received(sequence, sequence)
            batch = replace(one.batch, supersedes=tuple(ranges))
            assert add(batch_log, replace(one, batch=batch)) == [IngestResult.STORED]
        assert add(batch_log, received(6, 6), received(7, 7)) == [
            IngestResult.STORED,
            IngestResult.REPEATED,
        ]


def test_a_file_that_is_not_a_database_gives_a_one_line_error(tmp_path: Path) -> None:
    path = tmp_path / "batches.sqlite"
    path.write_bytes(b"this is no database, however long it may be" * 100)
    with pytest.raises(StoreError, match=r"batches\.sqlite: is not a database"):
        BatchLog(path)


def test_an_agent_is_identified_by_its_newest_batch_and_its_enrollment(tmp_path: Path) -> None:
    def of(sequence: int, country: str, asn: int) -> ReceivedBatch:
        batch = Batch(Vantage("a1", country, asn), sequence, ())
        return ReceivedBatch(batch, pack_batch(batch), b"k" * 32, START)

    path, keys = tmp_path / "batches.sqlite", frozenset([b"k" * 32])
    with BatchLog(path) as batch_log:
        assert batch_log.identify("a1", START) is None
        add(batch_log, of(5, "IR", 44244))
        assert batch_log.identify("a1", START) == (Vantage("a1", "IR", 44244), keys)
        add(batch_log, of(9, "TR", 9121), of(7, "DE", 3320))
        assert batch_log.identify("a1", START) == (Vantage("a1", "TR", 9121), keys)
        with connect(path) as other:
            row = ("a1", "IQ", 0, "", 1, "1.0", 0)
            other.execute("INSERT INTO agent VALUES (?, ?, ?, ?, ?, ?, ?, NULL, '')", row)
        other.close()
        assert batch_log.identify("a1", START) == (Vantage("a1", "IQ", 9121), keys)
        with connect(path) as other:
            other.execute("UPDATE agent SET retired = 1")
        other.close()
        assert batch_log.identify("a1", START) == (Vantage("a1", "TR", 9121), keys)
        assert batch_log.identify("a2", START) is None


def test_a_former_key_identifies_its_agent_while_it_may_be_used(tmp_path: Path) -> None:
    path = tmp_path / "batches.sqlite"
    old, new = b"k" * 32, b"n" * 32
    with BatchLog(path) as batch_log:
        batch = received(1, 0).batch
        add(batch_log, ReceivedBatch(batch, pack_batch(batch), old, START))
        with Registry(path) as registry:
            registry.change_key("a1", old, new, now=START)
        for after, keys in ((0, {old, new}), (24, {old, new}), (25, {new})):
            found = batch_log.identify("a1", START + after * HOUR)
            assert found == (batch.vantage, frozenset(keys))


def test_an_anchor_that_corrects_a_whole_boot_does_so_in_small_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches arrive without an anchor, so that they are in no interval; then one dates all."""
    monkeypatch.setattr(clock_corrector, "_MOVED_AT_ONCE", 7)
    boot, shift = "ab" * 8, to_millis(START)

    def dated(sequence: int, after: float, *samples: ClockSample) -> ReceivedBatch:
        rows = received(1, after).batch.measurements
        batch = Batch(
            Vantage("a1"), sequence, rows, (), (ClockSegment(boot, shift, 0, 1),), samples
        )
        return ReceivedBatch(batch, pack_batch(batch), None, START + 2 * HOUR)

    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        add(batch_log, *(dated(number, number // 2) for number in range(60)), closed=END)
        assert times(batch_log, START, END) == []
        sample = ClockSample(
            boot, 0, shift, ClockSource.COLLECTOR, synced=True, offset=600_000, error=9
        )
        add(batch_log, dated(99, 100, sample), closed=END)
        assert 0 < len(times(batch_log, START, END)) <= 8
    with BatchLog(tmp_path / "batches.sqlite") as batch_log:
        while batch_log._database.fetch("SELECT 1 FROM clock_redating"):
            batch_log.late_bins()
        expected = [*(600 + number // 2 for number in range(60)), 700]
        assert times(batch_log, START, END) == expected
        assert batch_log.late_bins() == [START + 2 * WIDTH]
        assert not batch_log.erase("a2", now=END)
