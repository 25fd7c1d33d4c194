"""Rollups and retention: fine figures for days, coarse ones for ever, on any series store.

A coarser bin is computed from finer ones that are closed, in Python, by one rule: successes
and trials are summed, so that their ratio stays the true one; a plain quantity, which has no
trials, is averaged over the bins there are, so that a gap is no decline. Of levels the lowest
stands for the interval. All three give the same however often they are computed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from netwatch.model.series import Bin, Level
from netwatch.model.time import floor_time
from netwatch.protocols import BinColumns, SeriesStore
from netwatch.store.moments import EPOCH

_LOOK = timedelta(hours=1)
_AGAIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tier:
    """How wide bins are, and how long they are kept.

    Attributes:
        name: what the tier is called, and its folder.
        width: None for bins as they are measured.
        keep: None for ever.
    """

    name: str
    width: timedelta | None
    keep: timedelta | None


TIERS = (
    Tier("raw", None, timedelta(days=14)),
    Tier("five-minutes", timedelta(minutes=5), timedelta(days=731)),
    Tier("hourly", timedelta(hours=1), None),
)
"""Bins as measured for two weeks, of five minutes for two years, of an hour for ever."""


def tiers_kept(*, raw: timedelta, five_minutes: timedelta) -> list[Tier]:
    """Return the tiers with other retention times."""
    keeps = {"raw": raw, "five-minutes": five_minutes}
    return [replace(tier, keep=keeps.get(tier.name, tier.keep)) for tier in TIERS]


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeping house did to one tier: rows that were written and dropped."""

    tier: str
    written: int
    dropped: int


@runtime_checkable
class Droppable(Protocol):
    """A store that deletes what is old itself; others have a server's retention for it."""

    def drop_before(self, time: datetime) -> int:
        """Forget bins and levels before `time`; return how many."""


def keep_house(tiers: Sequence[tuple[Tier, SeriesStore]], now: datetime) -> list[Kept]:
    """Roll each tier up into the next, then drop what is past its keeping.

    Nothing is dropped that the next tier does not hold yet.

    Raises:
        StoreError: a store cannot be read or written; trying again later goes on.
    """
    written = [0]
    for (_, finer), (tier, coarser) in pairwise(tiers):
        assert tier.width is not None, "only the first tier may hold bins as measured"
        written.append(roll_up(finer, coarser, tier.width))
    following = [*(store for _, store in tiers[1:]), None]
    dropped = [
        _drop(tier, store, coarser, now)
        for (tier, store), coarser in zip(tiers, following, strict=True)
    ]
    return [
        Kept(tier.name, rows, gone)
        for (tier, _), rows, gone in zip(tiers, written, dropped, strict=True)
    ]


def roll_up(
    finer: SeriesStore, coarser: SeriesStore, width: timedelta, *, again: timedelta = _AGAIN
) -> int:
    """Merge closed bins and levels of `finer` into intervals of `width`; return rows written.

    It goes on where `coarser`'s promise ends, less `again`, which takes in late data. The
    intervals begin at whole multiples of `width` since 1970.

    Raises:
        StoreError: a store cannot be read or written.
    """
    closed, done = finer.closed_until(), coarser.closed_until()
    if closed is None:
        return 0
    end = floor_time(closed, width)
    look = max(_LOOK // width, 1) * width
    begin = first_time(finer, EPOCH if done is None else floor_time(done - again, width), end)
    count = 0
    while begin is not None and begin < end:
        begin = floor_time(begin, width)
        until = min(begin + look, end)
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
    """Return the time of the first bin or level within a span, None where it has none."""
    bin_ = next(store.read_bins(start, end), None)
    level = next(store.read_levels(start, end), None)
    return min((item.time for item in (bin_, level) if item is not None), default=None)


def merge_bins(columns: BinColumns, width: timedelta) -> Iterator[Bin]:
    """Yield the bins of `columns` merged into intervals of `width`, by time, then series."""
    if not len(columns.values):
        return
    times = np.asarray(columns.times)
    index = np.asarray(columns.index)
    step = width // timedelta(microseconds=1)
    # In one order whatever the engine's: sums of fractions depend on it.
    order = np.lexsort((times, index))
    times, index = times[order], index[order]
    values, totals = np.asarray(columns.values)[order], np.asarray(columns.totals)[order]
    starts, place = np.unique(times // step, return_inverse=True)
    cell = place * len(columns.keys) + index
    size = len(starts) * len(columns.keys)
    tried = ~np.isnan(totals)
    trials = np.bincount(cell[tried], minlength=size)
    sums = np.bincount(cell[tried], values[tried], size)
    tried_sums = np.bincount(cell[tried], totals[tried], size)
    plain = np.bincount(cell[~tried], minlength=size)
    plain_sums = np.bincount(cell[~tried], values[~tried], size)
    means = plain_sums / np.maximum(plain, 1)
    ranks = sorted(range(len(columns.keys)), key=columns.keys.__getitem__)
    for at, start in enumerate(starts.tolist()):
        time = EPOCH + start * width
        for rank in ranks:
            row = at * len(columns.keys) + rank
            if trials[row]:
                yield Bin(time, columns.keys[rank], float(sums[row]), float(tried_sums[row]))
            elif plain[row]:
                yield Bin(time, columns.keys[rank], float(means[row]))


def _lowest_levels(levels: Iterator[Level], width: timedelta) -> Iterator[Level]:
    """Yield the lowest level of every series and interval, moved to the interval's start."""
    for start, group in groupby(levels, key=lambda level: floor_time(level.time, width)):
        lowest: dict[object, Level] = {}
        for level in group:
            held = lowest.get(level.series)
            if held is None or _height(level) < _height(held):
                lowest[level.series] = level
        for level in lowest.values():
            yield replace(level, time=start)


def _height(level: Level) -> float:
    """Return the level's value; no data is above all values, for it is no decline."""
    return float("inf") if level.value is None else level.value


def _drop(tier: Tier, store: SeriesStore, coarser: SeriesStore | None, now: datetime) -> int:
    if tier.keep is None or not isinstance(store, Droppable):
        return 0
    limit = floor_time(now - tier.keep, timedelta(days=1))
    if coarser is not None:
        held = coarser.closed_until()
        limit = min(limit, held or EPOCH)
    return store.drop_before(floor_time(limit, timedelta(days=1)))
