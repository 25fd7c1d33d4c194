"""Rollups and retention on any series store: fine bins for days, coarse ones for ever.

A coarser bin is computed from finer, closed ones: successes and trials are summed, so that their
ratio stays true; a plain quantity without trials is averaged over the bins there are, so that a
gap is not a decline. Of levels the lowest stands for the interval. Repeating it changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from netwatch.model.series import Bin, Level
from netwatch.model.time import EPOCH, floor_time
from netwatch.protocols import BinColumns, Maintenance, SeriesStore

_READ_SPAN = timedelta(hours=1)
"""Time of fine bins in memory at once."""
_LATE = timedelta(days=1)
"""How far before its watermark a rollup is computed again, to include late data."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Resolution:
    """A width of bins, and how long they are kept.

    Attributes:
        name: its name, and that of its folder.
        width: None for bins as measured.
        retention: None for ever.
    """

    name: str
    width: timedelta | None
    retention: timedelta | None


def resolutions(
    *, raw: timedelta = timedelta(days=14), five_minutes: timedelta = timedelta(days=731)
) -> tuple[Resolution, ...]:
    """Return the resolutions with their retention: bins of an hour are kept for ever."""
    return (
        Resolution("raw", None, raw),
        Resolution("five-minutes", timedelta(minutes=5), five_minutes),
        Resolution("hourly", timedelta(hours=1), None),
    )


RESOLUTIONS = resolutions()


@runtime_checkable
class _Droppable(Protocol):
    """A store that deletes old rows itself; others have a server's retention for it."""

    def drop_before(self, time: datetime) -> int:
        """Delete bins and levels before `time`; return how many."""


def apply_retention(
    stores: Sequence[tuple[Resolution, SeriesStore]], now: datetime
) -> list[Maintenance]:
    """Roll each resolution up into the next, then drop what is past its retention.

    Nothing is dropped that the next resolution does not have yet.

    Raises:
        StoreError: a store cannot be read or written; the next call continues.
    """
    written = [0]
    for (_, finer), (resolution, coarser) in pairwise(stores):
        assert resolution.width is not None, "only the first resolution has bins as measured"
        written.append(roll_up(finer, coarser, resolution.width))
    following = [*(store for _, store in stores[1:]), None]
    dropped = [
        _drop(resolution, store, coarser, now)
        for (resolution, store), coarser in zip(stores, following, strict=True)
    ]
    return [
        Maintenance(resolution.name, *counts)
        for (resolution, _), *counts in zip(stores, written, dropped, strict=True)
    ]


def roll_up(finer: SeriesStore, coarser: SeriesStore, width: timedelta) -> int:
    """Merge closed bins and levels of `finer` into intervals of `width`; return rows written.

    It continues a day before the watermark of `coarser`. Intervals begin at whole multiples of
    `width` since 1970.

    Raises:
        StoreError: a store cannot be read or written.
    """
    closed, done = finer.closed_until(), coarser.closed_until()
    if closed is None:
        return 0
    end = floor_time(closed, width)
    span = max(_READ_SPAN // width, 1) * width
    begin = first_time(finer, EPOCH if done is None else floor_time(done - _LATE, width), end)
    count = 0
    while begin is not None and begin < end:
        begin = floor_time(begin, width)
        until = min(begin + span, end)
        bins = list(merge_bins(finer.read_columns(begin, until), width))
        levels = list(_lowest_levels(finer.read_levels(begin, until), width))
        coarser.put_levels(levels)
        coarser.put_bins(bins, closed_until=until)
        count += len(bins) + len(levels)
        begin = until if bins or levels else first_time(finer, until, end)
    if done is None or done < end:
        coarser.put_bins([], closed_until=end)
    return count


def first_time(store: SeriesStore, start: datetime, end: datetime) -> datetime | None:
    """Return the time of the first bin or level within a span, None if it is empty."""
    first = next(store.read_bins(start, end), None), next(store.read_levels(start, end), None)
    return min((item.time for item in first if item is not None), default=None)


def merge_bins(columns: BinColumns, width: timedelta) -> Iterator[Bin]:
    """Yield the bins of `columns` merged into intervals of `width`, by time, then series."""
    by_key = sorted(range(len(columns.keys)), key=columns.keys.__getitem__)
    totals = np.asarray(columns.totals)
    rows = pd.DataFrame(
        {
            "time": np.asarray(columns.times),
            "interval": np.asarray(columns.times) // (width // timedelta(microseconds=1)),
            "rank": np.argsort(by_key)[np.asarray(columns.index)],
            "has_trials": ~np.isnan(totals),
            "value": np.asarray(columns.values),
            "total": totals,
        }
    )
    # Sums of fractions depend on their order, which must not be that of the engine.
    cells = rows.sort_values("time").groupby(["interval", "rank", "has_trials"])
    merged = cells[["value", "total"]].sum().assign(mean=cells["value"].mean()).reset_index()
    # Where only some rows of a cell have trials, these count.
    merged = merged.drop_duplicates(["interval", "rank"], keep="last")
    for interval, rank, has_trials, value, total, mean in merged.itertuples(index=False):
        time, key = EPOCH + interval * width, columns.keys[by_key[rank]]
        yield Bin(time, key, value, total) if has_trials else Bin(time, key, mean)


def _lowest_levels(levels: Iterator[Level], width: timedelta) -> Iterator[Level]:
    """Yield the lowest level of every series and interval, moved to the interval's start."""
    for start, group in groupby(levels, key=lambda level: floor_time(level.time, width)):
        lowest: dict[object, Level] = {}
        for level in group:
            known = lowest.get(level.series)
            if known is None or _sort_value(level) < _sort_value(known):
                lowest[level.series] = level
        for level in lowest.values():
            yield replace(level, time=start)


def _sort_value(level: Level) -> float:
    # No data is not a decline, so it sorts above every value.
    return float("inf") if level.value is None else level.value


def _drop(
    resolution: Resolution, store: SeriesStore, coarser: SeriesStore | None, now: datetime
) -> int:
    if resolution.retention is None or not isinstance(store, _Droppable):
        return 0
    limit = now - resolution.retention
    if coarser is not None:
        limit = min(limit, coarser.closed_until() or EPOCH)
    return store.drop_before(floor_time(limit, _DAY))
