"""Statistics, integrity checks and deletion in an embedded store."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from netwatch.model.errors import StoreError, os_errors_as
from netwatch.model.time import from_micros
from netwatch.storage.sqlite_file import SqliteFile, database_files
from netwatch.store.compaction import mark_superseded, quarantine_file
from netwatch.store.manifest import (
    MANIFEST,
    Entry,
    append_entry,
    change_manifest,
    current_entries,
    file_damage,
    read_manifest,
    verify_chain,
    write_manifest,
)
from netwatch.store.schema import DAY, TABLES, Table

_READER_GRACE = timedelta(hours=1)
"""How long a superseded file stays for its readers; its modification time is when it was."""


class TableStats(msgspec.Struct, frozen=True):
    """Rows of one table in open and in compacted days, and the times of both."""

    open_rows: int
    compacted_rows: int
    compacted_bytes: int
    compacted_days: int
    first: datetime | None
    last: datetime | None


class Stats(msgspec.Struct, frozen=True):
    """Content of a store; `file_bytes` is the size of all files of SQLite, its logs included."""

    series: int
    closed_until: datetime | None
    file_bytes: int
    bins: TableStats
    levels: TableStats


class Damage(msgspec.Struct, frozen=True):
    """A damaged file, the damage, and whether the file was quarantined."""

    file: str
    fault: str
    quarantined: bool = False


def stats(database: SqliteFile) -> Stats:
    """Return what a store holds; counts every open row, so takes a while."""
    with database.snapshot() as connection:
        series = connection.execute("SELECT count(*) FROM series").fetchone()[0]
        watermark = connection.execute("SELECT closed_until FROM watermark").fetchone()
        bins, levels = (_table_stats(connection, table) for table in TABLES)
    closed_until = None if watermark is None else from_micros(watermark[0])
    size = sum(path.stat().st_size for path in database_files(database.path))
    return Stats(series, closed_until, size, bins, levels)


def check(database: SqliteFile, folder: Path, *, quarantine: bool = False) -> list[Damage]:
    """Return all damage of the database, the manifest and every compacted file.

    With `quarantine`, a damaged file is renamed and its day entered in the manifest as removed.
    """
    damages = [*_check_database(database), *_check_manifest(database, folder)]
    for table in TABLES:
        with database.snapshot() as connection:
            entries = current_entries(connection, table.name)
        for entry in entries:
            fault = file_damage(folder, entry)
            if fault and quarantine:
                _remove_day(database, folder, entry, reason=fault)
                quarantine_file(folder / entry.file)
            if fault:
                damages.append(Damage(entry.file, fault, quarantined=quarantine))
    return damages


def drop_before(database: SqliteFile, folder: Path, time: int) -> int:
    """Delete the rows before `time`, of compacted days those that end by it; return how many."""
    count = 0
    for table in TABLES:
        with database.transaction() as connection:
            statement = f"DELETE FROM {table.name} WHERE time < ?"  # noqa: S608 - the schema's own names
            count += connection.execute(statement, (time,)).rowcount
        with database.snapshot() as connection:
            entries = current_entries(connection, table.name, (0, time // DAY * DAY))
        for entry in entries:
            _remove_day(database, folder, entry, reason="older than its retention")
            mark_superseded(folder / entry.file)
            count += entry.rows
    database.shrink()
    return count


def delete_superseded(database: SqliteFile, folder: Path, now: datetime) -> None:
    """Delete files that no reader can have open any more."""
    with database.snapshot() as connection:
        current = {
            entry.file for table in TABLES for entry in current_entries(connection, table.name)
        }
    for path in folder.glob("*.r*.parquet"):
        with os_errors_as(StoreError, f"{path}: cannot be deleted"):
            age = now.timestamp() - path.stat().st_mtime
            if path.name not in current and age > _READER_GRACE.total_seconds():
                path.unlink()


def _remove_day(database: SqliteFile, folder: Path, entry: Entry, *, reason: str) -> None:
    removal = msgspec.structs.replace(entry, file="", rows=0, bytes=0, sha256="", reason=reason)
    with change_manifest(database, folder) as connection:
        append_entry(connection, removal)


def _table_stats(connection: sqlite3.Connection, table: Table) -> TableStats:
    rows, *times = connection.execute(
        f"SELECT count(*), min(time), max(time) FROM {table.name}"  # noqa: S608 - the schema's own names
    ).fetchone()
    entries = current_entries(connection, table.name)
    times = [time for time in times if time is not None]
    times += [time for entry in entries for time in entry.span]
    return TableStats(
        open_rows=rows,
        compacted_rows=sum(entry.rows for entry in entries),
        compacted_bytes=sum(entry.bytes for entry in entries),
        compacted_days=len(entries),
        first=from_micros(min(times)) if times else None,
        last=from_micros(max(times)) if times else None,
    )


def _check_database(database: SqliteFile) -> list[Damage]:
    try:
        with database.snapshot() as connection:
            lines = connection.execute("PRAGMA integrity_check").fetchall()
    except StoreError as error:
        return [Damage(database.path.name, str(error))]
    return [Damage(database.path.name, line) for (line,) in lines if line != "ok"]


def _check_manifest(database: SqliteFile, folder: Path) -> list[Damage]:
    path = folder / MANIFEST
    with database.snapshot() as connection:
        compacted = connection.execute("SELECT 1 FROM compacted LIMIT 1").fetchone()
        if not path.exists():
            fault = "is missing; the next compaction writes it again"
            return [Damage(MANIFEST, fault)] if compacted else []
        # After a crash the file may lack the last lines; they are written now.
        same = write_manifest(connection, folder)
    try:
        faults = verify_chain(read_manifest(path))
    except StoreError as error:
        faults = [str(error)]
    if not same:
        faults.append("differs from the database; one of them was changed")
    return [Damage(MANIFEST, fault) for fault in faults]
