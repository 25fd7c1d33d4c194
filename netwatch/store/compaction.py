"""Compaction: a past day moves from SQLite into one Parquet file.

The file is complete and durable under its name before one transaction deletes the day's rows from
SQLite and enters the file. A reader's snapshot is before or after that transaction. A crash
before it leaves a file that nothing reads and the next compaction replaces.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netwatch.model.errors import StoreError, os_errors_as
from netwatch.storage.file_lock import lock_file
from netwatch.storage.private_files import FILE_MODE, FOLDER_MODE
from netwatch.storage.sqlite_file import SqliteFile
from netwatch.store.manifest import (
    Entry,
    append_entry,
    change_manifest,
    file_damage,
    file_sha256,
    iso_date,
    newest_entries,
)
from netwatch.store.parquet_days import write_day
from netwatch.store.reader import SeriesReader
from netwatch.store.schema import DAY, TABLES, Table
from netwatch.store.series_catalog import SeriesCatalog

_ATTEMPTS = 3
"""How often late data may interrupt the compaction of one day."""
_SCRATCH = ".compacting-"


class Compactor:
    """Compacts days of the store on `database` into files in `folder`."""

    def __init__(
        self, database: SqliteFile, folder: Path, catalog: SeriesCatalog, reader: SeriesReader
    ) -> None:
        self._database = database
        self._folder = folder
        self._catalog = catalog
        self._reader = reader

    def compact_before(self, time: int) -> Iterator[Entry]:
        """Compact every open day that ended by `time`, yielding each new entry.

        Raises:
            StoreError: another process is compacting, the disk is full, or a file cannot be
                written. Days compacted before stay so.
        """
        with os_errors_as(StoreError, str(self._folder)):
            self._folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        busy = f"{self._folder}: another process is compacting"
        with lock_file(self._folder / ".lock", busy=busy):
            for table in TABLES:
                for day in self._open_days(table, time // DAY):
                    yield self._compact(table, day)
            self._database.shrink()

    def _open_days(self, table: Table, end: int) -> list[int]:
        days: list[int] = []
        with self._database.snapshot() as connection:
            time = table.next_time(connection, 0)
            while time is not None and time < end * DAY:
                days.append(time // DAY)
                time = table.next_time(connection, (days[-1] + 1) * DAY)
        return days

    def _compact(self, table: Table, day: int) -> Entry:
        for _ in range(_ATTEMPTS):
            entry = self._try_to_compact(table, day)
            if entry is not None:
                return entry
        raise StoreError(f"{iso_date(day)}: late data keeps arriving; compact it later")

    def _try_to_compact(self, table: Table, day: int) -> Entry | None:
        """Return the day's new entry, None if late data arrived meanwhile."""
        span = day * DAY, (day + 1) * DAY
        with self._database.snapshot() as connection:
            version = _day_version(connection, day)
            newest = next(iter(newest_entries(connection, table.name, span)), None)
        revision = 1 if newest is None else newest.revision + 1
        earlier = self._folder / newest.file if newest is not None and newest.file else None
        with os_errors_as(StoreError, str(self._folder)), _scratch_folder(self._folder) as scratch:
            if newest is not None and earlier is not None and file_damage(self._folder, newest):
                quarantine_file(earlier)
            made = scratch / f"{iso_date(day)}.{table.name}.r{revision}.parquet"
            rows = write_day(
                table, made, self._reader.read_ordered(table, span, None), keys=self._catalog.keys
            )
            entry = Entry(
                line=0,
                day=day,
                date=iso_date(day),
                kind=table.name,
                revision=revision,
                file=made.name,
                rows=rows,
                bytes=made.stat().st_size,
                sha256=file_sha256(made),
            )
            _publish(made, self._folder / made.name)
            with change_manifest(self._database, self._folder) as connection:
                if _day_version(connection, day) != version:
                    return None
                connection.execute(
                    f"DELETE FROM {table.name} WHERE time >= ? AND time < ?",  # noqa: S608 - the schema's own names
                    span,
                )
                entry = append_entry(connection, entry)
        if earlier is not None:
            mark_superseded(earlier)
        return entry


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
    """Rename a finished file, private now; file and name are on the disk when this returns."""
    made.chmod(FILE_MODE)
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
    """Yield an empty folder; a crash may leave it to the next compaction."""
    scratch = folder / f"{_SCRATCH}day"
    _delete_scratch(folder)
    scratch.mkdir(FOLDER_MODE)
    try:
        yield scratch
    finally:
        _delete_scratch(folder)


def _delete_scratch(folder: Path) -> None:
    for path in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(path, ignore_errors=True)
