"""Keeping house in an embedded store: what it holds, whether it is whole, what may go."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from netwatch.model.errors import StoreError
from netwatch.store.blocks import CHECK, is_sound
from netwatch.store.database import TABLES, Database, Table
from netwatch.store.manifest import (
    NAME,
    Entry,
    append_entry,
    current_entries,
    faults_in,
    parse_lines,
    write_manifest,
)
from netwatch.store.moments import DAY, to_time
from netwatch.store.sealed import file_fault
from netwatch.store.sealing import mark_overtaken, set_aside

_GRACE = timedelta(hours=1)
"""An overtaken file stays so long for whoever is reading it; its file time says since when."""


class TableStats(msgspec.Struct, frozen=True):
    """What one table holds: rows and bytes in open and in sealed days, and the times of both."""

    open_rows: int
    open_bytes: int
    sealed_rows: int
    sealed_bytes: int
    sealed_days: int
    first: datetime | None
    last: datetime | None


class Stats(msgspec.Struct, frozen=True):
    """What a store holds."""

    series: int
    closed_until: datetime | None
    file_bytes: int
    bins: TableStats
    levels: TableStats


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it should be: where, and what."""

    file: str
    fault: str
    set_aside: bool = False


def stats(database: Database, path: Path) -> Stats:
    """Return what the store at `path` holds; counts every open block, so takes a while."""
    with database.reading() as connection:
        series = connection.execute("select count(*) from series").fetchone()[0]
        promise = connection.execute("select closed_until from promise").fetchone()
        bins, levels = (_table_stats(connection, table) for table in TABLES)
    closed_until = None if promise is None else to_time(promise[0])
    beside = (path, path.with_name(path.name + "-wal"))
    size = sum(part.stat().st_size for part in beside if part.exists())
    return Stats(series, closed_until, size, bins, levels)


def check(database: Database, folder: Path, *, repair: bool = False) -> list[Finding]:
    """Return all that is wrong with the database, the manifest and every sealed file.

    With `repair`, a damaged file is renamed, and its day entered in the manifest as set aside.
    """
    findings = [*_check_database(database), *_check_manifest(database, folder)]
    for table in TABLES:
        with database.reading() as connection:
            entries = current_entries(connection, table.name)
        for entry in entries:
            fault = file_fault(folder, entry)
            if fault and repair:
                _give_up(database, folder, entry, reason=fault)
                set_aside(folder / entry.file)
            if fault:
                findings.append(Finding(entry.file, fault, set_aside=repair))
    return findings


def drop_before(database: Database, folder: Path, time: int) -> int:
    """Delete what lies before `time`, of sealed days those that end by it; return the rows."""
    count = 0
    for table in TABLES:
        with database.writing() as connection:
            count += _open_rows(connection, table, time)
            connection.execute(table.sql("delete from @ where time < ?"), (time,))
        with database.reading() as connection:
            entries = current_entries(connection, table.name, (0, time // DAY * DAY))
        for entry in entries:
            _give_up(database, folder, entry, reason="past its keeping")
            mark_overtaken(folder / entry.file)
            count += entry.rows
    database.give_back()
    return count


def sweep(database: Database, folder: Path, now: datetime) -> list[str]:
    """Delete files that no reader can want any more; return their names."""
    with database.reading() as connection:
        found = [current_entries(connection, table.name) for table in TABLES]
    current = {entry.file for entries in found for entry in entries}
    gone = []
    for path in sorted(folder.glob("*.r*.parquet")):
        age = now.timestamp() - path.stat().st_mtime
        if path.name not in current and age > _GRACE.total_seconds():
            path.unlink()
            gone.append(path.name)
    return gone


def _give_up(database: Database, folder: Path, entry: Entry, *, reason: str) -> None:
    gone = msgspec.structs.replace(entry, file="", rows=0, bytes=0, sha256="", reason=reason)
    with database.writing(durable=True) as connection:
        append_entry(connection, gone)
    with database.reading() as connection:
        write_manifest(connection, folder)


def _table_stats(connection: sqlite3.Connection, table: Table) -> TableStats:
    blocks, size, first, last = connection.execute(
        table.sql("select count(*), coalesce(sum(length(data)), 0), min(time), max(time) from @")
    ).fetchone()
    entries = current_entries(connection, table.name)
    times = [time for time in (first, last) if time is not None]
    starts = times + [entry.day * DAY for entry in entries]
    ends = times + [(entry.day + 1) * DAY for entry in entries]
    return TableStats(
        open_rows=(size - blocks * CHECK) // (1 + 8 * table.width),
        open_bytes=size,
        sealed_rows=sum(entry.rows for entry in entries),
        sealed_bytes=sum(entry.bytes for entry in entries),
        sealed_days=len(entries),
        first=to_time(min(starts)) if starts else None,
        last=to_time(max(ends)) if ends else None,
    )


def _open_rows(connection: sqlite3.Connection, table: Table, end: int) -> int:
    found = connection.execute(
        table.sql("select count(*), coalesce(sum(length(data)), 0) from @ where time < ?"), (end,)
    )
    blocks, size = found.fetchone()
    return int(size - blocks * CHECK) // (1 + 8 * table.width)


def _check_database(database: Database) -> list[Finding]:
    try:
        with database.reading() as connection:
            found = connection.execute("pragma quick_check").fetchall()
    except StoreError as error:
        return [Finding(database.path.name, str(error))]
    findings = [Finding(database.path.name, line) for (line,) in found if line != "ok"]
    for table in TABLES:
        with database.reading() as connection:
            blocks = connection.execute(table.sql("select time, block, data from @"))
            findings += [
                Finding(
                    database.path.name, f"{table.name} at {to_time(time)}: block {block} is damaged"
                )
                for time, block, data in blocks
                if not is_sound(data)
            ]
    return findings


def _check_manifest(database: Database, folder: Path) -> list[Finding]:
    with database.reading() as connection:
        found = connection.execute("select entry from sealed order by line").fetchall()
    known = [text for (text,) in found]
    path = folder / NAME
    if not path.exists():
        return [Finding(NAME, "is missing; the next sealing writes it again")] if known else []
    try:
        entries = parse_lines(path)
    except StoreError as error:
        return [Finding(NAME, str(error))]
    faults = faults_in(entries)
    written = [entry.text() for entry in entries]
    if written == known[: len(written)]:
        # A crash came between the transaction and the file; what is missing is no fault.
        with database.reading() as connection:
            write_manifest(connection, folder)
    else:
        faults.append("does not say what the database says; one of them was changed")
    return [Finding(NAME, fault) for fault in faults]
