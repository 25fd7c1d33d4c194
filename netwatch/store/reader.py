"""Reads rows of open and compacted days, each read in one snapshot."""

import sqlite3
from collections.abc import Collection, Iterator

import numpy as np

from netwatch.arrays import Bools, Ints
from netwatch.model.series import SeriesKey
from netwatch.storage.sqlite_file import SqliteFile
from netwatch.store.manifest import current_entries
from netwatch.store.parquet_days import ParquetDays
from netwatch.store.schema import DAY, Rows, Table
from netwatch.store.series_catalog import AREA_IDS, SeriesCatalog

Span = tuple[int, int]
"""From the first to before the second, in microseconds since 1970."""

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

    def read(self, table: Table, span: Span, series: Collection[SeriesKey] | None) -> Rows:
        """Return the rows of `series`, or of all, within `span`, unordered."""
        with self._database.snapshot() as connection:
            return self._read(connection, table, span, series)

    def read_ordered(self, table: Table, span: Span, series: SeriesKey | None) -> Iterator[Rows]:
        """Yield the rows of one series or of all within `span`, by time, then series.

        A long span is read in several snapshots of bounded size.
        """
        start, end = span
        wanted = None if series is None else (series,)
        length = _FIRST_SPAN if series is None else _LONGEST_SPAN
        while start < end:
            with self._database.snapshot() as connection:
                first = self._next_time(connection, table, start)
                if first is None or first >= end:
                    return
                start = min(first + length, end)
                rows = self._read(connection, table, (first, start), wanted)
            yield rows[np.lexsort((self._catalog.ranks(rows["series"]), rows["time"]))]
            if len(rows) < _FEW:
                length = min(4 * length, _LONGEST_SPAN)
            elif len(rows) > _MANY:
                length = max(length // 2, 1)

    def _next_time(self, connection: sqlite3.Connection, table: Table, start: int) -> int | None:
        """Return a time at or after `start` before which there is no row, None after the last."""
        statement = f"SELECT min(time) FROM {table.name} WHERE time >= ?"  # noqa: S608 - the schema's own names
        first = connection.execute(statement, (start,)).fetchone()[0]
        entries = current_entries(connection, table.name, (start, 1 << 62))
        times = [max(start, entry.span[0]) for entry in entries[:1]]
        return min([*times, first] if first is not None else times, default=None)

    def _read(
        self,
        connection: sqlite3.Connection,
        table: Table,
        span: Span,
        series: Collection[SeriesKey] | None,
    ) -> Rows:
        self._catalog.refresh(connection)
        ids = None
        if series is not None:
            known = {self._catalog.ids.get(key) for key in series} - {None}
            ids = np.unique(np.fromiter(known, np.int64))
        recent = _read_open_days(connection, table, span, ids)
        entries = current_entries(connection, table.name, span)
        if not entries:
            return recent
        return _override(self._days.read(table, entries, span, ids), recent)


def _read_open_days(
    connection: sqlite3.Connection, table: Table, span: Span, ids: Ints | None
) -> Rows:
    if ids is None:
        statement = table.select("time >= ? AND time < ? ORDER BY time, series")
        return _fetch(connection, statement, span, table)
    columns = ", ".join(f"{table.name}.{column}" for column in table.columns)
    statement = _EACH_TIME.replace("@", table.name).replace("COLUMNS", columns)
    parts = [table.empty()]
    for area in np.unique(ids // AREA_IDS):
        of_area = ids[ids // AREA_IDS == area]
        bounds = int(of_area[0]), int(of_area[-1])
        rows = _fetch(connection, statement, (*span, *bounds), table)
        has_all = bounds[1] - bounds[0] < len(of_area)
        parts.append(rows if has_all else rows[np.isin(rows["series"], of_area)])
    return np.concatenate(parts)


def _fetch(
    connection: sqlite3.Connection, statement: str, parameters: tuple[int, ...], table: Table
) -> Rows:
    """Return the rows of a query; no list of all of them is ever in memory."""
    return np.fromiter(connection.execute(statement, parameters), table.dtype)


def _override(compacted: Rows, recent: Rows) -> Rows:
    """Return both; where both have a (time, series), the recent row."""
    if not len(recent):
        return compacted
    late_days = np.unique(recent["time"] // DAY)
    touched: Bools = np.isin(compacted["time"] // DAY, late_days)
    rows = np.concatenate([compacted[touched], recent])
    order = np.lexsort((rows["series"], rows["time"]))  # stable: recent rows follow
    rows = rows[order]
    newest = np.ones(len(rows), np.bool_)
    newest[:-1] = (np.diff(rows["time"]) != 0) | (np.diff(rows["series"]) != 0)
    return np.concatenate([compacted[~touched], rows[newest]])
