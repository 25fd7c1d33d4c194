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
_STEPS = (1, 2, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Round steps of an axis or a timeline, in seconds."""

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

    @property
    def span(self) -> timedelta:
        """Length of the whole line."""
        return len(self.times) * self.step

    @property
    def end(self) -> datetime:
        """End of the last interval of a line that is not empty."""
        return self.times[0] + self.span


def trace(
    levels: Sequence[Level], *, step: timedelta | None = None, most: int = _MOST_POINTS
) -> Trace:
    """Return `levels` of one series on a regular grid; an interval without a level is a gap.

    `levels` are in order of time. Without `step`, it is the commonest distance between them. A
    line of more than `most` points becomes means over several steps, without intervals.
    """
    if not levels:
        return Trace(step or timedelta(hours=1), (), (), (), ())
    step = step or _commonest_step(levels)
    start = levels[0].time
    end = levels[-1].time - (levels[-1].time - start) % step + step
    merged = -((start - end) // (step * most))
    step *= merged

    def percents(column: str) -> tuple[float | None, ...]:
        return tuple(resample(levels, start, end, step, column=attrgetter(column)))

    values = percents("value")
    times = tuple(start + slot * step for slot in range(len(values)))
    nothing = (None,) * len(values)
    low, high = (percents("low"), percents("high")) if merged == 1 else (nothing, nothing)
    return Trace(step, times, values, low, high)


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


def fitting_step(span: timedelta, most: int) -> timedelta:
    """Return the shortest round step of which at most `most` fill `span`; over a day, in days."""
    steps = (timedelta(seconds=seconds) for seconds in _STEPS)
    days = timedelta(days=-(-span // timedelta(days=most)))
    return next((step for step in steps if span / step <= most), days)


def round_marks(line: Trace, *, most: int = 7) -> list[datetime]:
    """Return up to `most` round UTC instants within `line` for an axis, none at its very end."""
    if not line.times:
        return []
    tick = fitting_step(line.span, most)
    first = floor_time(line.times[0], tick)
    marks = (first + number * tick for number in range(most + 2))
    return [mark for mark in marks if line.times[0] <= mark < line.end - line.span * 0.04]


def _commonest_step(levels: Sequence[Level]) -> timedelta:
    """Return the commonest distance between neighbours, an hour for a single level."""
    steps = Counter(later.time - earlier.time for earlier, later in pairwise(levels))
    del steps[timedelta(0)]
    return min(steps, key=lambda step: (-steps[step], step)) if steps else timedelta(hours=1)
