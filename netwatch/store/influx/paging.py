"""Reads long spans in pages of bounded size."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from netwatch.model.errors import StoreError
from netwatch.model.series import SeriesKey
from netwatch.store.influx.client import InfluxClient
from netwatch.store.influx.line_protocol import EARLIEST, LATEST, encode_tag, nanoseconds
from netwatch.store.influx.parse import Row, columns_of, stamp_of

WEEK = 7 * 86_400 * 10**9
"""Nanoseconds in a week."""


def read_pages(
    client: InfluxClient,
    measurement: str,
    span: tuple[datetime, datetime],
    *,
    series: Sequence[SeriesKey] | None = None,
    limit: int = 100_000,
) -> Iterator[Sequence[Row]]:
    """Yield the rows of `measurement` with `span[0] <= time < span[1]`, in pages by time.

    All rows of one instant are in one page. Within a page the order is the server's.

    Args:
        client: the database.
        measurement: where; rows have the columns of `columns_of(measurement)`.
        span: start, and exclusive end.
        series: these only; None for all.
        limit: rows of a page, unless one instant has more.

    Raises:
        StoreError: the server cannot answer.
    """
    start, end = (nanoseconds(min(max(time, EARLIEST), LATEST)) for time in span)
    if start >= end or (series is not None and not series):
        return
    query = _Query(client, measurement, series)
    for low, high in _query_spans(client, measurement, start, end):
        yield from _read_span(query, low, high, limit)


def weeks_present(client: InfluxClient, measurement: str) -> list[int]:
    """Return the sorted numbers of the weeks that may hold rows of `measurement`.

    The week before one in the calendar counts as well: its own point may have expired.
    """
    table = client.query(
        'SELECT "present" FROM "calendar" WHERE "measurement" = $measurement',
        {"measurement": measurement},
    )
    marked = {week_of(stamp_of(row)) for row in table.rows}
    return sorted(marked | {week - 1 for week in marked})


def week_of(stamp: int) -> int:
    """Return the number of the week that `stamp` nanoseconds since 1970 are in."""
    return stamp // WEEK


class _Query:
    """A SELECT that runs for one span of time after another."""

    def __init__(
        self, client: InfluxClient, measurement: str, series: Sequence[SeriesKey] | None
    ) -> None:
        self._client = client
        self._columns = columns_of(measurement)
        names = ",".join(f'"{name}"' for name in self._columns[1:])
        self._select = f'SELECT {names} FROM "{measurement}" WHERE '  # noqa: S608 - the schema's own names
        self._values: dict[str, str] = {}
        self._condition = self._only(series) if series else ""

    def run(self, low: int, high: int, limit: int) -> tuple[Sequence[Row], bool]:
        """Return rows with `low <= time < high` nanoseconds, and whether there may be more."""
        span = f"time >= {low} AND time < {high}"
        statement = f"{self._select}{span}{self._condition} LIMIT {limit}"
        table = self._client.query(statement, self._values)
        if table.rows and table.columns != self._columns:
            raise StoreError(f"the server answered with columns {', '.join(table.columns)}")
        return table.rows, len(table.rows) >= limit

    def _only(self, series: Sequence[SeriesKey]) -> str:
        """Return the condition that a row is of one of `series`; names are parameters."""
        groups = []
        ordered = sorted(series, key=lambda key: (key.signal, key.entity))
        for (signal, kind), keys in groupby(ordered, lambda key: (key.signal, key.entity.kind)):
            codes = " OR ".join(f'"scope_id" = {self._bind(key.entity.code)}' for key in keys)
            pair = f'"signal" = {self._bind(signal)} AND "scope_type" = {self._bind(str(kind))}'
            groups.append(f"({pair} AND ({codes}))")
        return f" AND ({' OR '.join(groups)})"

    def _bind(self, text: str) -> str:
        """Add a parameter; return its name in the statement."""
        name = f"v{len(self._values)}"
        self._values[name] = encode_tag(text)
        return f"${name}"


def _read_span(query: _Query, low: int, high: int, limit: int) -> Iterator[Sequence[Row]]:
    """Yield pages of one span; the last instant of a full page begins the next page."""
    size = limit
    while True:
        rows, more = query.run(low, high, size)
        if not more:
            if rows:
                yield rows
            return
        edge = max(map(stamp_of, rows), default=low) // 1000 * 1000
        whole = [row for row in rows if stamp_of(row) < edge]
        if whole:
            yield whole
            low, size = edge, limit
        else:
            size *= 4


def _query_spans(
    client: InfluxClient, measurement: str, start: int, end: int
) -> Iterator[tuple[int, int]]:
    """Yield the spans of single queries: all at once, or as long as the server allows."""
    longest = client.dialect.longest_span
    if longest is None:
        yield start, end
        return
    step = longest // timedelta(microseconds=1) * 1000
    for week in weeks_present(client, measurement):
        low, last = max(start, week * WEEK), min(end, (week + 1) * WEEK)
        while low < last:
            yield low, min(low + step, last)
            low += step
