"""Parquet files of compacted days, read and written by DuckDB in this process.

Columns of a file, ordered by series, then time: `time`, `signal`, `kind`, `code`, `series` (the
store's id) and the table's own columns.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np

from netwatch.arrays import Ints
from netwatch.model.errors import StoreError, one_line
from netwatch.model.series import SeriesKey
from netwatch.store.manifest import Entry, file_damage
from netwatch.store.schema import Rows, Table

_LOG = logging.getLogger(__name__)

_MEMORY = "1GB"
"""Memory that DuckDB may use before it sorts on disk: a day of 75,000 series needs twice that."""

_READ = "SELECT COLUMNS FROM read_parquet($files) WHERE true"
_DURING = " AND time >= make_timestamptz($start) AND time < make_timestamptz($end)"
_WRITE = """
COPY (
    SELECT make_timestamptz(time) AS time, signal, kind, code, series::INTEGER AS series, MEASURES
    FROM (ROWS) JOIN names USING (series) ORDER BY series, time
)
TO 'PATH' (FORMAT parquet, COMPRESSION zstd)
"""
_MERGE = """
SELECT * FROM open UNION ALL
SELECT epoch_us(time) AS time, series, MEASURES FROM read_parquet('OLD') AS old
ANTI JOIN open ON open.time = epoch_us(old.time) AND open.series = old.series
"""
_CONVERT = """
COPY (
    SELECT * FROM read_csv($csv, header = true, columns = {
        'time': 'timestamptz', 'signal': 'varchar', 'entity': 'varchar',
        'value': 'double', 'total': 'double'
    })
)
TO 'PATH' (FORMAT parquet, COMPRESSION zstd)
"""


class ParquetDays:
    """Reads compacted days in `folder`; threads may share it.

    A damaged file is logged once and skipped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._damaged: set[str] = set()

    def read(
        self,
        table: Table,
        entries: Sequence[Entry],
        span: tuple[int, int],
        ids: Ints | None,
    ) -> Rows:
        """Return the rows of `entries` within `span`, of the series `ids` or of all, unordered.

        Raises:
            StoreError: DuckDB failed although every file is as it was written.
        """
        sound = [entry for entry in entries if entry.file not in self._damaged]
        if not sound or (ids is not None and not len(ids)):
            return table.empty()
        statement = _READ.replace("COLUMNS", ", ".join(table.columns)) + _among(ids)
        values: dict[str, object] = {"files": [str(self.folder / entry.file) for entry in sound]}
        if span[0] > sound[0].span[0] or span[1] < sound[-1].span[1]:
            statement += _DURING
            values |= {"start": span[0], "end": span[1]}
        try:
            return _fetch(self._cursor(), table, statement, values)
        except StoreError:
            if not self._find_damage(sound):
                raise
        return self.read(table, entries, span, ids)

    def series(self, entry: Entry) -> list[tuple[int, str, str, str]]:
        """Return id, signal, kind and code of every series in a file."""
        statement = "SELECT DISTINCT series, signal, kind, code FROM read_parquet($file)"
        with _translate_errors():
            found = self._cursor().execute(statement, {"file": str(self.folder / entry.file)})
            return found.fetchall()

    def close(self) -> None:
        """Free DuckDB's memory."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = _connect()
        return self._connection.cursor()

    def _find_damage(self, entries: Sequence[Entry]) -> bool:
        """Log and remember the damaged files among `entries`; return whether there are any."""
        damage = {entry.file: file_damage(self.folder, entry) for entry in entries}
        for file, text in damage.items():
            if text:
                _LOG.error("%s: skipped: %s", self.folder / file, text)
                self._damaged.add(file)
        return any(damage.values())


def write_day(
    table: Table,
    path: Path,
    chunks: Iterable[Rows],
    *,
    keys: Mapping[int, SeriesKey],
    earlier: Path | None,
) -> int:
    """Write a Parquet file from `chunks` of rows in any order; return its rows.

    Args:
        table: the kind of rows.
        path: the file; DuckDB sorts on disk in its folder.
        chunks: rows of one day, each (time, series) once.
        keys: series by id.
        earlier: an earlier file of the day; `chunks` override its rows.

    Raises:
        StoreError: the disk is full, or `earlier` cannot be read.
    """
    connection = _connect(path.parent)
    try:
        with _translate_errors():
            _load(connection, "open", table, chunks)
            _load_names(connection, keys)
            source = _MERGE.replace("OLD", _quote(earlier)) if earlier else "SELECT * FROM open"
            statement = _WRITE.replace("ROWS", source).replace(
                "MEASURES", ", ".join(table.measures)
            )
            statement = statement.replace("PATH", _quote(path))
            connection.execute(statement)
            (count,) = connection.execute(
                "SELECT count(*) FROM read_parquet($file)", {"file": str(path)}
            ).fetchall()[0]
            return int(count)
    finally:
        connection.close()


def convert_csv(csv: Path, path: Path) -> None:
    """Write an exported CSV file as Parquet.

    Raises:
        StoreError: it cannot be written.
    """
    connection = _connect()
    try:
        with _translate_errors():
            connection.execute(_CONVERT.replace("PATH", _quote(path)), {"csv": str(csv)})
    finally:
        connection.close()


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


def _fetch(
    connection: duckdb.DuckDBPyConnection, table: Table, statement: str, values: dict[str, object]
) -> Rows:
    with _translate_errors():
        found = connection.execute(statement, values).fetchnumpy()
    rows = np.empty(len(found["time"]), table.dtype)
    for name in table.columns:
        column = found[name]
        if name == "time":
            column = np.ma.getdata(column).view(np.int64)
        elif np.ma.isMaskedArray(column):
            column = np.ma.filled(column, np.nan)
        rows[name] = column
    return rows


def _load(
    connection: duckdb.DuckDBPyConnection, name: str, table: Table, chunks: Iterable[Rows]
) -> None:
    types = {"i": "BIGINT", "f": "DOUBLE", "O": "VARCHAR"}
    columns = (f"{column} {types[table.dtype[column].kind]}" for column in table.columns)
    connection.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    for chunk in chunks:
        _insert(connection, name, {name: chunk[name] for name in table.columns})


def _load_names(connection: duckdb.DuckDBPyConnection, keys: Mapping[int, SeriesKey]) -> None:
    connection.execute(
        "CREATE TABLE names (series BIGINT, signal VARCHAR, kind VARCHAR, code VARCHAR)"
    )
    columns = {
        "series": np.array(list(keys), np.int64),
        "signal": np.array([key.signal for key in keys.values()], np.object_),
        "kind": np.array([key.entity.kind.value for key in keys.values()], np.object_),
        "code": np.array([key.entity.code for key in keys.values()], np.object_),
    }
    _insert(connection, "names", columns)


def _insert(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, np.ndarray]
) -> None:
    """Append columns of one length; DuckDB reads NaN as NULL."""
    connection.register("chunk", {key: np.ascontiguousarray(c) for key, c in columns.items()})
    connection.execute(f"INSERT INTO {name} SELECT * FROM chunk")  # noqa: S608 - the caller's own name
    connection.unregister("chunk")


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
