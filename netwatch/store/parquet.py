"""Parquet files through DuckDB, in this process, on files only.

Columns of a file, sorted by series, then time: `time`, `signal`, `kind`, `code`, `series`
(the number in the store), the table's own columns, and for levels `baseline`, the text.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from netwatch.model.errors import StoreError
from netwatch.model.series import SeriesKey
from netwatch.store.blocks import SIZE
from netwatch.store.database import Table
from netwatch.store.rows import Ints, Rows

_ROW_GROUP = 122_880  # DuckDB's own; smaller ones make a year of one series slower, not faster
_SHORT = 1_000_000
_READ = "select time, series, COLUMNS from read_parquet($files) where true"
_WITHIN = " and time >= make_timestamptz($start) and time < make_timestamptz($end)"
_WRITE = """
copy (select time, series, COLUMNS from rows)
to 'PATH' (format parquet, compression snappy)
"""
_JOIN = """
copy (
    select make_timestamptz(time) as time, signal, kind, code, series::integer as series, COLUMNS
    from read_parquet($parts) join names using (series) TEXTS ORDER
)
to 'PATH' (format parquet, compression zstd, row_group_size GROUP)
"""
_CONVERT = """
copy (
    select * from read_csv($rows, header = true, columns = {
        'time': 'timestamptz', 'signal': 'varchar', 'entity': 'varchar',
        'value': 'double', 'total': 'double'
    })
)
to 'PATH' (format parquet, compression zstd)
"""


class Parquet:
    """A DuckDB of its own, in memory; not for several threads at once.

    Raises:
        StoreError: from every method, naming the file where DuckDB does.
    """

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None

    def read(
        self,
        table: Table,
        files: Sequence[Path],
        span: tuple[int, int] | None,
        numbers: Ints | None,
    ) -> Rows:
        """Return the rows within `span` in `files`, of the series `numbers` or of all.

        What need not be asked is not: no `span` takes every time there is.
        """
        if numbers is not None and not len(numbers):
            return Rows.empty(table.width)
        sql = _READ.replace("COLUMNS", ", ".join(table.columns)) + _filter(numbers)
        values: dict[str, object] = {"files": [str(file) for file in files]}
        if span is not None:
            sql += _WITHIN
            values |= {"start": span[0], "end": span[1]}
        found = self._fetch(sql, values)
        cells = np.empty((table.width, len(found["time"])))
        for cell, name in zip(cells, table.columns, strict=True):
            cell[:] = np.ma.filled(found[name].astype(np.float64, copy=False), np.nan)
        times = np.ma.getdata(found["time"]).view(np.int64)
        return Rows(times, np.ma.getdata(found["series"]).astype(np.int64), cells)

    def blocks(self, files: Sequence[Path]) -> list[int]:
        """Return the blocks that the series in `files` stand in."""
        sql = "select distinct series // $size as block from read_parquet($files) order by block"
        found = self._fetch(sql, {"files": [str(file) for file in files], "size": SIZE})
        blocks: list[int] = found["block"].tolist()
        return blocks

    def names(self, files: Sequence[Path]) -> list[tuple[int, str, str, str]]:
        """Return the numbers and names of all series in `files`."""
        sql = "select distinct series, signal, kind, code from read_parquet($files) order by all"
        found = self._fetch(sql, {"files": [str(file) for file in files]})
        columns = (found[name].tolist() for name in ("series", "signal", "kind", "code"))
        return list(zip(*columns, strict=True))

    def texts(self, files: Sequence[Path]) -> dict[int, str]:
        """Return the numbers and texts of all baselines in `files` of levels."""
        sql = (
            "select distinct baseline_number::integer as number, baseline from read_parquet($files)"
        )
        found = self._fetch(sql, {"files": [str(file) for file in files]})
        return dict(zip(found["number"].tolist(), found["baseline"].tolist(), strict=True))

    def write_part(self, table: Table, path: Path, rows: Rows) -> None:
        """Write `rows` in their order, as a part of a file to come."""
        columns = {"time": rows.times, "series": rows.ids}
        cells = dict(zip(table.columns, rows.cells, strict=True))
        self._run(
            _WRITE.replace("COLUMNS", ", ".join(table.columns)).replace("PATH", _quoted(path)),
            {},
            rows={**columns, **{name: np.ascontiguousarray(cell) for name, cell in cells.items()}},
        )

    def join_parts(
        self,
        table: Table,
        path: Path,
        parts: Sequence[Path],
        *,
        names: tuple[Mapping[int, SeriesKey], Mapping[int, str]],
        rows: int,
    ) -> None:
        """Write one file of `rows` from parts in order, with the names beside the numbers."""
        keys, texts = names
        columns = ", ".join(
            f"case when isnan({name}) then null else {name} end as {name}" for name in table.columns
        )
        with_texts = "baseline_number" in table.columns
        sql = _JOIN.replace("PATH", _quoted(path)).replace("GROUP", str(_ROW_GROUP))
        sql = sql.replace("COLUMNS", columns + (", baseline" if with_texts else ""))
        sql = sql.replace("TEXTS", "join texts using (baseline_number)" if with_texts else "")
        # DuckDB keeps the order of the longer side of a join; only a short file needs sorting.
        sql = sql.replace("ORDER", "order by series, time" if rows < _SHORT else "")
        self._run(
            sql,
            {"parts": [str(part) for part in parts]},
            names={
                "series": np.array(list(keys), np.int64),
                "signal": _objects([key.signal for key in keys.values()]),
                "kind": _objects([key.entity.kind.value for key in keys.values()]),
                "code": _objects([key.entity.code for key in keys.values()]),
            },
            texts={
                "baseline_number": np.array(list(texts), np.float64),
                "baseline": _objects(list(texts.values())),
            },
        )

    def convert_rows(self, rows: Path, path: Path) -> None:
        """Write the CSV file `rows`, as an export has it, as Parquet."""
        self._run(_CONVERT.replace("PATH", _quoted(path)), {"rows": str(rows)})

    def close(self) -> None:
        """Let go of DuckDB's memory."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _fetch(self, sql: str, values: Mapping[str, object]) -> dict[str, NDArray[np.generic]]:
        try:
            found = self._open().execute(sql, values).fetchnumpy()
        except (duckdb.Error, OSError) as error:
            raise StoreError(_one_line(error)) from error
        return {name: np.asanyarray(column) for name, column in found.items()}

    def _run(self, sql: str, values: Mapping[str, object], **tables: object) -> None:
        connection = self._open()
        try:
            for name, columns in tables.items():
                connection.register(name, columns)
            connection.execute(sql, values)
        except (duckdb.Error, OSError) as error:
            raise StoreError(_one_line(error)) from error
        finally:
            for name in tables:
                connection.unregister(name)

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = duckdb.connect(
                config={
                    "memory_limit": "1GB",
                    "autoinstall_known_extensions": "false",
                }
            )
            self._connection.execute("set TimeZone = 'UTC'; set parquet_metadata_cache = true")
        return self._connection


def _filter(numbers: Ints | None) -> str:
    if numbers is None:
        return ""
    low, high = int(numbers.min()), int(numbers.max())
    between = f" and series between {low} and {high}"
    if high - low + 1 == len(numbers):
        return between
    return f"{between} and series in ({', '.join(map(str, numbers.tolist()))})"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _objects(texts: list[str]) -> NDArray[np.object_]:
    column = np.empty(len(texts), np.object_)
    column[:] = texts
    return column


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
