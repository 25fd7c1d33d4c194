"""What only the embedded store promises: its file, its processes, its errors."""

import multiprocessing
import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from pathlib import Path

import pytest

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, SeriesKey
from netwatch.store.sqlite import SqliteStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
END = T0 + timedelta(days=40)
SPAWN = multiprocessing.get_context("spawn")


def bins_at(step: int, count: int = 5) -> list[Bin]:
    time = T0 + step * timedelta(minutes=5)
    keys = [
        SeriesKey("reachability", Entity(EntityKind.ASN, str(code + 1))) for code in range(count)
    ]
    return [Bin(time, key, float(step), 10.0) for key in keys]


def read_until(path: Path, steps: int, results: Queue) -> None:
    """Read over and over until the watermark covers `steps`; report wrong reads."""
    store = SqliteStore(path)
    wrong = []
    while True:
        watermark = store.closed_until()
        found = list(store.read_bins(T0, END))
        if watermark is not None:
            done = (watermark - T0) // timedelta(minutes=5)
            if len([bin_ for bin_ in found if bin_.time < watermark]) != 5 * done:
                wrong.append((done, len(found)))
            if done == steps:
                break
        if len(found) % 5:
            wrong.append(len(found))
    store.close()
    results.put(wrong)


def test_another_process_reads_only_whole_writes(tmp_path: Path) -> None:
    path = tmp_path / "series.sqlite"
    store = SqliteStore(path)
    results = SPAWN.Queue()
    reader = SPAWN.Process(target=read_until, args=(path, 60, results))
    reader.start()
    for step in range(60):
        store.put_bins(bins_at(step), closed_until=T0 + (step + 1) * timedelta(minutes=5))
    wrong = results.get(timeout=15)
    reader.join()
    store.close()
    assert wrong == []


def test_content_survives_reopening(tmp_path: Path) -> None:
    store = SqliteStore.at(str(tmp_path))
    store.put_bins(bins_at(0), closed_until=T0)
    store.close()
    again = SqliteStore(tmp_path / "series.sqlite")
    assert list(again.read_bins(T0, END)) == bins_at(0)
    assert again.closed_until() == T0
    again.close()


def test_two_writers_name_series_alike(tmp_path: Path) -> None:
    one, two = (SqliteStore(tmp_path / "series.sqlite") for _ in range(2))
    one.put_bins(bins_at(0, count=3))
    two.put_bins(bins_at(1, count=5))
    one.put_bins(bins_at(2, count=5))
    assert list(one.read_bins(T0, END)) == bins_at(0, 3) + bins_at(1, 5) + bins_at(2, 5)
    one.close()
    two.close()


def test_series_of_an_area_have_adjacent_ids(tmp_path: Path) -> None:
    """A country is one range of ids, in whatever order its networks were registered."""
    store = SqliteStore(
        tmp_path / "series.sqlite", area=lambda entity: "IR" if int(entity.code) % 2 else "DE"
    )
    for batch in range(10):
        keys = [
            SeriesKey("reachability", Entity(EntityKind.ASN, str(code)))
            for code in range(1 + batch * 20, 21 + batch * 20)
        ]
        store.put_bins([Bin(T0, key, 1.0) for key in keys])
    store.close()
    database = sqlite3.connect(tmp_path / "series.sqlite")
    rows = database.execute(
        "select area, max(id) - min(id), count(*) from series group by 1"
    ).fetchall()
    database.close()
    assert sorted(rows) == [("DE", 99, 100), ("IR", 99, 100)]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("create table mine (a)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="a database of another program"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "series.sqlite"
    SqliteStore(path).close()
    newer = sqlite3.connect(path)
    newer.execute("pragma user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="newer version of netwatch"):
        SqliteStore(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file.* cannot be created"):
        SqliteStore(tmp_path / "file" / "series.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StoreError, match=r"series\.sqlite"):
        SqliteStore(tmp_path / "series.sqlite")


def fill(store: SqliteStore) -> None:
    for step in range(1, 2000):
        store.put_bins(bins_at(step), closed_until=T0 + step * timedelta(minutes=5))


def test_a_full_disk_keeps_stored_bins(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "series.sqlite")
    store.put_bins(bins_at(0))
    with store._database.snapshot() as connection:
        pages = connection.execute("pragma page_count").fetchone()[0]
    store._database.connection.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk is full") as raised:
        fill(store)
    assert "\n" not in str(raised.value)
    bins = list(store.read_bins(T0, END))
    assert bins[:5] == bins_at(0)
    assert len(bins) % 5 == 0
    store._database.connection.execute("pragma max_page_count = 1000000")
    store.put_bins(bins_at(3000))
    assert list(store.read_bins(T0, END))[-5:] == bins_at(3000)
    store.close()


def test_a_lock_that_is_never_released_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.storage.sqlite_file.BUSY_TIMEOUT", 0.1)
    store = SqliteStore(tmp_path / "series.sqlite")
    store.put_bins(bins_at(0))
    other = sqlite3.connect(tmp_path / "series.sqlite", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreError, match="another process has been writing"):
        store.put_bins(bins_at(1))
    other.execute("rollback")
    other.close()
    store.put_bins(bins_at(1))
    assert list(store.read_bins(T0, END)) == bins_at(0) + bins_at(1)
    store.close()


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "series.sqlite")

    def read(_: int) -> bool:
        found = list(store.read_bins(T0, END))
        return len(found) % 5 == 0 and found == sorted(found, key=lambda b: (b.time, b.series))

    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(read, turn) for turn in range(40)]
        for step in range(40):
            store.put_bins(bins_at(step))
        assert all(future.result(timeout=15) for future in reads)
    assert len(list(store.read_bins(T0, END))) == 200
    store.close()


def test_equal_keys_are_the_same_series(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "series.sqlite")
    for step in range(30):
        store.put_bins(bins_at(step, count=50))
    assert store.stats().series == 50
    assert len(list(store.read_bins(T0, END, series=bins_at(0)[0].series))) == 30
    store.close()
