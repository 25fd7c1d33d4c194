"""Parquet files of compacted days, read and written by DuckDB in this process.

Columns of a file, ordered by series, then time: `time`, `signal`, `kind`, `code`, `series` (the
store's id) and the table's own columns.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock

import duckdb
import numpy as np
import pandas as pd

from netwatch.arrays import Ints
from netwatch.model.errors import StoreError, one_line
from netwatch.model.series import SeriesKey
from netwatch.store.manifest import Entry, file_damage
from netwatch.store.schema import Span, Table

_LOG = logging.getLogger(__name__)

_MEMORY = "1GB"
"""Memory that DuckDB may use before it sorts on disk: a day of 75,000 series needs twice that."""

_TYPES = {"i8": "BIGINT", "f8": "DOUBLE", "O": "VARCHAR"}
_READ = """
SELECT epoch_us(time) AS time, COLUMNS FROM read_parquet($files)
WHERE time >= make_timestamptz($start) AND time < make_timestamptz($end)
"""
_DAY = """
SELECT make_timestamptz(time) AS time, signal, kind, code, series::INTEGER AS series, MEASURES
FROM day JOIN names USING (series) ORDER BY series, time
"""
_CSV = """
SELECT * FROM read_csv('CSV', header = true, columns = {
    'time': 'timestamptz', 'signal': 'varchar', 'entity': 'varchar',
    'value': 'double', 'total': 'double'
})
"""


class ParquetDays:
    """Reads compacted days in `folder`; threads may share it.

    A file is compared with its SHA-256 before it is first read, and again if it changed: DuckDB may
    read wrong numbers from a damaged one. Such a file is logged once and skipped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._checked: dict[str, tuple[int, int]] = {}
        self._damaged: dict[str, Entry] = {}
        self._checking = Lock()

    def read(
        self,
        table: Table,
        entries: Sequence[Entry],
        span: Span,
        ids: Ints | None,
    ) -> pd.DataFrame:
        """Return the rows of `entries` within `span`, of the series `ids` or of all, unordered.

        Raises:
            StoreError: DuckDB failed although every file is as it was written.
        """
        sound = self.sound(entries)
        if not sound or (ids is not None and not len(ids)):
            return pd.DataFrame(np.empty(0, [*table.types.items()]))
        # In files of format 1 every number is a double.
        columns = (f"{name}::{_TYPES[table.types[name]]} AS {name}" for name in table.columns[1:])
        statement = _READ.replace("COLUMNS", ", ".join(columns)) + _among(ids)
        files = [str(self.folder / entry.file) for entry in sound]
        values = {"files": files, "start": span[0], "end": span[1]}
        try:
            with _translate_errors():
                return pd.DataFrame(self._cursor().execute(statement, values).fetchnumpy())
        except StoreError:
            self._checked.clear()  # a file may have been replaced while it was read
            if len(self.sound(entries)) == len(sound):
                raise
        return self.read(table, entries, span, ids)

    def sound(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries whose files are as they were written; log the others once."""
        with self._checking:
            for entry in entries:
                self._check(entry)
            return [entry for entry in entries if entry.file not in self._damaged]

    def damaged(self) -> list[Entry]:
        """Return the entries whose files were found damaged or missing, by file name."""
        return [entry for _, entry in sorted(self._damaged.copy().items())]

    def series(self, entry: Entry) -> list[tuple[int, str, str, str]]:
        """Return id, signal, kind and code of every series in a file."""
        statement = "SELECT DISTINCT series, signal, kind, code FROM read_parquet($file)"
        with _translate_errors():
            found = self._cursor().execute(statement, {"file": str(self.folder / entry.file)})
            return found.fetchall()

    def close(self) -> None:
        """Free DuckDB's memory, or leave it to the end of a read that was cancelled."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(duckdb.Error):
                connection.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = _connect()
        return self._connection.cursor()

    def _check(self, entry: Entry) -> None:
        """Compare a file that is new here, or changed, with its entry."""
        stamp = (0, 0)
        with suppress(OSError):
            status = (self.folder / entry.file).stat()
            stamp = (status.st_mtime_ns, status.st_size)
        if self._checked.get(entry.file) == stamp:
            return
        self._checked[entry.file] = stamp
        self._damaged.pop(entry.file, None)
        if text := file_damage(self.folder, entry):
            _LOG.error("%s: skipped: %s", self.folder / entry.file, text)
            self._damaged[entry.file] = entry


def write_day(
    table: Table,
    path: Path,
    chunks: Iterable[pd.DataFrame],
    *,
    keys: dict[int, SeriesKey],
) -> int:
    """Write a Parquet file from `chunks` of rows in any order; return its rows.

    Args:
        table: the kind of rows.
        path: the file; DuckDB sorts on disk in its folder.
        chunks: rows of one day, each (time, series) once.
        keys: series by id, complete when `chunks` end.

    Raises:
        StoreError: the disk is full.
    """
    types = ", ".join(f"{name} {_TYPES[type_]}" for name, type_ in table.types.items())
    with closing(_connect(path.parent)) as connection, _translate_errors():
        connection.execute(f"CREATE TABLE day ({types})")
        for chunk in chunks:
            connection.register("chunk", chunk)  # NaN is read as NULL
            connection.execute("INSERT INTO day SELECT * FROM chunk")
        names = [
            (id_, key.signal, key.entity.kind.value, key.entity.code)
            for id_, key in keys.copy().items()  # other threads may add to it
        ]
        columns = ["series", "signal", "kind", "code"]
        connection.register("names", pd.DataFrame(names, columns=columns))
        return _copy(connection, _DAY.replace("MEASURES", table.measures), path)


def convert_csv(csv: Path, path: Path) -> None:
    """Write an exported CSV file as Parquet.

    Raises:
        StoreError: it cannot be written.
    """
    with closing(_connect()) as connection, _translate_errors():
        _copy(connection, _CSV.replace("CSV", _quote(csv)), path)


def _connect(scratch: Path | None = None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "memory_limit": _MEMORY,
            "autoinstall_known_extensions": "false",
            "temp_directory": "" if scratch is None else str(scratch),
        }
    )
    connection.execute("SET TimeZone = 'UTC'; SET parquet_metadata_cache = true")
    return connection


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write what `query` yields as a Parquet file; return its rows."""
    copy = f"COPY ({query}) TO '{_quote(path)}' (FORMAT parquet, COMPRESSION zstd)"
    ((count,),) = connection.execute(copy).fetchall()
    return int(count)


def _among(ids: Ints | None) -> str:
    """Return the condition that a row is of one of `ids`; a range lets DuckDB skip row groups."""
    if ids is None:
        return ""
    low, high = int(ids.min()), int(ids.max())
    between = f" AND series BETWEEN {low} AND {high}"
    if high - low + 1 == len(ids):
        return between
    return f"{between} AND series IN ({', '.join(map(str, ids.tolist()))})"


def _quote(path: Path) -> str:
    return str(path).replace("'", "''")


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise DuckDB's errors as a StoreError of one line."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise StoreError(one_line(error)) from error
