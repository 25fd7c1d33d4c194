"""A store in memory, for tests, drills and replays."""

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from threading import RLock
from typing import Generic, Self, TypeVar

from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.time import to_micros
from netwatch.plugins import NoOptions
from netwatch.protocols import BinColumns, Clock
from netwatch.store.validation import (
    check_span,
    now_utc,
    raise_rejected,
    valid_bins,
    valid_levels,
    valid_watermark,
)

_Item = TypeVar("_Item", Bin, Level)


class MemoryStore(NoOptions):
    """Implements `SeriesStore` in dictionaries; `close` deletes nothing."""

    def __init__(self, *, clock: Clock = now_utc) -> None:
        self._clock = clock
        self._lock = RLock()
        self._bins: _Table[Bin] = _Table()
        self._levels: _Table[Level] = _Table()
        self._closed_until: datetime | None = None

    @classmethod
    def at(cls, location: str) -> Self:  # noqa: ARG003 - every store is opened by a location
        """Return an empty store; the location is ignored."""
        return cls()

    def put_bins(self, bins: Sequence[Bin], *, closed_until: datetime | None = None) -> None:
        """See `SeriesStore`."""
        now = self._clock()
        good, rejected = valid_bins(bins, now)
        watermark, more = valid_watermark(closed_until, now)
        with self._lock:
            self._bins.put(good)
            if watermark is not None:
                self._closed_until = max(watermark, self._closed_until or watermark)
        raise_rejected(rejected + more, of=len(bins))

    def read_bins(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Bin]:
        """See `SeriesStore`."""
        check_span(start, end)
        return self._bins.read(start, end, series)

    def read_columns(
        self, start: datetime, end: datetime, *, series: Collection[SeriesKey] | None = None
    ) -> BinColumns:
        """See `SeriesStore`."""
        wanted = None if series is None else set(series)
        found = self.read_bins(start, end)
        return bin_columns([bin_ for bin_ in found if wanted is None or bin_.series in wanted])

    def closed_until(self) -> datetime | None:
        """See `SeriesStore`."""
        return self._closed_until

    def reopen(self, time: datetime) -> None:
        """See `SeriesStore`."""
        with self._lock:
            if self._closed_until is not None:
                self._closed_until = min(self._closed_until, time)

    def put_levels(self, levels: Sequence[Level]) -> None:
        """See `SeriesStore`."""
        good, rejected = valid_levels(levels, self._clock())
        with self._lock:
            self._levels.put(good)
        raise_rejected(rejected, of=len(levels))

    def read_levels(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Level]:
        """See `SeriesStore`."""
        check_span(start, end)
        return self._levels.read(start, end, series)

    def drop_before(self, time: datetime) -> int:
        """Delete all bins and levels before `time`; return how many."""
        check_span(time, time)
        with self._lock:
            return self._bins.drop_before(time) + self._levels.drop_before(time)

    def close(self) -> None:
        """See `SeriesStore`."""


class _Table(Generic[_Item]):
    """Items by time, then series."""

    def __init__(self) -> None:
        self._items: dict[datetime, dict[SeriesKey, _Item]] = {}

    def put(self, items: Sequence[_Item]) -> None:
        for item in items:
            time = item.time.astimezone(UTC)
            self._items.setdefault(time, {})[item.series] = replace(item, time=time)

    def read(self, start: datetime, end: datetime, series: SeriesKey | None) -> Iterator[_Item]:
        for time in sorted(time for time in list(self._items) if start <= time < end):
            row = self._items.get(time, {})
            keys = sorted(row) if series is None else [series]
            yield from [row[key] for key in keys if key in row]

    def drop_before(self, time: datetime) -> int:
        dropped = [self._items.pop(old) for old in list(self._items) if old < time]
        return sum(len(row) for row in dropped)


def bin_columns(bins: Sequence[Bin]) -> BinColumns:
    """Return `bins` as columns."""
    index = {key: position for position, key in enumerate({bin_.series: None for bin_ in bins})}
    totals = [float("nan") if bin_.total is None else bin_.total for bin_ in bins]
    return BinColumns(
        keys=tuple(index),
        index=_view("q", [index[bin_.series] for bin_ in bins]),
        times=_view("q", [to_micros(bin_.time) for bin_ in bins]),
        values=_view("d", [bin_.value for bin_ in bins]),
        totals=_view("d", totals),
    )


def _view(code: str, numbers: Sequence[float]) -> memoryview:
    """Return `numbers` as a read-only flat view of array type `code`."""
    return memoryview(array(code, numbers)).toreadonly()
