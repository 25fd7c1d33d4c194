"""A series store in InfluxDB 1.x, 2.x or 3 Core.

Writes are line protocol, reads are InfluxQL, which all versions accept. Points are deterministic:
writing a value again changes nothing, and a changed value replaces the old one. On a server that
does not overwrite, a changed value is a point of its own, some nanoseconds later; times of bins
are whole microseconds.
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, Self, TypeVar

import msgspec

from netwatch.model.entities import EntityTree
from netwatch.model.errors import InputError, StoreError
from netwatch.model.incident import Incident
from netwatch.model.percent import PublishedPercent
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.plugins import decode_section
from netwatch.protocols import BinColumns, Clock, Maintenance, Services
from netwatch.store.influx.annotations import render_incident, render_place
from netwatch.store.influx.client import InfluxClient, RejectedError
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.health_points import HealthPoint, merge_small_networks, render_health
from netwatch.store.influx.line_protocol import moment, nanoseconds, render_tags
from netwatch.store.influx.paging import WEEK, read_pages, week_of, weeks_present
from netwatch.store.influx.parse import (
    Row,
    newest,
    parse_bin,
    parse_counts,
    parse_level,
    series_of,
    stamp_of,
)
from netwatch.store.influx.schema import BIN, LEVEL, render_bin, render_level
from netwatch.store.rollup import roll_up
from netwatch.store.validation import (
    check_span,
    now_utc,
    raise_rejected,
    valid_bins,
    valid_levels,
    valid_watermark,
)

_Item = TypeVar("_Item", Bin, Level)
_MICROSECOND = timedelta(microseconds=1)
_MAX_REVISIONS = 999
"""Nanoseconds between two microseconds."""
_SERIES_A_QUERY = 200
"""Series that one query names; more take several queries."""
_LAST_WATERMARK = 'SELECT last("closed") FROM "watermark" WHERE "closed" = true'


@dataclass(frozen=True, slots=True)
class _Codec(Generic[_Item]):
    """Writes and reads the points of one measurement."""

    measurement: str
    render: Callable[..., str]
    parse: Callable[[Row], _Item]


_BINS = _Codec(BIN, render_bin, parse_bin)
_LEVELS = _Codec(LEVEL, render_level, parse_level)


class InfluxStore:
    """Implements `SeriesStore` in one database of an InfluxDB server.

    Nothing is requested from the server before the first call. While the server is away, a call
    retries for the client's `retry_for`, then raises StoreError. What it wrote by then stays, the
    watermark does not move, and writing the same again completes it.

    Args:
        client: the connection to the server and the database.
        clock: returns the present; times more than a day after it are rejected.
        page: rows in memory at a time while reading.
        rollup: the database that `maintain` writes hourly bins to, None for none; `close` closes
            it, too.
    """

    def __init__(
        self,
        client: InfluxClient,
        *,
        clock: Clock = now_utc,
        page: int = 100_000,
        rollup: InfluxClient | None = None,
    ) -> None:
        self.client = client
        self._rollup = rollup
        self._clock = clock
        self._page = page
        self._marked: set[tuple[str, int]] = set()

    @classmethod
    def from_config(cls, section: Mapping[str, object], services: Services) -> Self:
        """See `netwatch.protocols.Plugin`; nothing is requested from the server yet."""
        dsn, rollup = decode_section(InfluxDsn, section).resolve(), None
        if dsn.rollup_database:
            coarser = msgspec.structs.replace(dsn, database=dsn.rollup_database)
            rollup = InfluxClient(coarser, retry_for=dsn.timeout)
        client = InfluxClient(dsn, retry_for=dsn.timeout)
        return cls(client, clock=services.clock, rollup=rollup)

    @classmethod
    def at(cls, location: str) -> Self:
        """Return the store at `http://user:password@host:8086/database?organization=…`.

        A password of the form `$NAME` is read from the environment variable.

        Raises:
            ConfigError: no such address, or that variable is not set.
        """
        return cls(InfluxClient(InfluxDsn.parse(location)))

    def maintain(self, now: datetime) -> list[Maintenance]:  # noqa: ARG002 - the server's retention drops
        """Write closed bins to the rollup database as hourly ones, if there is one.

        Raises:
            StoreError: a database cannot be read or written; the next call continues.
        """
        if self._rollup is None:
            return []
        hourly = InfluxStore(self._rollup, clock=self._clock)
        return [Maintenance("hourly", roll_up(self, hourly, timedelta(hours=1)), 0)]

    def check(self) -> str:
        """Return the server's version if address, credentials and database are right.

        Raises:
            StoreError: one of them is wrong; names it.
        """
        self.client.query('SELECT last("closed") FROM "watermark" WHERE time > now() - 1h')
        return self.client.dialect.version

    def put_bins(self, bins: Sequence[Bin], *, closed_until: datetime | None = None) -> None:
        """See `SeriesStore`; the watermark is written after all bins."""
        now = self._clock()
        good, rejected = valid_bins(bins, now)
        watermark, more = valid_watermark(closed_until, now)
        rejected = rejected + more + self._put(_BINS, good)
        if watermark is not None:
            stamp = nanoseconds(watermark)
            rejected += self._write("watermark", [f"watermark closed=true {stamp}"], [stamp])
        raise_rejected(rejected, of=len(bins))

    def read_bins(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Bin]:
        """See `SeriesStore`."""
        check_span(start, end)
        return map(parse_bin, self._rows(BIN, (start, end), None if series is None else [series]))

    def read_columns(
        self, start: datetime, end: datetime, *, series: Collection[SeriesKey] | None = None
    ) -> BinColumns:
        """See `SeriesStore`."""
        check_span(start, end)
        positions: dict[SeriesKey, int] = {}
        index, times, values, totals = array("q"), array("q"), array("d"), array("d")
        for row in self._rows(BIN, (start, end), series, ordered=False):
            value, total = parse_counts(row)
            index.append(positions.setdefault(series_of(row), len(positions)))
            times.append(stamp_of(row) // 1000)
            values.append(value)
            totals.append(float("nan") if total is None else total)
        views = (memoryview(column).toreadonly() for column in (index, times, values, totals))
        return BinColumns(tuple(positions), *views)

    def closed_until(self) -> datetime | None:
        """See `SeriesStore`."""
        if self.client.dialect.longest_span is None:
            stamps = [stamp_of(row) for row in self.client.query(_LAST_WATERMARK).rows]
            return moment(max(stamps)) if stamps else None
        for week in reversed(weeks_present(self.client, "watermark")):
            span = moment(week * WEEK), moment((week + 1) * WEEK)
            pages = read_pages(self.client, "watermark", span, limit=self._page)
            stamps = [stamp_of(row) for page in pages for row in page if row[1]]
            if stamps:
                return moment(max(stamps))
        return None

    def reopen(self, time: datetime) -> None:
        """See `SeriesStore`; a point cannot be deleted on every server, so it says false."""
        closed = self.closed_until()
        if closed is None or closed <= time:
            return
        span = time + timedelta(microseconds=1), closed + timedelta(microseconds=1)
        pages = read_pages(self.client, "watermark", span, limit=self._page)
        stamps = [nanoseconds(time), *(stamp_of(row) for page in pages for row in page)]
        lines = [
            f"watermark closed={str(not number).lower()} {one}" for number, one in enumerate(stamps)
        ]
        raise_rejected(self._write("watermark", lines, stamps), of=len(lines))

    def put_levels(self, levels: Sequence[Level]) -> None:
        """See `SeriesStore`."""
        good, rejected = valid_levels(levels, self._clock())
        raise_rejected(rejected + self._put(_LEVELS, good), of=len(levels))

    def read_levels(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Level]:
        """See `SeriesStore`."""
        check_span(start, end)
        wanted = None if series is None else [series]
        return map(parse_level, self._rows(LEVEL, (start, end), wanted))

    def put_incidents(
        self,
        incidents: Iterable[Incident],
        *,
        link: str,
        level_text: Callable[[PublishedPercent], str],
    ) -> None:
        """Write the newest revision of each of `incidents` as an annotation.

        Args:
            incidents: revisions; several of one incident oldest first, so that the point at a
                superseded start is marked as such.
            link: URL of an incident's page without its id.
            level_text: returns a percentage in words.

        Raises:
            StoreError: the server cannot take it.
            InputError: a time or a number that InfluxDB cannot hold.
        """
        lines: dict[tuple[object, datetime], str] = {}
        render = partial(render_incident, level_text=level_text)
        newest_of: dict[str, Incident] = {}
        for one in incidents:
            url, former = f"{link}{one.id}", newest_of.get(one.id)
            if former is not None and former.started_at != one.started_at:
                place = (former.entity, former.started_at)
                lines[place] = render(former, url=url, current=False)
            newest_of[one.id] = one
            lines[one.entity, one.started_at] = render(one, url=url)
        self.client.write(list(lines.values()))

    def put_places(self, atlas: EntityTree, *, at: datetime) -> None:
        """Write entities and their parents, for the dashboards' variables, as of `at`."""
        self.client.write([render_place(place, atlas=atlas, at=at) for place in atlas])

    def put_health(self, points: Iterable[HealthPoint]) -> None:
        """Write points of netwatch's own health; small networks are merged first."""
        self.client.write([render_health(point) for point in merge_small_networks(points)])

    def close(self) -> None:
        """See `SeriesStore`."""
        self.client.close()
        if self._rollup is not None:
            self._rollup.close()

    def _put(self, codec: _Codec[_Item], items: Sequence[_Item]) -> list[str]:
        """Write `items`, the last of several of one (time, series); return messages."""
        lines: list[str] = []
        stamps: list[int] = []
        rejected: list[str] = []
        try:
            numbered = self._numbered(codec, items)
        except StoreError:
            self._marked.clear()
            raise
        for revision, item in numbered:
            try:
                lines.append(codec.render(item, revision=revision))
                stamps.append(nanoseconds(item.time))
            except InputError as error:
                rejected.append(f"{item.series.signal} {item.series.entity}: {error}")
        return rejected + self._write(codec.measurement, lines, stamps)

    def _write(self, measurement: str, lines: Sequence[str], stamps: Sequence[int]) -> list[str]:
        """Write the calendar's points for new weeks, then `lines`; return messages."""
        weeks: dict[int, int] = {}
        for stamp in stamps:
            week = week_of(stamp)
            if (measurement, week) not in self._marked:
                weeks[week] = min(stamp, weeks.get(week, stamp))
        head = render_tags("calendar", {"measurement": measurement})
        marks = [f"{head} present=true {stamp}" for stamp in weeks.values()]
        try:
            self.client.write([*marks, *lines])
        except StoreError:
            # The database may have been lost: write the calendar again next time.
            self._marked.clear()
            raise
        except RejectedError as error:
            # A week's point is older than the retention only if its rows are, too.
            return [text for text in error.messages if not text.startswith("calendar,")]
        self._marked.update((measurement, week) for week in weeks)
        return []

    def _numbered(
        self, codec: _Codec[_Item], items: Sequence[_Item]
    ) -> Iterable[tuple[int, _Item]]:
        """Return the items to write, each with its revision.

        If the server overwrites, these are all items, as revision 0. Otherwise unchanged ones are
        left out, and changed ones have the next revision.
        """
        last = {(item.time, item.series): item for item in items}
        # By time: rows that are older than the retention are then adjacent.
        ordered = sorted(last.values(), key=lambda item: item.time)
        if not ordered or self.client.dialect.overwrites:
            return [(0, item) for item in ordered]
        span = ordered[0].time, ordered[-1].time + _MICROSECOND
        stored: dict[tuple[datetime, SeriesKey], tuple[int, _Item]] = {}
        for row in self._rows(codec.measurement, span, None):
            item = codec.parse(row)
            stored[item.time, item.series] = (stamp_of(row) % 1000, item)
        changed: list[tuple[int, _Item]] = []
        for item in ordered:
            number, old = stored.get((item.time, item.series), (-1, None))
            if old == item:
                continue
            if number >= _MAX_REVISIONS:
                raise StoreError(f"{item.series.entity} at {item.time} was changed too often")
            changed.append((number + 1, item))
        return changed

    def _rows(
        self,
        measurement: str,
        span: tuple[datetime, datetime],
        series: Collection[SeriesKey] | None,
        *,
        ordered: bool = True,
    ) -> Iterator[Row]:
        """Yield the newest row of each (time, series), by time, then series.

        With more series than one query can name, the order holds within each query;
        without `ordered` the order is the server's.
        """
        keep_order = not ordered and self.client.dialect.overwrites
        named = None if series is None else list(series)
        groups: list[list[SeriesKey] | None] = [None]
        if named is not None:
            groups = [
                named[first : first + _SERIES_A_QUERY]
                for first in range(0, len(named), _SERIES_A_QUERY)
            ]
        for group in groups:
            pages = read_pages(self.client, measurement, span, series=group, limit=self._page)
            for page in pages:
                yield from page if keep_order else newest(page)
