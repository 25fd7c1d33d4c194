"""Levels as lines to plot: on a regular grid, in percent, with gaps that stay gaps."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TypeVar

from netwatch.model.percent import PercentForm, depth_form
from netwatch.model.series import Level
from netwatch.model.time import floor_time

_MOST_POINTS = 100_000
_TICK_SECONDS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
)  # fmt: skip
_WIDEST_TICK = timedelta(days=1)
_LEAST_FOR_BAND = 12
"""Values before an onset below which their percentiles are no band."""

_DEFAULT_BAND = (95.0, 105.0)
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Trace:
    """A line in percent of ordinary; all sequences are as long as `times`.

    Attributes:
        step: distance between neighbouring points.
        times: start of each interval, `step` apart.
        values: percent; None is no data, 0.0 a measured zero.
        low, high: 95 % interval, None without an interval.
    """

    step: timedelta
    times: tuple[datetime, ...]
    values: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


def trace(levels: Sequence[Level], *, step: timedelta | None = None) -> Trace:
    """Return `levels` of one series on a regular grid; an interval without a level is a gap.

    `levels` are in order of time. Without `step`, it is the commonest distance between them.
    """
    if not levels:
        return Trace(step or timedelta(hours=1), (), (), (), ())
    step = step or _commonest_step(levels)
    start = levels[0].time
    by_slot = {round((level.time - start) / step): level for level in levels}
    slots = [by_slot.get(slot) for slot in range(min(max(by_slot) + 1, _MOST_POINTS))]

    def percents(column: str) -> tuple[float | None, ...]:
        return tuple(_percent(getattr(level, column)) if level else None for level in slots)

    times = tuple(start + slot * step for slot in range(len(slots)))
    return Trace(step, times, percents("value"), percents("low"), percents("high"))


def thin(levels: Sequence[Level], most: int) -> Trace:
    """Return `levels` as a line of at most `most` points: means, without intervals, if needed."""
    line = trace(levels)
    if len(line.times) <= most:
        return line
    step = line.step * -(-len(line.times) // most)
    start = line.times[0]
    values = resample(levels, start, line.times[-1] + line.step, step)
    times = tuple(start + step * slot for slot in range(len(values)))
    nothing = (None,) * len(values)
    return Trace(step, times, tuple(values), nothing, nothing)


def runs(keys: Iterable[_Key]) -> list[tuple[_Key, int, int]]:
    """Return (key, first, stop) of each run of equal neighbours."""
    grouped = groupby(enumerate(keys), key=lambda pair: pair[1])
    found = ((key, [index for index, _ in pairs]) for key, pairs in grouped)
    return [(key, indices[0], indices[-1] + 1) for key, indices in found]


def gaps(line: Trace) -> list[tuple[datetime, datetime]]:
    """Return start and end of each stretch without data, in order."""
    return [
        (line.times[first], line.times[stop - 1] + line.step)
        for missing, first, stop in runs(value is None for value in line.values)
        if missing
    ]


def phases(line: Trace) -> list[tuple[PercentForm, datetime, datetime]]:
    """Return depth, start and end of each stretch of one depth, in order; a gap ends it."""
    depths = (None if value is None else depth_form(value) for value in line.values)
    return [
        (depth, line.times[first], line.times[stop - 1] + line.step)
        for depth, first, stop in runs(depths)
        if depth is not None
    ]


def ordinary_band(line: Trace, onset: datetime | None) -> tuple[float, float]:
    """Return the 5th and 95th percentile of the values before `onset`.

    95 and 105 if there are fewer than 12 values or no onset.
    """
    values = sorted(
        value
        for time, value in zip(line.times, line.values, strict=True)
        if value is not None and onset is not None and time < onset
    )
    if len(values) < _LEAST_FOR_BAND:
        return _DEFAULT_BAND
    last = len(values) - 1
    return values[round(last * 0.05)], values[round(last * 0.95)]


def resample(
    levels: Sequence[Level],
    start: datetime,
    end: datetime,
    step: timedelta,
    *,
    column: Callable[[Level], float | None] = attrgetter("value"),
) -> list[float | None]:
    """Return the mean percent in each `step` from `start` to `end`, None for no data.

    A level counts in the step in which its interval starts; `column` reads it as a share.
    """
    count = max(0, -((start - end) // step))
    slots: list[list[float]] = [[] for _ in range(count)]
    for level in levels:
        slot, value = (level.time - start) // step, column(level)
        if 0 <= slot < count and value is not None:
            slots[slot].append(value * 100)
    return [sum(values) / len(values) if values else None for values in slots]


def round_marks(line: Trace, *, most: int = 7) -> list[datetime]:
    """Return up to `most` round UTC instants within `line` for an axis, none at its very end."""
    if not line.times:
        return []
    start, end = line.times[0], line.times[-1] + line.step
    ticks = (timedelta(seconds=seconds) for seconds in _TICK_SECONDS)
    tick = next((tick for tick in ticks if (end - start) / tick <= most), _WIDEST_TICK)
    while (end - start) / tick > most:
        tick *= 2
    first = floor_time(start, tick)
    marks = (first + number * tick for number in range(most + 2))
    return [mark for mark in marks if start <= mark < end - (end - start) * 0.04]


def _commonest_step(levels: Sequence[Level]) -> timedelta:
    """Return the commonest distance between neighbours, an hour for a single level."""
    steps = Counter(later.time - earlier.time for earlier, later in pairwise(levels))
    del steps[timedelta(0)]
    return min(steps, key=lambda step: (-steps[step], step)) if steps else timedelta(hours=1)


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100
