"""Recovery: a damaged SQLite file is renamed, and what can be read of it is copied.

Compacted days do not depend on the SQLite file: their files and the manifest name all that they
hold, so that even a lost `series.sqlite` costs the open days only.
"""

import fcntl
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError, os_errors_as
from netwatch.protocols import Area, Clock
from netwatch.storage.sqlite_file import DamagedError, SqliteFile
from netwatch.store.manifest import MANIFEST, Entry, file_damage, insert_entry, read_manifest
from netwatch.store.parquet_days import ParquetDays
from netwatch.store.schema import TABLES, open_file

_LOG = logging.getLogger(__name__)

_MAGIC = b"SQLite format 3\0"
_COLUMNS = {
    "series": ("id", "area", "signal", "kind", "code"),
    "compacted": ("line", "day", "kind", "file", "entry"),
    "watermark": ("one", "closed_until"),
    **{table.name: table.columns for table in TABLES},
}
_KEYS = dict.fromkeys(_COLUMNS, ("rowid",)) | {table.name: ("time", "series") for table in TABLES}


def open_or_recover(
    path: Path, folder: Path, area: Area, clock: Clock
) -> tuple[SqliteFile, IO[str]]:
    """Open the SQLite file at `path`, recovering a damaged one.

    Returns:
        The file, and an open lock file that marks it as in use until that is closed.

    Raises:
        StoreError: it cannot be opened, or it is damaged and another process has it open.
    """
    with os_errors_as(StoreError, f"{path.parent}: cannot be created"):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        database, users = _open(path)
    except DamagedError as error:
        with exclusive_lock(path):
            damaged = _rename_damaged(path, clock())
        database, users = _open(path)
        _import_compacted_days(database, folder, area)
        count = _salvage(damaged, database, folder, area)
        _LOG.error("%s; renamed to %s, %d open rows recovered", error, damaged.name, count)
    _import_compacted_days(database, folder, area)
    return database, users


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Keep other processes from opening the file at `path` meanwhile.

    Raises:
        StoreError: another process has it open.
    """
    with mark_in_use(path) as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{path}: is still in use; stop netwatch first") from error
        yield


def mark_in_use(path: Path) -> IO[str]:
    """Hold a shared lock on the file at `path` until the returned lock file is closed."""
    lock = path.with_name(f"{path.name}.users")
    with os_errors_as(StoreError, f"{lock}: cannot be opened"):
        users = lock.open("a")
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _open(path: Path) -> tuple[SqliteFile, IO[str]]:
    _check_length(path)
    users = mark_in_use(path)
    try:
        return open_file(path), users
    except StoreError:
        users.close()
        raise


def _check_length(path: Path) -> None:
    """Refuse a file that ends within a page; SQLite would read zeros there.

    Raises:
        DamagedError: the file was truncated.
        StoreError: it may not be read.
    """
    if not path.exists():
        return
    with os_errors_as(StoreError, str(path)), path.open("rb") as file:
        header = file.read(18)
    page = int.from_bytes(header[16:18], "big") or 1
    page = 65_536 if page == 1 else page  # the header's code for the largest size
    if header[:16] == _MAGIC and path.stat().st_size % page:
        raise DamagedError(f"{path}: is damaged: its end is missing")


def _rename_damaged(path: Path, now: datetime) -> Path:
    """Rename the file at `path` and its log; return the new name."""
    damaged = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(damaged.with_name(damaged.name + suffix))
    return damaged


def _import_compacted_days(database: SqliteFile, folder: Path, area: Area) -> None:
    """Enter the compacted days of `folder` in a database that has none.

    Raises:
        StoreError: the manifest or a file cannot be read.
    """
    if not (folder / MANIFEST).exists():
        return
    with database.snapshot() as connection:
        if connection.execute("SELECT 1 FROM compacted LIMIT 1").fetchone():
            return
    entries = read_manifest(folder / MANIFEST)
    with database.transaction(durable=True) as connection:
        for entry in entries:
            insert_entry(connection, entry)
        _import_series(connection, folder, entries, area)


def _salvage(damaged: Path, database: SqliteFile, folder: Path, area: Area) -> int:
    """Copy what can be read of `damaged`; return the rows of bins and levels.

    Rows of series whose names cannot be read are left out.
    """
    source = sqlite3.connect(damaged, isolation_level=None)
    try:
        source.execute("PRAGMA writable_schema = ON")  # otherwise a short file is not read at all
        with database.transaction(durable=True) as connection:
            last = connection.execute("SELECT coalesce(max(line), 0) FROM compacted").fetchone()[0]
            for name in ("series", "compacted", "watermark"):
                _copy_table(source, connection, name)
            found = connection.execute(
                "SELECT entry FROM compacted WHERE line > ? ORDER BY line", (last,)
            )
            entries = [msgspec.json.decode(text, type=Entry) for (text,) in found.fetchall()]
            _import_series(connection, folder, entries, area)
            return sum(_copy_rows(source, connection, table.name) for table in TABLES)
    except sqlite3.DatabaseError as error:
        _LOG.warning("%s: nothing could be recovered: %s", damaged, error)
        return 0
    finally:
        source.close()


def _import_series(
    connection: sqlite3.Connection, folder: Path, entries: Sequence[Entry], area: Area
) -> None:
    """Register the series of the newest files among `entries`, with their ids there."""
    days = ParquetDays(folder)
    newest = {(entry.kind, entry.day): entry for entry in entries}
    try:
        for entry in newest.values():
            if entry.file and not file_damage(folder, entry):
                connection.executemany(
                    "INSERT OR IGNORE INTO series (id, area, signal, kind, code)"
                    " VALUES (?, ?, ?, ?, ?)",
                    [
                        (id_, area(Entity(EntityKind(kind), code)), signal, kind, code)
                        for id_, signal, kind, code in days.series(entry)
                    ],
                )
    finally:
        days.close()


def _copy_rows(source: sqlite3.Connection, connection: sqlite3.Connection, name: str) -> int:
    """Copy the readable rows of known series; return how many."""
    _copy_table(source, connection, name)
    connection.execute(f"DELETE FROM {name} WHERE series NOT IN (SELECT id FROM series)")  # noqa: S608 - the schema's own names
    count: int = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 - the schema's own names
    return count


def _copy_table(source: sqlite3.Connection, connection: sqlite3.Connection, name: str) -> None:
    """Copy the readable rows of a table; existing rows and impossible ones are left out."""
    columns = _COLUMNS[name]
    insert = f"INSERT OR IGNORE INTO {name} ({', '.join(columns)}) VALUES "  # noqa: S608 - the schema's own names
    insert += f"({', '.join('?' * len(columns))})"
    connection.executemany(insert, _readable_rows(source, name))


def _readable_rows(source: sqlite3.Connection, name: str) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a table up to the damage, then those from its end back to the damage."""
    columns = ", ".join(_COLUMNS[name])
    for direction in ("", " DESC"):
        order = ", ".join(column + direction for column in _KEYS[name])
        try:
            yield from source.execute(f"SELECT {columns} FROM {name} ORDER BY {order}")  # noqa: S608 - the schema's own names
        except sqlite3.DatabaseError as error:
            _LOG.warning("table %s: %s", name, error)
        else:
            return
