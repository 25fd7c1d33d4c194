from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import connect

import pytest

from netwatch.collector.batch_log import BatchLog, IngestResult, ReceivedBatch
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.wire.batch_codec import pack_batch

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
HOUR = timedelta(hours=1)


def parcel(sequence: int, *seconds: float, vantage: str = "a1") -> ReceivedBatch:
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
    return ReceivedBatch(batch, pack_batch(batch))


def add(
    inbox: BatchLog, *parcels: ReceivedBatch, closed: datetime | None = None
) -> list[IngestResult]:
    return inbox.add(parcels, closed_until=closed, width=WIDTH)


def times(inbox: BatchLog, start: datetime, end: datetime) -> list[float]:
    return sorted((row.time - START).total_seconds() for _, row in inbox.measurements(start, end))


def test_an_interval_is_half_open_and_tells_the_vantage(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "inbox.sqlite") as inbox:
        add(inbox, parcel(1, -1, 0, 299.999, 300))
        assert times(inbox, START, START + WIDTH) == [0, 299.999]
        ((vantage, _),) = inbox.measurements(START - WIDTH, START)
        assert vantage == Vantage("a1", "IR", 44244)
        assert inbox.first_time() == START - timedelta(seconds=1)


def test_a_batch_counts_once_and_its_name_is_taken(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "inbox.sqlite") as inbox:
        assert add(inbox, parcel(1, 0), parcel(1, 0)) == [
            IngestResult.STORED,
            IngestResult.REPEATED,
        ]
    with BatchLog(tmp_path / "inbox.sqlite") as inbox:
        assert add(inbox, parcel(1, 0)) == [IngestResult.REPEATED]
        assert add(inbox, parcel(1, 7)) == [IngestResult.EQUIVOCATION]
        assert add(inbox, parcel(1, 7, vantage="a2")) == [IngestResult.STORED]
        assert times(inbox, START, START + HOUR) == [0, 7]


def test_a_batch_that_spans_days_is_found_in_the_middle(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "inbox.sqlite") as inbox:
        add(inbox, parcel(1, 0, 86_400, 2 * 86_400), parcel(2, 3_599, 7_100))
        day = START + timedelta(days=1)
        assert times(inbox, day, day + WIDTH) == [86_400]
        assert times(inbox, START + timedelta(seconds=7_000), START + 2 * HOUR) == [7_100]


def test_what_comes_after_closing_is_noted_as_late(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "inbox.sqlite") as inbox:
        closed = START + 2 * WIDTH
        add(inbox, parcel(1, 10, 20, 310, 700), closed=closed)
        assert inbox.late_bins() == [START, START + WIDTH]
        inbox.settle_late([START])
        add(inbox, parcel(1, 10, 20, 310, 700), closed=closed)
        assert inbox.late_bins() == [START + WIDTH]
    with BatchLog(tmp_path / "inbox.sqlite") as inbox:
        assert inbox.late_bins() == [START + WIDTH]


def test_an_empty_inbox_has_no_time(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "inbox.sqlite") as inbox:
        assert inbox.first_time() is None
        assert times(inbox, START, START + HOUR) == []


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "inbox.sqlite") as inbox:
        add(inbox, parcel(1, 0))
        inbox._file.execute("PRAGMA max_page_count = 1")
        many = [parcel(number, *range(number, number + 400)) for number in range(2, 60)]
        with pytest.raises(StoreError, match=r"inbox\.sqlite: database or disk is full"):
            add(inbox, *many)
        inbox._file.execute("PRAGMA max_page_count = 100000")
        assert inbox.count_batches() == 1
        assert add(inbox, *many) == [IngestResult.STORED] * 58


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    path.write_bytes(b"this is no database, however long it may be" * 100)
    with pytest.raises(StoreError, match=r"inbox\.sqlite: is not a database"):
        BatchLog(path)


def test_an_agent_is_known_by_its_newest_batch_and_better_by_its_enrollment(tmp_path: Path) -> None:
    def of(sequence: int, country: str, asn: int) -> ReceivedBatch:
        batch = Batch(Vantage("a1", country, asn), sequence, ())
        return ReceivedBatch(batch, pack_batch(batch), b"k" * 32)

    path = tmp_path / "inbox.sqlite"
    with BatchLog(path) as inbox:
        assert inbox.identify("a1") is None
        add(inbox, of(5, "IR", 44244))
        assert inbox.identify("a1") == (Vantage("a1", "IR", 44244), b"k" * 32)
        add(inbox, of(9, "TR", 9121), of(7, "DE", 3320))
        assert inbox.identify("a1") == (Vantage("a1", "TR", 9121), b"k" * 32)
        with connect(path) as beside:
            row = ("a1", "IQ", 0, "", 1, "1.0", 0)
            beside.execute("INSERT INTO agent VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
        beside.close()
        assert inbox.identify("a1") == (Vantage("a1", "IQ", 9121), b"k" * 32)
        with connect(path) as beside:
            beside.execute("UPDATE agent SET retired = 1")
        beside.close()
        assert inbox.identify("a1") == (Vantage("a1", "TR", 9121), b"k" * 32)
        assert inbox.identify("a2") is None
