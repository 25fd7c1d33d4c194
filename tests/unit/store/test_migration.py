"""A store of format 1 is converted with all its rows, and its compacted days stay readable."""

import sqlite3
import struct
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

import duckdb
import pytest
from msgspec.structs import replace

from netwatch.model.baseline_basis import Baseline
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.time import to_micros
from netwatch.store.manifest import Entry, file_sha256
from netwatch.store.migration import migrate
from netwatch.store.sqlite import SqliteStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = [SeriesKey("reachability", Entity(EntityKind.ASN, str(code))) for code in range(130)]
NAN = float("nan")

FORMAT_1 = """
create table series (
    ordinal integer primary key, id integer not null unique, area text not null,
    signal text not null, kind text not null, code text not null, unique (signal, kind, code)
);
create table text (id integer primary key, text text not null unique);
create table bins (
    time integer not null, block integer not null, data blob not null, primary key (time, block)
) without rowid;
create table levels (
    time integer not null, block integer not null, data blob not null, primary key (time, block)
) without rowid;
create table promise (one integer primary key check (one = 1), closed_until integer not null);
create table touched (day integer primary key, version integer not null);
create table sealed (
    line integer primary key, day integer not null, kind text not null, file text not null,
    entry text not null
);
pragma application_id = 0x4E575331;
pragma user_version = 1;
"""


def block(*columns: list[float]) -> bytes:
    """Encode slots 0, 1, ... of a block, column after column."""
    count = len(columns[0])
    data = bytes(range(count)) + b"".join(struct.pack(f"<{count}d", *cells) for cells in columns)
    return data + crc32(data).to_bytes(4, "little")


def write_format_1(folder: Path) -> None:
    """Write a store of two days, of which the first is compacted."""
    days = folder / "days"
    days.mkdir(parents=True)
    file = days / "2026-03-01.bins.r1.parquet"
    duckdb.execute(
        f"""copy (
            select '2026-03-01T00:00:00Z'::timestamptz as time, 'reachability' as signal,
                'asn' as kind, code::varchar as code, code::integer as series,
                code::double as value, null::double as total
            from range(130) as codes (code)
        ) to '{file}' (format parquet)"""
    )
    entry = Entry(
        line=1,
        day=to_micros(T0) // 86_400_000_000,
        date="2026-03-01",
        kind="bins",
        revision=1,
        file=file.name,
        rows=130,
        bytes=file.stat().st_size,
        sha256=file_sha256(file),
    )
    (days / "manifest.jsonl").write_text(entry.encode() + "\n")
    later = to_micros(T0 + DAY)
    database = sqlite3.connect(folder / "series.sqlite")
    database.executescript(FORMAT_1)
    database.executemany(
        "insert into series (id, area, signal, kind, code) values (?, 'IR', ?, ?, ?)",
        [(id_, key.signal, key.entity.kind.value, key.entity.code) for id_, key in enumerate(KEYS)],
    )
    database.execute("insert into text values (1, 'the median of 8 weeks')")
    values = [float(code) for code in range(128)]
    database.executemany(
        "insert into bins values (?, ?, ?)",
        [
            (later, 0, block(values, [9.0] * 128)),
            (later, 1, block([128.0, 129.0], [9.0, NAN])),
            (later + 1, 0, block([5.0], [6.0])[:-1] + b"\0"),
        ],
    )
    columns = [[0.5], [NAN], [NAN], [0.9], [1.0], [3.0], [1.0]]
    database.execute("insert into levels values (?, 1, ?)", (later, block(*columns)))
    database.execute("insert into promise values (1, ?)", (later,))
    database.execute(
        "insert into sealed values (1, ?, 'bins', ?, ?)", (entry.day, entry.file, entry.encode())
    )
    database.commit()
    database.close()


def test_a_store_of_format_1_is_converted_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_format_1(tmp_path)
    with pytest.raises(StoreError, match="an older version of netwatch"):
        SqliteStore(tmp_path / "series.sqlite")
    assert migrate(tmp_path / "series.sqlite") == 131
    assert "block 0 of bins" in caplog.text
    store = SqliteStore(tmp_path / "series.sqlite")
    found = {(bin_.time, bin_.series): bin_ for bin_ in store.read_bins(T0, T0 + 2 * DAY)}
    assert found == {
        (time, key): Bin(time, key, float(code), total)
        for code, key in enumerate(KEYS)
        for time, total in ((T0, None), (T0 + DAY, None if code == 129 else 9.0))
    }
    assert store.closed_until() == T0 + DAY
    (level,) = store.read_levels(T0, T0 + 2 * DAY)
    assert level == Level(
        T0 + DAY, KEYS[128], 0.5, probability=0.9, networks=3, baseline=Baseline()
    )
    assert store.check() == []
    store.close()


def test_a_converted_store_registers_and_compacts_series_again(tmp_path: Path) -> None:
    write_format_1(tmp_path)
    migrate(tmp_path / "series.sqlite")
    store = SqliteStore(tmp_path / "series.sqlite")
    new = SeriesKey("reachability", Entity(EntityKind.ASN, "999"))
    late = [Bin(T0, KEYS[0], 77.0), Bin(T0, new, 1.0)]
    store.put_bins(late)
    before = list(store.read_bins(T0, T0 + 2 * DAY))
    assert len(before) == 2 * 130 + 1
    entries = list(store.compact())
    assert [(entry.kind, entry.revision) for entry in entries] == [
        ("bins", 2),
        ("bins", 1),
        ("levels", 1),
    ]
    assert list(store.read_bins(T0, T0 + 2 * DAY)) == before
    assert store.check() == []
    store.close()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    write_format_1(tmp_path)
    path = tmp_path / "series.sqlite"
    migrate(path)
    assert migrate(path) == 0
    assert path.with_name("series.sqlite.format-1").exists()


def test_compacted_levels_of_format_1_have_whole_numbers_of_networks(tmp_path: Path) -> None:
    """Format 1 wrote every number as a double."""
    path = tmp_path / "series.sqlite"
    with closing(SqliteStore(path)) as store:
        store.put_levels([Level(T0, KEYS[0], 0.5, networks=3)])
        (entry,) = store.compact()
    write_networks_as_doubles(path, entry)
    with closing(SqliteStore(path)) as store:
        store.put_levels([Level(T0 + timedelta(hours=1), KEYS[0], 0.5, networks=4)])
        networks = [level.networks for level in store.read_levels(T0, T0 + DAY)]
        assert networks == [3, 4]
        assert all(isinstance(number, int) for number in networks)
        assert store.check() == []


def write_networks_as_doubles(path: Path, entry: Entry) -> None:
    """Write the file of a store's only entry as format 1 did, and name its content in the entry."""
    days = path.parent / "days"
    file, draft = days / entry.file, days / "draft"
    doubles = f"select * replace (networks::double as networks) from '{file}'"
    duckdb.execute(f"copy ({doubles}) to '{draft}' (format parquet)")
    draft.replace(file)
    entry = replace(entry, bytes=file.stat().st_size, sha256=file_sha256(file))
    (days / "manifest.jsonl").write_text(entry.encode() + "\n")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update compacted set entry = ?", (entry.encode(),))
