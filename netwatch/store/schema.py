"""Tables of the embedded store: one row a bin or level of an open day, keyed by time and series."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netwatch.storage.sqlite_file import Schema, SqliteFile

APPLICATION_ID = 0x4E575331
"""`NWS1` in the header of the SQLite file marks a netwatch store."""

VERSION = 2
"""Version of the tables; version 1 kept blocks of 128 series."""

DAY = 86_400_000_000
"""Microseconds in a day; day 0 is 1970-01-01."""

Span = tuple[int, int]
"""From the first to before the second, in microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of rows by time and series.

    Attributes:
        name: its name in SQLite and in the names of Parquet files.
        types: numpy's type of each column; the first two are `time` (microseconds since 1970)
            and `series`.
    """

    name: str
    types: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(self.types)

    @property
    def measures(self) -> str:
        """The columns after `time` and `series`, for a statement."""
        return ", ".join(self.columns[2:])

    def upsert(self, rows: int = 1) -> str:
        """Return the statement that writes so many rows in place of earlier ones."""
        places = f"({', '.join('?' * len(self.columns))})"
        values = ", ".join([places] * rows)
        return f"INSERT OR REPLACE INTO {self.name} ({', '.join(self.columns)}) VALUES {values}"  # noqa: S608 - the schema's own names

    def next_time(self, connection: sqlite3.Connection, start: int) -> int | None:
        """Return the time of the first row at or after `start`, None after the last."""
        query = f"SELECT min(time) FROM {self.name} WHERE time >= ?"  # noqa: S608 - the schema's own names
        time: int | None = connection.execute(query, (start,)).fetchone()[0]
        return time


BINS = Table("bins", {"time": "i8", "series": "i8", "value": "f8", "total": "f8"})
LEVELS = Table(
    "levels",
    {
        "time": "i8",
        "series": "i8",
        "value": "f8",
        "low": "f8",
        "high": "f8",
        "probability": "f8",
        "coverage": "f8",
        "networks": "i8",
        "baseline": "O",
    },
)
TABLES = (BINS, LEVELS)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    ordinal INTEGER PRIMARY KEY,
    id INTEGER NOT NULL UNIQUE,
    area TEXT NOT NULL,
    signal TEXT NOT NULL,
    kind TEXT NOT NULL,
    code TEXT NOT NULL,
    UNIQUE (signal, kind, code)
);
CREATE TABLE IF NOT EXISTS bins (
    time INTEGER, series INTEGER, value REAL NOT NULL, total REAL,
    PRIMARY KEY (time, series)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS levels (
    time INTEGER, series INTEGER, value REAL, low REAL, high REAL,
    probability REAL NOT NULL, coverage REAL NOT NULL, networks INTEGER NOT NULL,
    baseline TEXT NOT NULL,
    PRIMARY KEY (time, series)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watermark (
    one INTEGER PRIMARY KEY CHECK (one = 1), closed_until INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS day_versions (day INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS compacted (
    line INTEGER PRIMARY KEY,
    day INTEGER NOT NULL,
    kind TEXT NOT NULL,
    file TEXT NOT NULL,
    entry TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS compacted_day ON compacted (kind, day, line);
"""

_PRAGMAS = {"page_size": 16_384, "cache_size": -65_536, "journal_size_limit": 67_108_864}
"""Pages for many short rows; 64 MiB of cache and of write-ahead log, enough for a bin of 75,000
series."""


def open_file(path: Path) -> SqliteFile:
    """Open the SQLite file of a store, created if missing.

    Raises:
        StoreError: it cannot be opened, or is of another program or version.
    """
    schema = Schema(_SCHEMA, APPLICATION_ID, VERSION)
    return SqliteFile(path, schema, durable=False, pragmas=_PRAGMAS)
