"""Compacted days: no row is lost or read twice, during compaction and after failures."""

import hashlib
import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb
import pytest

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.manifest import file_damage, read_manifest, verify_chain
from netwatch.store.sqlite import SqliteStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
NOW = T0 + timedelta(days=10)
KEYS = [SeriesKey("reachability", Entity(EntityKind.ASN, str(code))) for code in range(1, 301)]
SPAWN = multiprocessing.get_context("spawn")


def open_store(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "series.sqlite", clock=lambda: NOW)


def day_of_bins(day: int, *, hours: int = 24, keys: list[SeriesKey] = KEYS) -> list[Bin]:
    return [
        Bin(T0 + timedelta(days=day, hours=hour), key, float(hour), None if hour % 5 == 0 else 24.0)
        for hour in range(hours)
        for key in sorted(keys)
    ]


def everything(store: SqliteStore) -> list[Bin]:
    return list(store.read_bins(T0 - timedelta(days=5), NOW))


def test_compaction_does_not_change_reads(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for day in range(5):
        store.put_bins(day_of_bins(day))
    before = everything(store)
    one = list(store.read_bins(T0, NOW, series=KEYS[77]))
    entries = list(store.compact(keep=timedelta(days=7)))
    assert [(entry.date, entry.rows) for entry in entries] == [
        (f"2026-03-0{day}", 24 * 300) for day in (1, 2, 3)
    ]
    assert everything(store) == before
    assert list(store.read_bins(T0, NOW, series=KEYS[77])) == one
    assert len(store.read_columns(T0, NOW, series=KEYS[:50]).values) == 5 * 24 * 50
    middle = (T0 + timedelta(days=1, hours=7), T0 + timedelta(days=3, hours=2))
    assert list(store.read_bins(*middle)) == [
        bin_ for bin_ in before if middle[0] <= bin_.time < middle[1]
    ]
    assert list(store.compact(keep=timedelta(days=7))) == []
    store.close()
    again = open_store(tmp_path)
    assert everything(again) == before
    again.close()


def test_duckdb_reads_a_file_without_netwatch(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put_bins(day_of_bins(0))
    (entry,) = store.compact()
    store.close()
    path = tmp_path / "days" / entry.file
    rows = duckdb.execute(
        "select time::varchar, signal, kind, code, value, total, series from read_parquet(?)",
        [str(path)],
    ).fetchall()
    assert len(rows) == 24 * 300
    assert [row[6] for row in rows] == sorted(row[6] for row in rows)
    hours = {row[4]: row[5] for row in rows if row[1:4] == ("reachability", "asn", "7")}
    assert hours == {float(hour): None if hour % 5 == 0 else 24.0 for hour in range(24)}


def test_levels_are_compacted_too(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    levels = [
        Level(
            T0 + timedelta(hours=hour),
            key,
            None if hour == 3 else hour / 7,
            baseline=Baseline(BaselineKind.LEVEL, hour),
        )
        for hour in range(6)
        for key in sorted(KEYS)[:20]
    ]
    store.put_levels(levels)
    (entry,) = store.compact()
    assert entry.kind == "levels"
    assert list(store.read_levels(T0, NOW)) == levels
    one = list(store.read_levels(T0, NOW, series=KEYS[0]))
    assert one == [level for level in levels if level.series == KEYS[0]]
    store.close()


def test_late_data_counts_at_once_and_makes_a_new_revision(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put_bins(day_of_bins(0))
    list(store.compact())
    newcomer = SeriesKey("reachability", Entity(EntityKind.ASN, "9999"))
    changed = Bin(T0 + timedelta(hours=2), KEYS[0], 99.0, 100.0)
    late = Bin(T0 + timedelta(hours=2), newcomer, 1.0, 1.0)
    store.put_bins([changed, late])
    wanted = {(bin_.time, bin_.series): bin_ for bin_ in [*day_of_bins(0), changed, late]}
    assert {(bin_.time, bin_.series): bin_ for bin_ in everything(store)} == wanted
    assert len(everything(store)) == len(wanted)
    (entry,) = store.compact()
    assert (entry.revision, entry.rows) == (2, len(wanted))
    assert {(bin_.time, bin_.series): bin_ for bin_ in everything(store)} == wanted
    assert list(store.read_bins(T0, NOW, series=newcomer)) == [late]
    store.close()


def test_the_manifest_detects_any_change(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for day in range(3):
        store.put_bins(day_of_bins(day, hours=2))
    list(store.compact())
    store.put_bins(day_of_bins(1, hours=1))
    list(store.compact())
    store.close()
    days = tmp_path / "days"
    entries = read_manifest(days / "manifest.jsonl")
    assert [(entry.line, entry.revision) for entry in entries] == [(1, 1), (2, 1), (3, 1), (4, 2)]
    assert verify_chain(entries) == []
    for entry in entries:
        data = (days / entry.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        assert file_damage(days, entry) == ""
    lines = (days / "manifest.jsonl").read_text().splitlines()
    forged = json.loads(lines[1]) | {"sha256": "0" * 64}
    (days / "manifest.jsonl").write_text(
        "\n".join([lines[0], json.dumps(forged, separators=(",", ":")), *lines[2:], ""])
    )
    assert verify_chain(read_manifest(days / "manifest.jsonl")) == [
        "manifest line 3: the line before it was changed or removed"
    ]


def watch(path: Path, started: Event, stop: Event, results: Queue) -> None:
    """Read a day repeatedly; report every count that is not the whole day."""
    store = SqliteStore(path, clock=lambda: NOW)
    wrong, reads = [], 0
    while not stop.is_set():
        columns = store.read_columns(T0, T0 + timedelta(days=1))
        rows = set(zip(columns.index, columns.times, strict=True))
        if len(columns.values) != 24 * 300 or len(rows) != 24 * 300:
            wrong.append((len(columns.values), len(rows)))
        reads += 1
        started.set()
    store.close()
    results.put((wrong, reads))


def test_readers_see_each_row_of_a_day_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put_bins(day_of_bins(0))
    started, stop, results = SPAWN.Event(), SPAWN.Event(), SPAWN.Queue()
    reader = SPAWN.Process(target=watch, args=(store.path, started, stop, results))
    reader.start()
    assert started.wait(15)
    for hour in range(8):
        list(store.compact())
        store.put_bins(day_of_bins(0)[hour * 300 : hour * 300 + 7])
    stop.set()
    wrong, reads = results.get(timeout=15)
    reader.join()
    store.close()
    assert wrong == []
    assert reads > 1


def test_late_data_during_compaction_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    store.put_bins(day_of_bins(0))
    late = [Bin(T0 + timedelta(hours=hour), KEYS[0], 77.0, 78.0) for hour in range(3)]
    waiting = list(late)
    real = file_hash_of = hashlib.file_digest

    def interrupt(*arguments: object) -> object:
        if waiting:
            store.put_bins([waiting.pop()])
        return real(*arguments)

    monkeypatch.setattr(hashlib, "file_digest", interrupt)
    with pytest.raises(StoreError, match="keeps arriving"):
        list(store.compact())
    monkeypatch.setattr(hashlib, "file_digest", file_hash_of)
    assert [bin_.value for bin_ in store.read_bins(T0, NOW, series=KEYS[0])][:4] == [77, 77, 77, 3]
    (entry,) = store.compact()
    assert entry.rows == 24 * 300
    assert [bin_.value for bin_ in store.read_bins(T0, NOW, series=KEYS[0])][:4] == [77, 77, 77, 3]
    store.close()


def test_only_one_process_compacts(tmp_path: Path) -> None:
    one, two = open_store(tmp_path), open_store(tmp_path)
    one.put_bins(day_of_bins(0, hours=1) + day_of_bins(1, hours=1))
    compaction = one.compact()
    next(compaction)
    with pytest.raises(StoreError, match="another process is compacting"):
        list(two.compact())
    assert len(list(compaction)) == 1
    assert list(two.compact()) == []
    one.close()
    two.close()


def test_a_truncated_file_is_named_and_the_others_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path)
    for day in range(3):
        store.put_bins(day_of_bins(day, hours=2))
    entries = list(store.compact())
    store.close()
    path = tmp_path / "days" / entries[1].file
    path.write_bytes(path.read_bytes()[:-1000])
    again = open_store(tmp_path)
    for _ in range(2):
        assert everything(again) == day_of_bins(0, hours=2) + day_of_bins(2, hours=2)
    named = [record.getMessage() for record in caplog.records if path.name in record.getMessage()]
    assert len(named) == 1
    assert "the manifest says" in named[0]
    late = day_of_bins(1, hours=1)
    again.put_bins(late)
    (entry,) = again.compact()
    assert (entry.revision, entry.rows) == (2, 300)
    assert everything(again) == day_of_bins(0, hours=2) + late + day_of_bins(2, hours=2)
    assert path.with_name(f"{path.name}.damaged").exists()
    again.close()


def test_a_vanished_file_is_named_and_the_others_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path)
    for day in range(2):
        store.put_bins(day_of_bins(day, hours=2))
    entries = list(store.compact())
    (tmp_path / "days" / entries[0].file).unlink()
    assert everything(store) == day_of_bins(1, hours=2)
    assert entries[0].file in caplog.text
    store.close()


def test_big_days_are_compacted_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of 24 hours, read hour by hour, is the same."""
    monkeypatch.setattr("netwatch.store.reader._FEW", 0)
    store = open_store(tmp_path)
    store.put_bins(day_of_bins(0))
    list(store.compact())
    assert everything(store) == day_of_bins(0)
    store.put_bins(day_of_bins(0)[:3])
    (entry,) = store.compact()
    assert entry.rows == 7_200
    assert everything(store) == day_of_bins(0)
    store.close()
    (path,) = (tmp_path / "days").glob("*.r2.parquet")
    found = duckdb.execute(
        "select series, epoch_us(time) from read_parquet(?)", [str(path)]
    ).fetchall()
    assert found == sorted(found)


def test_compaction_shrinks_the_file(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for day in range(6):
        store.put_bins(day_of_bins(day))
    store.close()
    full = store.path.stat().st_size
    again = open_store(tmp_path)
    list(again.compact(keep=timedelta(days=4)))
    assert again.stats().bins.open_rows == 0
    again.close()
    assert store.path.stat().st_size < full / 2


def test_a_superseded_file_is_deleted_after_an_hour(tmp_path: Path) -> None:
    present = [datetime.now(UTC)]
    store = SqliteStore(tmp_path / "series.sqlite", clock=lambda: present[0])
    for _ in range(2):
        store.put_bins(day_of_bins(0, hours=1))
        list(store.compact())
    names = {path.name for path in (tmp_path / "days").glob("*.parquet")}
    assert names == {f"2026-03-01.bins.r{revision}.parquet" for revision in (1, 2)}
    present[0] += timedelta(hours=2)
    list(store.compact())
    assert [path.name for path in (tmp_path / "days").glob("*.parquet")] == [
        "2026-03-01.bins.r2.parquet"
    ]
    assert everything(store) == day_of_bins(0, hours=1)
    assert store.check() == []
    store.close()
