"""A batch log with superseded ranges is sound: some versions of SQLite doubt such a table."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.storage.origin import find_damage
from netwatch.wire.batch_codec import pack_batch

NOW = datetime(2026, 1, 8, tzinfo=UTC)


def test_a_log_in_which_batches_were_merged_is_not_damaged(tmp_path: Path) -> None:
    row = Measurement("one", "tcp", NOW, None, "", host_responded=True, seconds=0.1)
    batch = Batch(Vantage("a1", "IR", 44244), 50, (row,), supersedes=((0, 7), (20, 49)))
    path = tmp_path / "batches.sqlite"
    with BatchLog(path) as batch_log:
        received = ReceivedBatch(batch, pack_batch(batch), None, NOW)
        batch_log.add([received], closed_until=None, width=timedelta(minutes=5))
    assert find_damage(path) == ""


def test_the_table_of_an_earlier_version_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "batches.sqlite"
    with sqlite3.connect(path) as file:
        file.execute(
            "CREATE TABLE superseded (vantage TEXT NOT NULL, low INTEGER NOT NULL,"
            " high INTEGER NOT NULL, PRIMARY KEY (vantage, high, low)) WITHOUT ROWID"
        )
        rows = (("a1", number, number) for number in range(0, 5_000, 2))
        file.executemany("INSERT INTO superseded VALUES (?, ?, ?)", rows)
    file.close()
    assert find_damage(path) == ""
