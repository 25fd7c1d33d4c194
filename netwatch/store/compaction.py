"""Compaction: a past day moves from SQLite into one Parquet file.

The file is complete and durable under its name before one transaction deletes the day's rows from
SQLite and enters the file. A reader's snapshot is before or after that transaction. A crash
before it leaves a file that nothing reads and the next compaction replaces.
"""

import fcntl
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from netwatch.model.errors import StoreError
from netwatch.storage.sqlite_file import SqliteFile
from netwatch.store.manifest import (
    Entry,
    append_entry,
    file_damage,
    file_sha256,
    iso_date,
    newest_entry,
    write_manifest,
)
from netwatch.store.parquet_days import write_day
from netwatch.store.schema import DAY, TABLES, Rows, Table
from netwatch.store.series_catalog import SeriesCatalog

_LOG = logging.getLogger(__name__)

_CHUNK = 200_000
"""Rows read in one snapshot; writers of this process wait for about half a second."""
_ATTEMPTS = 3
"""How often late data may interrupt the compaction of one day."""
_SCRATCH = ".compacting-"


class Compactor:
    """Compacts days of the store on `database` into files in `folder`."""

    def __init__(self, database: SqliteFile, folder: Path, catalog: SeriesCatalog) -> None:
        self._database = database
        self._folder = folder
        self._catalog = catalog

    def compact_before(self, time: int) -> Iterator[Entry]:
        """Compact every open day that ended by `time`, yielding each new entry.

        Raises:
            StoreError: another process is compacting, the disk is full, or a file cannot be
                written. Days compacted before stay so.
        """
        with _exclusive(self._folder):
            for table in TABLES:
                for day in self._open_days(table, time // DAY):
                    yield self._compact(table, day)
            self._database.shrink()

    def _open_days(self, table: Table, end: int) -> list[int]:
        days: list[int] = []
        statement = f"SELECT min(time) / {DAY} FROM {table.name} WHERE time >= ?"  # noqa: S608 - the schema's own names
        with self._database.snapshot() as connection:
            day = connection.execute(statement, (0,)).fetchone()[0]
            while day is not None and day < end:
                days.append(day)
                day = connection.execute(statement, ((day + 1) * DAY,)).fetchone()[0]
        return days

    def _compact(self, table: Table, day: int) -> Entry:
        for _ in range(_ATTEMPTS):
            entry = self._try_to_compact(table, day)
            if entry is not None:
                return entry
        raise StoreError(f"{iso_date(day)}: late data keeps arriving; compact it later")

    def _try_to_compact(self, table: Table, day: int) -> Entry | None:
        """Return the day's new entry, None if late data arrived meanwhile."""
        with self._database.snapshot() as connection:
            version = _day_version(connection, day)
            newest = newest_entry(connection, table.name, day)
            self._catalog.refresh(connection)
        revision = 1 if newest is None else newest.revision + 1
        name = f"{iso_date(day)}.{table.name}.r{revision}.parquet"
        earlier = newest if newest is not None and newest.file else None
        with _translate_errors(self._folder), _scratch_folder(self._folder) as scratch:
            if earlier is not None and file_damage(self._folder, earlier):
                quarantine_file(self._folder / earlier.file)
                earlier = None
            made = scratch / name
            rows = write_day(
                table,
                made,
                self._read_chunks(table, day),
                keys=self._catalog.keys.copy(),  # other threads may add to it
                earlier=None if earlier is None else self._folder / earlier.file,
            )
            entry = Entry(
                line=0,
                day=day,
                date=iso_date(day),
                kind=table.name,
                revision=revision,
                file=name,
                rows=rows,
                bytes=made.stat().st_size,
                sha256=file_sha256(made),
            )
            _publish(made, self._folder / name)
        return self._commit(table, entry, earlier=earlier, version=version)

    def _commit(
        self, table: Table, entry: Entry, *, earlier: Entry | None, version: int
    ) -> Entry | None:
        """Replace the day's rows by its file in one transaction, unless late data arrived."""
        with self._database.transaction(durable=True) as connection:
            if _day_version(connection, entry.day) != version:
                return None
            connection.execute(
                f"DELETE FROM {table.name} WHERE time >= ? AND time < ?",  # noqa: S608 - the schema's own names
                entry.span,
            )
            entry = append_entry(connection, entry)
        with self._database.snapshot() as connection, _translate_errors(self._folder):
            if not write_manifest(connection, self._folder):
                _LOG.error("%s: the manifest was changed; run netwatch store check", self._folder)
        if earlier is not None:
            mark_superseded(self._folder / earlier.file)
        return entry

    def _read_chunks(self, table: Table, day: int) -> Iterator[Rows]:
        """Yield the rows of a day by time, then series, each chunk in one short snapshot."""
        statement = table.select(
            "(time, series) > (?, ?) AND time < ? ORDER BY time, series LIMIT ?"
        )
        last = (day * DAY, -1)
        while True:
            with self._database.snapshot() as connection:
                rows = connection.execute(statement, (*last, (day + 1) * DAY, _CHUNK)).fetchall()
            if not rows:
                return
            yield np.array(rows, table.dtype)
            last = rows[-1][:2]


def quarantine_file(path: Path) -> None:
    """Rename a damaged file so that nothing reads it."""
    with suppress(FileNotFoundError):
        path.rename(path.with_name(f"{path.name}.damaged"))


def mark_superseded(path: Path) -> None:
    """Set the modification time of a file that no longer counts; it is deleted an hour later."""
    with suppress(OSError):
        os.utime(path)


def _day_version(connection: sqlite3.Connection, day: int) -> int:
    row = connection.execute("SELECT version FROM day_versions WHERE day = ?", (day,)).fetchone()
    return 0 if row is None else int(row[0])


def _publish(made: Path, path: Path) -> None:
    """Rename a finished file; file and name are on the disk when this returns."""
    with made.open("rb") as file:
        os.fsync(file.fileno())
    made.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _scratch_folder(folder: Path) -> Iterator[Path]:
    scratch = Path(mkdtemp(prefix=_SCRATCH, dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, and delete what a crash left."""
    with _translate_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{folder}: another process is compacting") from error
        for left in folder.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def _translate_errors(folder: Path) -> Iterator[None]:
    """Raise every `OSError` as a StoreError of one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: {error.strerror}") from error
