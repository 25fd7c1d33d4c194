"""Reading: looks at one snapshot each, short enough to hold neither memory nor the file."""

import sqlite3
from collections.abc import Collection, Iterator

import numpy as np

from netwatch.model.series import SeriesKey
from netwatch.store import open_days
from netwatch.store.database import Database, Table
from netwatch.store.moments import DAY
from netwatch.store.names import Names
from netwatch.store.packing import Texts
from netwatch.store.rows import Rows

__all__ = ["Reader"]

_FEW, _MANY = 50_000, 500_000  # rows in a look: below, the next is longer; above, shorter
_FIRST_SPAN = DAY // 24
_LONGEST_SPAN = 64 * DAY


class Reader:
    """Reads rows of a store, of all series or of some, each look in one snapshot."""

    def __init__(self, database: Database, names: Names, texts: Texts) -> None:
        self._database = database
        self._names = names
        self._texts = texts

    def look(
        self, table: Table, span: tuple[int, int], series: Collection[SeriesKey] | None
    ) -> Rows:
        """Return the rows of `series`, or of all, within `span`, in no order."""
        with self._database.reading() as connection:
            return self._look(connection, table, span, series)

    def walk(self, table: Table, span: tuple[int, int], series: SeriesKey | None) -> Iterator[Rows]:
        """Yield rows of one series or of all within `span`, by time, then series."""
        start, end = span
        wanted = None if series is None else (series,)
        length = _FIRST_SPAN if series is None else _LONGEST_SPAN
        while start < end:
            with self._database.reading() as connection:
                first = self._first_time(connection, table, start)
                if first is None or first >= end:
                    return
                start = min(first + length, end)
                rows = self._ordered(self._look(connection, table, (first, start), wanted))
            yield rows
            if len(rows) < _FEW:
                length = min(4 * length, _LONGEST_SPAN)
            elif len(rows) > _MANY:
                length = max(length // 2, 1)

    def _first_time(self, connection: sqlite3.Connection, table: Table, start: int) -> int | None:
        return open_days.first_time(connection, table, start)

    def _look(
        self,
        connection: sqlite3.Connection,
        table: Table,
        span: tuple[int, int],
        series: Collection[SeriesKey] | None,
    ) -> Rows:
        self._names.refresh(connection)
        self._texts.refresh(connection)
        if series is None:
            return open_days.read_span(connection, table, span)
        numbers = sorted({self._names.ids[key] for key in series if key in self._names.ids})
        if len(numbers) == 1:
            return open_days.read_one(connection, table, span, numbers[0])
        return open_days.read_some(connection, table, span, numbers)

    def _ordered(self, rows: Rows) -> Rows:
        return rows.take(np.lexsort((self._names.rank()[rows.ids], rows.times)))
