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
_ALL_IDS = (0, 1 << 62)


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
        recent = read_open_days(connection, table, span, ids)
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


def read_open_days(
    connection: sqlite3.Connection, table: Table, span: Span, ids: Ints | None = None
) -> pd.DataFrame:
    """Return the rows of the series `ids`, or of all, that SQLite has within `span`."""
    # A range of ids at each time there is, so that the rows between are not read.
    ranges = [_ALL_IDS]
    if ids is not None:
        areas = np.split(ids, np.flatnonzero(np.diff(ids // AREA_IDS)) + 1)
        ranges = [(int(area[0]), int(area[-1])) for area in areas if len(area)]
    query = (
        f"SELECT series, {table.measures} FROM {table.name}"  # noqa: S608 - the schema's own names
        " WHERE time = ? AND series BETWEEN ? AND ?"
    )
    of_series = np.dtype([*table.types.items()][1:])
    times, parts = [np.empty(0, np.int64)], [np.empty(0, of_series)]
    time = table.next_time(connection, span[0])
    while time is not None and time < span[1]:
        for bounds in ranges:
            # Without a list of all rows, whose many tuples Python would search for garbage.
            parts.append(np.fromiter(connection.execute(query, (time, *bounds)), of_series))
            times.append(np.full(len(parts[-1]), time))
        time = table.next_time(connection, time + 1)
    rows = pd.DataFrame(np.concatenate(parts))
    rows.insert(0, "time", np.concatenate(times))
    return rows if ids is None else rows[rows["series"].isin(ids)]


def _next_time(connection: sqlite3.Connection, table: Table, start: int) -> int | None:
    """Return a time at or after `start` before which there is no row, None after the last."""
    entries = current_entries(connection, table.name, (start, 1 << 62))
    times = [max(start, entry.span[0]) for entry in entries[:1]]
    open_time = table.next_time(connection, start)
    return min([*times, open_time] if open_time is not None else times, default=None)
