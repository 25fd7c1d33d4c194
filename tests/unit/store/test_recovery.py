"""Damaged files are named and renamed, and the rest is served."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import pytest
from small_disk import fill_disk, small_disk

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store import recovery
from netwatch.store.sqlite import SqliteStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
NOW = T0 + timedelta(days=30)
STEP = timedelta(minutes=5)
KEYS = sorted(SeriesKey("reachability", Entity(EntityKind.ASN, str(code))) for code in range(300))
BASELINE = Baseline(BaselineKind.LEVEL, 3)
SPAWN = multiprocessing.get_context("spawn")


def open_store(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "series.sqlite", clock=lambda: NOW)


def bins_at(step: int, keys: list[SeriesKey] = KEYS) -> list[Bin]:
    return [Bin(T0 + step * STEP, key, float(step), 10.0) for key in keys]


def everything(store: SqliteStore) -> list[Bin]:
    return list(store.read_bins(T0, NOW))


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days and a bit, of which the first is compacted; to be copied."""
    folder = tmp_path_factory.mktemp("pattern")
    store = open_store(folder)
    for hour in range(50):
        steps = range(12 * hour, 12 * hour + 12)
        bins = [bin_ for step in steps for bin_ in bins_at(step)]
        store.put_bins(bins, closed_until=T0 + steps[-1] * STEP)
    store.put_levels(
        [Level(T0, KEYS[0], 0.5, baseline=BASELINE), Level(T0 + 400 * STEP, KEYS[1], 1)]
    )
    assert [entry.date for entry in store.compact(keep=timedelta(days=29))] == ["2026-03-01"] * 2
    store.close()
    return folder


@pytest.fixture
def folder(pattern: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pattern, tmp_path / "data"))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_truncated_database_is_renamed_and_the_rest_served(
    folder: Path, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    path = folder / "series.sqlite"
    size = path.stat().st_size
    os.truncate(path, max(int(size * share), 100))
    store = open_store(folder)
    found = everything(store)
    compacted = [bin_ for step in range(288) for bin_ in bins_at(step)]
    assert found[: len(compacted)] == compacted
    whole = {(bin_.time, bin_.series): bin_ for step in range(600) for bin_ in bins_at(step)}
    assert all(whole[bin_.time, bin_.series] == bin_ for bin_ in found)
    assert next(iter(store.read_levels(T0, NOW))).baseline == BASELINE
    (damaged,) = folder.glob("series.sqlite.damaged-????????T??????")
    assert damaged.name in caplog.text
    if share > 0.5:
        assert len(found) > len(compacted)
    store.put_bins(bins_at(700))
    assert everything(store)[-300:] == bins_at(700)
    store.close()


def test_a_database_of_noise_is_renamed(tmp_path: Path) -> None:
    (tmp_path / "series.sqlite").write_bytes(Random(7).randbytes(100_000))
    store = open_store(tmp_path)
    assert everything(store) == []
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    store.close()


def test_a_damaged_database_in_use_is_not_renamed(folder: Path) -> None:
    user = open_store(folder)
    os.truncate(folder / "series.sqlite", 40_000)
    with pytest.raises(StoreError, match="still in use"):
        open_store(folder)
    user.close()
    assert list(folder.glob("*.damaged-*")) == []


def test_a_lost_database_costs_the_open_days_only(folder: Path) -> None:
    for path in folder.glob("series.sqlite*"):
        path.unlink()
    store = open_store(folder)
    assert everything(store) == [bin_ for step in range(288) for bin_ in bins_at(step)]
    newcomer = SeriesKey("presence", Entity(EntityKind.COUNTRY, "IR"))
    store.put_bins([*bins_at(600), Bin(T0, newcomer, 5.0)])
    assert list(store.read_bins(T0, NOW, series=newcomer)) == [Bin(T0, newcomer, 5.0)]
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("content", [b"", b"not a database"], ids=["lost", "damaged"])
def test_a_database_that_another_process_restores_meanwhile_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    for path in folder.glob("series.sqlite*"):
        path.unlink()
    (folder / "series.sqlite").write_bytes(content)
    stores = []

    def restore_second(*arguments: object) -> int:
        monkeypatch.undo()
        stores.append(open_store(folder))
        return recovery._restore(*arguments)

    monkeypatch.setattr(recovery, "_restore", restore_second)
    stores.append(open_store(folder))
    assert len(stores) == 2
    for store in stores:
        assert everything(store) == [bin_ for step in range(288) for bin_ in bins_at(step)]
        assert store.check() == []
        store.close()


def test_two_stores_in_a_folder_have_separate_days(folder: Path) -> None:
    other = SqliteStore(folder / "other.sqlite", clock=lambda: NOW)
    assert everything(other) == []
    other.put_bins(bins_at(0, KEYS[:2]))
    list(other.compact())
    assert everything(other) == bins_at(0, KEYS[:2])
    other.close()


def test_check_finds_each_kind_of_damage_and_quarantines_files(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for day in range(4):
        store.put_bins(bins_at(288 * day))
    entries = list(store.compact())
    assert store.check() == []
    days = tmp_path / "days"
    (days / entries[0].file).write_bytes((days / entries[0].file).read_bytes()[:-9])
    (days / entries[1].file).unlink()
    flipped = bytearray((days / entries[2].file).read_bytes())
    flipped[200] ^= 1
    (days / entries[2].file).write_bytes(flipped)
    found = {damage.file: damage.fault for damage in store.check()}
    assert "the manifest says" in found[entries[0].file]
    assert "cannot be read" in found[entries[1].file]
    assert "SHA-256" in found[entries[2].file]
    assert all(damage.quarantined for damage in store.check(quarantine=True))
    assert store.check() == []
    assert everything(store) == bins_at(288 * 3)
    assert len(list(days.glob("*.damaged"))) == 2
    store.close()


def test_check_finds_a_forged_manifest(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put_bins(bins_at(0))
    list(store.compact())
    manifest = tmp_path / "days" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"rows":300', '"rows":301'))
    assert [damage.file for damage in store.check()] == ["manifest.jsonl"]
    manifest.unlink()
    assert "missing" in store.check()[0].fault
    store.put_bins(bins_at(300))
    list(store.compact())
    assert store.check() == []
    store.close()


def test_a_torn_line_of_the_manifest_is_written_again(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put_bins(bins_at(0))
    list(store.compact())
    manifest = tmp_path / "days" / "manifest.jsonl"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-20])
    assert store.check() == []
    assert manifest.read_bytes() == whole
    manifest.write_bytes(whole[:-20])
    store.put_bins(bins_at(300))
    list(store.compact())
    assert manifest.read_bytes().startswith(whole)
    assert store.check() == []
    store.close()


def test_dropped_days_are_in_the_manifest_and_their_files_are_deleted_later(tmp_path: Path) -> None:
    present = [NOW]
    store = SqliteStore(tmp_path / "series.sqlite", clock=lambda: present[0])
    for day in range(4):
        store.put_bins(bins_at(288 * day))
    entries = list(store.compact(keep=timedelta(days=28)))
    assert len(entries) == 2
    assert store.drop_before(T0 + timedelta(days=1)) == 300
    assert everything(store) == bins_at(288) + bins_at(576) + bins_at(864)
    assert store.check() == []
    assert (tmp_path / "days" / entries[0].file).exists()
    present[0] = datetime.now(UTC) + timedelta(hours=2)
    assert store.drop_before(T0 + timedelta(days=2, hours=12)) == 600
    assert everything(store) == bins_at(864)
    assert not (tmp_path / "days" / entries[0].file).exists()
    store.close()


@pytest.fixture(name="small_disk")
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 6 MB."""
    with small_disk(tmp_path / "disk") as place:
        yield place


def test_a_full_disk_keeps_committed_bins(small_disk: Path) -> None:
    store = open_store(small_disk)
    store.put_bins(bins_at(0), closed_until=T0 + STEP)
    filler = fill_disk(small_disk, leave=300_000)
    step = 1
    with pytest.raises(StoreError, match="disk is full"):  # noqa: PT012 - which write it is, is open
        while step < 200:
            store.put_bins(bins_at(step), closed_until=T0 + (step + 1) * STEP)
            step += 1
    assert everything(store) == [bin_ for done in range(step) for bin_ in bins_at(done)]
    assert store.closed_until() == T0 + step * STEP
    filler.unlink()
    store.put_bins(bins_at(step))
    assert len(everything(store)) == 300 * (step + 1)
    store.close()


@pytest.mark.parametrize(("leave", "message"), [(4_096, "No space left"), (24_576, "disk is full")])
def test_a_disk_that_fills_during_compaction_leaves_the_day_open(
    small_disk: Path, leave: int, message: str
) -> None:
    store = open_store(small_disk)
    bins = [bin_ for step in range(60) for bin_ in bins_at(step)]
    store.put_bins(bins)
    filler = fill_disk(small_disk, leave=leave)
    with pytest.raises(StoreError, match=message) as raised:
        list(store.compact())
    assert "\n" not in str(raised.value)
    assert everything(store) == bins
    assert not list((small_disk / "days").glob(".compacting-*"))
    filler.unlink()
    assert len(list(store.compact())) == 1
    assert everything(store) == bins
    store.close()


def write_forever(folder: Path, first: int, committed: Connection) -> None:
    """Write bin after bin and report each commit; compact after every seventh."""
    store = SqliteStore(folder / "series.sqlite", clock=lambda: NOW)
    step = first
    while True:
        store.put_bins(bins_at(12 * step, KEYS[:150]), closed_until=T0 + (12 * step + 1) * STEP)
        committed.send(step)
        step += 1
        if step % 7 == 0:
            for _ in store.compact(keep=timedelta(days=29) - (step // 24) * timedelta(days=1)):
                pass


def kill_repeatedly(folder: Path, times: int) -> None:
    """Kill a writer repeatedly; every row that it reported is in the store, once."""
    random = Random(times)
    step = 0
    for _ in range(times):
        here, there = SPAWN.Pipe(duplex=False)
        writer = SPAWN.Process(target=write_forever, args=(folder, step, there))
        writer.start()
        there.close()
        for _ in range(random.randrange(1, 14)):
            step = here.recv() + 1
        here.poll(random.random() * 0.05)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        try:
            while here.poll():
                step = here.recv() + 1
        except EOFError:
            pass
        step = count_steps(folder, step)


def count_steps(folder: Path, reported: int) -> int:
    """Return how many steps are stored: those reported and at most one more."""
    store = open_store(folder)
    found = everything(store)
    steps = len(found) // 150
    assert found == [bin_ for step in range(steps) for bin_ in bins_at(12 * step, KEYS[:150])]
    assert reported <= steps <= reported + 1
    assert store.closed_until() == T0 + (12 * (steps - 1) + 1) * STEP
    assert store.check() == []
    store.close()
    return steps


def test_kill_9_during_writes_and_compaction(tmp_path: Path) -> None:
    kill_repeatedly(tmp_path, 4)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kill_9_two_hundred_times(tmp_path: Path) -> None:
    for round_ in range(10):
        kill_repeatedly(tmp_path / str(round_), 20)


def test_check_names_a_database_with_a_damaged_page(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put_bins([bin_ for step in range(40) for bin_ in bins_at(step)])
    store.close()
    path = tmp_path / "series.sqlite"
    data = bytearray(path.read_bytes())
    index_leaf = 0x0A  # the type of a page with rows of a table WITHOUT ROWID
    page = max(start for start in range(0, len(data), 16_384) if data[start] == index_leaf)
    data[page + 8 : page + 200] = bytes(192)
    path.write_bytes(data)
    again = open_store(tmp_path)
    assert {damage.file for damage in again.check()} == {"series.sqlite"}
    again.close()


@pytest.mark.parametrize("share", [0.6, 0.95])
def test_series_of_open_days_alone_are_recovered_too(tmp_path: Path, share: float) -> None:
    store = open_store(tmp_path)
    store.put_bins(bins_at(300) + bins_at(0, KEYS[50:100]))
    list(store.compact(keep=timedelta(days=29)))
    for first in range(300, 500, 10):
        store.put_bins([bin_ for step in range(first, first + 10) for bin_ in bins_at(step)])
    store.close()
    path = tmp_path / "series.sqlite"
    os.truncate(path, int(path.stat().st_size * share))
    again = open_store(tmp_path)
    found = everything(again)
    whole = {(bin_.time, bin_.series): bin_ for step in range(300, 500) for bin_ in bins_at(step)}
    assert found[:50] == bins_at(0, KEYS[50:100])
    assert all(whole[bin_.time, bin_.series] == bin_ for bin_ in found[50:])
    assert {bin_.series for bin_ in found} == set(KEYS)
    again.close()
