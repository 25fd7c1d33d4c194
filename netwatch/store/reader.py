"""Reads rows of open and compacted days as frames; NaN stands for NULL."""

import sqlite3
from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from netwatch.arrays import Ints
from netwatch.model.series import SeriesKey
from netwatch.storage.sqlite_file import SqliteFile
from netwatch.store.manifest import current_entries
from netwatch.store.parquet_days import ParquetDays
from netwatch.store.schema import DAY, Span, Table
from netwatch.store.series_catalog import AREA_IDS, SeriesCatalog

_FEW, _MANY = 50_000, 500_000
"""Rows in a read: after fewer, the next one covers a longer span; after more, a shorter one."""
_FIRST_SPAN = DAY // 24
_LONGEST_SPAN = 64 * DAY

_EACH_TIME = """
WITH RECURSIVE moment (time) AS (
    SELECT min(time) FROM @ WHERE time >= ?1
    UNION ALL
    SELECT (SELECT min(later.time) FROM @ AS later WHERE later.time > moment.time)
    FROM moment WHERE moment.time < ?2
)
SELECT COLUMNS FROM moment
CROSS JOIN @ ON @.time = moment.time AND @.series BETWEEN ?3 AND ?4
WHERE moment.time < ?2
"""
"""Seeks a range of series at each time there is, instead of reading all rows between."""


class SeriesReader:
    """Reads rows of all series or of some."""

    def __init__(self, database: SqliteFile, days: ParquetDays, catalog: SeriesCatalog) -> None:
        self._database = database
        self._days = days
        self._catalog = catalog

    def read(self, table: Table, span: Span, series: Collection[SeriesKey] | None) -> pd.DataFrame:
        """Return the rows of `series`, or of all, within `span`, unordered, in one snapshot."""
        with self._database.snapshot() as connection:
            return self._read(connection, table, span, series)

    def read_ordered(
        self, table: Table, span: Span, series: SeriesKey | None
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows of one series or of all within `span`, by time, then series.

        A long span is read in several snapshots of bounded size.
        """
        start, end = span
        wanted = None if series is None else (series,)
        length = _FIRST_SPAN if series is None else _LONGEST_SPAN
        while start < end:
            with self._database.snapshot() as connection:
                first = _next_time(connection, table, start)
                if first is None or first >= end:
                    return
                start = min(first + length, end)
                rows = self._read(connection, table, (first, start), wanted)
            yield rows.iloc[
                np.lexsort((self._catalog.ranks(rows["series"].to_numpy()), rows["time"]))
            ]
            if len(rows) < _FEW:
                length = min(4 * length, _LONGEST_SPAN)
            elif len(rows) > _MANY:
                length = max(length // 2, 1)

    def _read(
        self,
        connection: sqlite3.Connection,
        table: Table,
        span: Span,
        series: Collection[SeriesKey] | None,
    ) -> pd.DataFrame:
        self._catalog.refresh(connection)
        ids = None
        if series is not None:
            known = {self._catalog.ids.get(key) for key in series} - {None}
            ids = np.unique(np.fromiter(known, np.int64))
        recent = _read_open_days(connection, table, span, ids)
        entries = current_entries(connection, table.name, span)
        if not entries:
            return recent
        compacted = self._days.read(table, entries, span, ids)
        if recent.empty:
            return compacted
        both = pd.concat([compacted, recent])
        if recent["time"].min() > compacted["time"].max():
            return both
        return both.drop_duplicates(["time", "series"], keep="last")


def _read_open_days(
    connection: sqlite3.Connection, table: Table, span: Span, ids: Ints | None
) -> pd.DataFrame:
    """Return the rows of the series `ids`, or of all, that SQLite has within `span`."""
    columns = ", ".join(f"{table.name}.{column}" for column in table.columns)
    if ids is None:
        query = f"SELECT {columns} FROM {table.name} WHERE time >= ? AND time < ?"  # noqa: S608 - the schema's own names
        ranges: list[tuple[int, ...]] = [span]
    else:
        query = _EACH_TIME.replace("@", table.name).replace("COLUMNS", columns)
        areas = np.split(ids, np.flatnonzero(np.diff(ids // AREA_IDS)) + 1)
        ranges = [(*span, int(area[0]), int(area[-1])) for area in areas if len(area)]
    # Without a list of all rows, whose many tuples Python would search for garbage.
    dtype = np.dtype([*table.types.items()])
    parts = [np.fromiter(connection.execute(query, values), dtype) for values in ranges]
    rows = np.concatenate([np.empty(0, dtype), *parts])
    return pd.DataFrame(rows if ids is None else rows[np.isin(rows["series"], ids)])


def _next_time(connection: sqlite3.Connection, table: Table, start: int) -> int | None:
    """Return a time at or after `start` before which there is no row, None after the last."""
    entries = current_entries(connection, table.name, (start, 1 << 62))
    times = [max(start, entry.span[0]) for entry in entries[:1]]
    open_time = table.next_time(connection, start)
    return min([*times, open_time] if open_time is not None else times, default=None)
