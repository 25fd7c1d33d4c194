"""Reading: looks at one snapshot each, short enough to hold neither memory nor the file."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from netwatch.model.series import SeriesKey
from netwatch.store import open_days
from netwatch.store.database import Database, Table
from netwatch.store.manifest import current_entries
from netwatch.store.moments import DAY
from netwatch.store.names import Names
from netwatch.store.packing import Texts
from netwatch.store.rows import Rows
from netwatch.store.sealed import SealedDays

_FEW, _MANY = 50_000, 500_000  # rows in a look: below, the next is longer; above, shorter
_FIRST_SPAN = DAY // 24
_LONGEST_SPAN = 64 * DAY


class Reader:
    """Reads rows of a store, of all series or of some, each look in one snapshot."""

    def __init__(self, database: Database, sealed: SealedDays, names: Names, texts: Texts) -> None:
        self._database = database
        self._sealed = sealed
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
        """Return a time at or after `start` with no row between, None where no row follows."""
        opened = open_days.first_time(connection, table, start)
        entries = current_entries(connection, table.name, (start, 1 << 62))
        days = [max(start, entry.day * DAY) for entry in entries[:1]]
        return min([*days, opened] if opened is not None else days, default=None)

    def _look(
        self,
        connection: sqlite3.Connection,
        table: Table,
        span: tuple[int, int],
        series: Collection[SeriesKey] | None,
    ) -> Rows:
        self._names.refresh(connection)
        self._texts.refresh(connection)
        numbers = None
        if series is not None:
            numbers = sorted({self._names.ids[key] for key in series if key in self._names.ids})
        opened = _read_open(connection, table, span, numbers)
        entries = current_entries(connection, table.name, span)
        if not entries:
            return opened
        sealed = self._sealed.read(table, entries, span, numbers)
        return _late_over_sealed(sealed, opened, table.width)

    def _ordered(self, rows: Rows) -> Rows:
        return rows.take(np.lexsort((self._names.rank()[rows.ids], rows.times)))


def _read_open(
    connection: sqlite3.Connection,
    table: Table,
    span: tuple[int, int],
    numbers: Sequence[int] | None,
) -> Rows:
    if numbers is None:
        return open_days.read_span(connection, table, span)
    if len(numbers) == 1:
        return open_days.read_one(connection, table, span, numbers[0])
    return open_days.read_some(connection, table, span, numbers)


def _late_over_sealed(sealed: Rows, opened: Rows, width: int) -> Rows:
    """Return both; on days that have open rows though they are sealed, the open ones stand."""
    late = np.unique(opened.times // DAY)
    touched = np.isin(sealed.times // DAY, late) if len(late) else np.zeros(len(sealed), np.bool_)
    if not touched.any():
        return Rows.joined([sealed, opened], width)
    mixed = Rows.joined([sealed.take(touched), opened], width).settled()
    return Rows.joined([sealed.take(~touched), mixed], width)
