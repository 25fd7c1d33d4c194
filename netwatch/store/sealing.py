"""Sealing: a past day moves from SQLite into one Parquet file, for good.

The file is complete, on the disk and under its name before one transaction takes the day's
rows out of SQLite and enters the file; a reader's snapshot is before or after that, never
between. A crash before it leaves a file that nobody reads and the next sealing replaces.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from netwatch.model.errors import StoreError
from netwatch.store import open_days
from netwatch.store.blocks import SIZE
from netwatch.store.database import TABLES, Database, Table
from netwatch.store.manifest import (
    Entry,
    append_entry,
    day_text,
    file_hash,
    newest_entry,
    write_manifest,
)
from netwatch.store.moments import DAY
from netwatch.store.names import Names
from netwatch.store.packing import Texts
from netwatch.store.parquet import Parquet
from netwatch.store.rows import Rows
from netwatch.store.sealed import SealedDays, file_fault

_CHUNK = 1_000_000  # rows held in memory at once
_TRIES = 3  # times that late data may interrupt the sealing of one day
_TEMPORARY = ".sealing-"


class Sealer:
    """Seals days of the store on `database` into `folder`; one sealer at a time per folder."""

    def __init__(self, database: Database, folder: Path, names: Names, texts: Texts) -> None:
        self._database = database
        self._folder = folder
        self._names = names
        self._texts = texts
        self._sealed = SealedDays(folder)
        self._parquet = Parquet()

    def seal_before(self, time: int) -> Iterator[Entry]:
        """Seal every day that ended by `time` and has open rows; yield each new line.

        Raises:
            StoreError: another process is sealing, the disk is full, or a file cannot be
                written. What was sealed before stands.
        """
        with self._alone():
            try:
                for table in TABLES:
                    for day in self._open_days(table, time // DAY):
                        yield self._seal(table, day)
                self._database.give_back()
            finally:
                self._sealed.close()
                self._parquet.close()

    def _open_days(self, table: Table, end: int) -> list[int]:
        days = []
        with self._database.reading() as connection:
            self._names.refresh(connection)
            self._texts.refresh(connection)
            write_manifest(connection, self._folder)
            first = open_days.first_time(connection, table, 0)
            while first is not None and first // DAY < end:
                days.append(first // DAY)
                first = open_days.first_time(connection, table, (first // DAY + 1) * DAY)
        return days

    def _seal(self, table: Table, day: int) -> Entry:
        for _ in range(_TRIES):
            entry = self._try_to_seal(table, day)
            if entry is not None:
                return entry
        raise StoreError(f"{day_text(day)}: data keeps arriving for it; seal it later")

    def _try_to_seal(self, table: Table, day: int) -> Entry | None:
        """Return the day's new line, None where late data came in between."""
        with self._database.reading() as connection:
            version = _version(connection, day)
            before = newest_entry(connection, table.name, day)
            self._names.refresh(connection)
            self._texts.refresh(connection)
        revision = 1 if before is None else before.revision + 1
        name = f"{day_text(day)}.{table.name}.r{revision}.parquet"
        old = before if before is not None and before.file else None
        with _said_as_store_error(self._folder), self._workshop() as workshop:
            if old is not None and file_fault(self._folder, old):
                set_aside(self._folder / old.file)
                old = None
            parts, rows = self._write_parts(table, day, old, workshop)
            if not parts:
                raise StoreError(f"{day_text(day)}: every open block of {table.name} is damaged")
            made = workshop / name
            names = (self._names.keys.copy(), self._texts.texts.copy())  # others may add to them
            self._parquet.join_parts(table, made, parts, names=names, rows=rows)
            entry = Entry(
                line=0,
                day=day,
                date=day_text(day),
                kind=table.name,
                revision=revision,
                file=name,
                rows=rows,
                bytes=made.stat().st_size,
                sha256=file_hash(made),
            )
            _place(made, self._folder / name)
        return self._commit(table, entry, old, version)

    def _commit(self, table: Table, entry: Entry, old: Entry | None, version: int) -> Entry | None:
        """Swap the day's rows for its file in one transaction, if no row came in meanwhile."""
        span = (entry.day * DAY, (entry.day + 1) * DAY)
        with self._database.writing(durable=True) as connection:
            if _version(connection, entry.day) != version:
                return None
            connection.execute(table.sql("delete from @ where time >= ? and time < ?"), span)
            entry = append_entry(connection, entry)
        with self._database.reading() as connection, _said_as_store_error(self._folder):
            write_manifest(connection, self._folder)
        if old is not None:
            mark_overtaken(self._folder / old.file)
        return entry

    def _write_parts(
        self, table: Table, day: int, old: Entry | None, workshop: Path
    ) -> tuple[list[Path], int]:
        """Write the day in parts of bounded size, by series; return them and their rows."""
        span = (day * DAY, (day + 1) * DAY)
        parts: list[Path] = []
        total = 0
        for first, last in self._stretches(table, span, 0 if old is None else old.rows):
            with self._database.reading() as connection:
                rows = open_days.read_blocks(connection, table, span, (first, last))
            if old is not None:
                earlier = self._sealed.rows_of(table, old, first * SIZE, (last + 1) * SIZE - 1)
                rows = Rows.joined([earlier, rows], table.width).settled()
            if len(rows):
                parts.append(workshop / f"part-{len(parts):05}.parquet")
                order = np.lexsort((rows.times, rows.ids))
                self._parquet.write_part(table, parts[-1], rows.take(order))
                total += len(rows)
        return parts, total

    def _stretches(self, table: Table, span: tuple[int, int], old: int) -> list[tuple[int, int]]:
        """Return stretches of blocks, the first and last of each, that fit memory together.

        `old` is how many rows are sealed already and will be merged.
        """
        with self._database.reading() as connection:
            times = open_days.count_times(connection, table, span)
        count = max(self._names.keys.copy()) // SIZE + 1
        step = max(1, int(_CHUNK / (SIZE * times + old / count + 1)))
        return [(first, min(first + step, count) - 1) for first in range(0, count, step)]

    @contextmanager
    def _workshop(self) -> Iterator[Path]:
        """Give a folder beside the files for what is not yet one of them."""
        workshop = Path(mkdtemp(prefix=_TEMPORARY, dir=self._folder))
        try:
            yield workshop
        finally:
            shutil.rmtree(workshop, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder's lock, and clear away what a crash left."""
        with _said_as_store_error(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreError(f"{self._folder}: another process is sealing") from error
            for left in self._folder.glob(f"{_TEMPORARY}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield


def set_aside(path: Path) -> Path | None:
    """Rename a damaged file so that nothing reads it; return its new name, None if it is gone."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return None
    return aside


def mark_overtaken(path: Path) -> None:
    """Give a file that no longer counts the present as its time: it is deleted some time after."""
    with suppress(OSError):
        os.utime(path)


def _version(connection: sqlite3.Connection, day: int) -> int:
    found = connection.execute("select version from touched where day = ?", (day,)).fetchone()
    return 0 if found is None else int(found[0])


def _place(made: Path, path: Path) -> None:
    """Give the finished file its name; both are on the disk when this returns."""
    with made.open("rb") as file:
        os.fsync(file.fileno())
    made.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _said_as_store_error(folder: Path) -> Iterator[None]:
    """Turn the system's refusals into one line.

    Raises:
        StoreError: in place of every `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: {error.strerror}") from error
