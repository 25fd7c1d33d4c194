"""Recovery: a damaged SQLite file is renamed, and what can be read of it is copied.

Compacted days do not depend on the SQLite file: their files and the manifest name all that they
hold, so that even a lost `series.sqlite` costs the open days only.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError, os_errors_as
from netwatch.protocols import Area, Clock
from netwatch.storage.file_lock import lock_file
from netwatch.storage.private_files import FOLDER_MODE
from netwatch.storage.sqlite_file import DamagedError, SqliteFile, rename_damaged
from netwatch.store.manifest import (
    MANIFEST,
    current_entries,
    file_damage,
    insert_entry,
    read_manifest,
)
from netwatch.store.parquet_days import ParquetDays
from netwatch.store.schema import TABLES, Table, open_file

_LOG = logging.getLogger(__name__)

_CATALOG = {
    "series": ("id", "area", "signal", "kind", "code"),
    "compacted": ("line", "day", "kind", "file", "entry"),
    "watermark": ("one", "closed_until"),
}


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
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    try:
        database, users = _open(path)
    except DamagedError as error:
        with exclusive_lock(path):
            damaged = rename_damaged(path, clock())
        database, users = _open(path)
        count = _restore(database, folder, area, damaged)
        _LOG.error("%s; renamed to %s, %d open rows recovered", error, damaged.name, count)
    else:
        with database.snapshot() as connection:
            lost = not _has_compacted_days(connection) and (folder / MANIFEST).exists()
        if lost:
            _restore(database, folder, area)
    return database, users


def exclusive_lock(path: Path) -> IO[str]:
    """Keep other processes from opening the file at `path` until the returned file is closed.

    Raises:
        StoreError: another process has it open.
    """
    return lock_file(_users_file(path), busy=f"{path}: is still in use; stop netwatch first")


def _users_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.users")


def _open(path: Path) -> tuple[SqliteFile, IO[str]]:
    users = lock_file(_users_file(path), busy="", shared=True)
    try:
        database = open_file(path)
    except StoreError:
        users.close()
        raise
    try:
        # Damage that the log hid from a look at the file's length shows at the first read.
        database.read_number("SELECT count(*) FROM compacted")
    except StoreError:
        database.close()
        users.close()
        raise
    return database, users


def _has_compacted_days(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM compacted LIMIT 1").fetchone() is not None


def _restore(database: SqliteFile, folder: Path, area: Area, damaged: Path | None = None) -> int:
    """Fill a new database from the manifest, the compacted days and a damaged file.

    Rows of series whose names cannot be read are left out.

    Returns:
        The open rows that could be read of `damaged`.

    Raises:
        StoreError: the manifest or a compacted file cannot be read.
    """
    with database.transaction(durable=True) as connection:
        # Another process that opened the new database may have restored it by now.
        if not _has_compacted_days(connection):
            for entry in read_manifest(folder / MANIFEST):
                insert_entry(connection, entry)
        if damaged is None:
            _import_series(connection, folder, area)
            return 0
        with closing(sqlite3.connect(damaged, isolation_level=None)) as source:
            source.execute("PRAGMA writable_schema = ON")  # else a short file is not read at all
            for name, columns in _CATALOG.items():
                _copy_table(source, connection, name, columns, key=("rowid",))
            _import_series(connection, folder, area)
            return sum(_copy_rows(source, connection, table) for table in TABLES)


def _import_series(connection: sqlite3.Connection, folder: Path, area: Area) -> None:
    """Register the series of the current files, with their ids there."""
    with closing(ParquetDays(folder)) as days:
        for entry in (one for table in TABLES for one in current_entries(connection, table.name)):
            found = [] if file_damage(folder, entry) else days.series(entry)
            connection.executemany(
                "INSERT OR IGNORE INTO series (id, area, signal, kind, code)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (id_, area(Entity(EntityKind(kind), code)), signal, kind, code)
                    for id_, signal, kind, code in found
                ],
            )


def _copy_rows(source: sqlite3.Connection, connection: sqlite3.Connection, table: Table) -> int:
    """Copy the readable rows of known series; return how many."""
    _copy_table(source, connection, table.name, table.columns, key=("time", "series"))
    connection.execute(f"DELETE FROM {table.name} WHERE series NOT IN (SELECT id FROM series)")  # noqa: S608 - the schema's own names
    count: int = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]  # noqa: S608 - the schema's own names
    return count


def _copy_table(
    source: sqlite3.Connection,
    connection: sqlite3.Connection,
    name: str,
    columns: Sequence[str],
    *,
    key: Sequence[str],
) -> None:
    """Copy the readable rows of a table; existing rows and impossible ones are left out."""
    names = ", ".join(columns)
    insert = f"INSERT OR IGNORE INTO {name} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - the schema's own names
    query = f"SELECT {names} FROM {name}"  # noqa: S608 - the schema's own names
    orders = (", ".join(f"{column} {way}" for column in key) for way in ("ASC", "DESC"))
    queries = [f"{query} ORDER BY {order}" for order in orders]
    connection.executemany(insert, _readable_rows(source, queries))


def _readable_rows(
    source: sqlite3.Connection, queries: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the first query; if damage ends it, those of the next one as well."""
    for query in queries:
        try:
            yield from source.execute(query)
        except sqlite3.DatabaseError as error:
            _LOG.info("%s: %s", query, error)
        else:
            return
