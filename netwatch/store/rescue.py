"""A damaged SQLite file: set aside under its own name, what can be read of it saved.

The sealed days do not depend on it: their files and manifest name everything they hold, so
that even a lost `series.sqlite` costs the open days only.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from netwatch.model.entities import Entity, EntityKind
from netwatch.protocols import Area
from netwatch.store.blocks import decode, encode
from netwatch.store.database import LEVELS, TABLES, Database, Table
from netwatch.store.manifest import NAME, Entry, insert_entry, parse_lines
from netwatch.store.parquet import Parquet
from netwatch.store.rows import Ints
from netwatch.store.sealed import file_fault

_log = logging.getLogger(__name__)
_SMALL = {
    "series": "id, area, signal, kind, code",
    "text": "id, text",
    "sealed": "line, day, kind, file, entry",
    "promise": "one, closed_until",
}
_PARTS = ("", "-wal", "-shm")  # what SQLite keeps beside the file


def set_database_aside(path: Path, now: datetime) -> Path:
    """Rename the file at `path` and what belongs to it; return its new name."""
    aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S}")
    for part in _PARTS:
        beside = path.with_name(path.name + part)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + part))
    return aside


def adopt_sealed_days(database: Database, folder: Path, area: Area) -> None:
    """Take the sealed days in `folder` into a database that knows of none.

    Raises:
        StoreError: the manifest or a file cannot be read.
    """
    if not (folder / NAME).exists():
        return
    with database.reading() as connection:
        if connection.execute("select 1 from sealed limit 1").fetchone():
            return
    entries = parse_lines(folder / NAME)
    with database.writing(durable=True) as connection:
        for entry in entries:
            insert_entry(connection, entry)
        _adopt_names(connection, folder, entries, area)


def salvage(aside: Path, database: Database, folder: Path, area: Area) -> int:
    """Copy what can be read of the damaged file `aside`; return how many rows that was.

    The sealed days are to be adopted before, for their files know more names than may be left.
    """
    damaged = sqlite3.connect(aside, isolation_level=None)
    try:
        damaged.execute("pragma writable_schema = on")  # else a short file is not read at all
        with database.writing(durable=True) as connection:
            last = connection.execute("select coalesce(max(line), 0) from sealed").fetchone()[0]
            for name, columns in _SMALL.items():
                _copy_small(damaged, connection, name, columns)
            _adopt_names(connection, folder, _entries_after(connection, last), area)
            found = connection.execute("select id from series").fetchall()
            known = np.array([number for (number,) in found], np.int64)
            return sum(_copy_blocks(damaged, connection, table, known) for table in TABLES)
    except sqlite3.DatabaseError as error:
        _log.warning("%s: nothing could be saved: %s", aside, error)
        return 0
    finally:
        damaged.close()


def _entries_after(connection: sqlite3.Connection, line: int) -> list[Entry]:
    found = connection.execute("select entry from sealed where line > ? order by line", (line,))
    return [msgspec.json.decode(text, type=Entry) for (text,) in found]


def _adopt_names(
    connection: sqlite3.Connection, folder: Path, entries: Sequence[Entry], area: Area
) -> None:
    """Number series and baselines as the newest files of `entries` do."""
    newest = {(entry.kind, entry.day): entry for entry in entries}
    parquet = Parquet()
    try:
        for entry in newest.values():
            if entry.file and not file_fault(folder, entry):
                _adopt_file(connection, parquet, folder / entry.file, entry.kind)
    finally:
        parquet.close()
    found = connection.execute("select id, kind, code from series where area = ''").fetchall()
    connection.executemany(
        "update series set area = ? where id = ?",
        [(area(Entity(EntityKind(kind), code)), number) for number, kind, code in found],
    )


def _adopt_file(connection: sqlite3.Connection, parquet: Parquet, path: Path, kind: str) -> None:
    connection.executemany(
        "insert or ignore into series (id, area, signal, kind, code) values (?, '', ?, ?, ?)",
        parquet.names([path]),
    )
    if kind == LEVELS.name:
        connection.executemany(
            "insert or ignore into text (id, text) values (?, ?)", parquet.texts([path]).items()
        )


def _copy_small(
    damaged: sqlite3.Connection, connection: sqlite3.Connection, name: str, columns: str
) -> None:
    """Copy some columns of a table; a row that is there already stays as it is."""
    places = ", ".join("?" for _ in columns.split(","))
    insert = "insert or ignore into @ (#) values (%)".replace("@", name)
    insert = insert.replace("#", columns).replace("%", places)
    for row in _readable(damaged, name, ("rowid",), columns):
        connection.execute(insert, row)


def _copy_blocks(
    damaged: sqlite3.Connection, connection: sqlite3.Connection, table: Table, known: Ints
) -> int:
    """Copy the blocks that can be read, less series whose names cannot; return the rows."""
    count = 0
    insert = table.sql("insert or ignore into @ (time, block, data) values (?, ?, ?)")
    for time, block, data in _readable(damaged, table.name, ("time", "block")):
        if not (isinstance(time, int) and isinstance(block, int) and isinstance(data, bytes)):
            continue
        rows = decode([(time, block, data)], table.width)
        rows = rows.take(np.isin(rows.ids, known))
        connection.executemany(insert, encode(rows))
        count += len(rows)
    return count


def _readable(
    damaged: sqlite3.Connection, name: str, key: tuple[str, ...], columns: str = "*"
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a table up to the damage, then those from the end back to it."""
    for direction in ("", " desc"):
        order = ", ".join(column + direction for column in key)
        try:
            yield from damaged.execute(
                "select # from @ order by %".replace("#", columns)
                .replace("@", name)
                .replace("%", order)
            )
        except sqlite3.DatabaseError as error:
            _log.warning("table %s: %s", name, error)
        else:
            return
