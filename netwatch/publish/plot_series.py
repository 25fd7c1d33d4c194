"""Levels as lines to draw: on one grid, in percent, with gaps that stay gaps."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from netwatch.model.percent import depth_words
from netwatch.model.series import Level
from netwatch.model.time import EPOCH

_MOST_POINTS = 100_000
_MARKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_WIDEST_MARK = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Trace:
    """A line in percent of ordinary; all sequences are as long as `times`.

    Attributes:
        step: the distance between neighbouring points.
        times: start of each interval, `step` apart.
        values: percent; None is no data, 0.0 a measured zero.
        low, high: 95 % interval, None where there is none.
    """

    step: timedelta
    times: tuple[datetime, ...]
    values: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


def trace(levels: Sequence[Level], *, step: timedelta | None = None) -> Trace:
    """Return `levels` of one series on a regular grid; an interval without a level is a gap.

    Args:
        levels: in order of time.
        step: width of an interval; None takes the commonest distance between levels.
    """
    if not levels:
        return Trace(step or timedelta(hours=1), (), (), (), ())
    step = step or _commonest_step(levels)
    start = levels[0].time
    by_slot = {round((level.time - start) / step): level for level in levels}
    count = min(max(by_slot) + 1, _MOST_POINTS)
    slots = [by_slot.get(slot) for slot in range(count)]
    return Trace(
        step=step,
        times=tuple(start + slot * step for slot in range(count)),
        values=tuple(_percent(level.value) if level else None for level in slots),
        low=tuple(_percent(level.low) if level else None for level in slots),
        high=tuple(_percent(level.high) if level else None for level in slots),
    )


def gaps(line: Trace) -> list[tuple[datetime, datetime]]:
    """Return the stretches without data, in order, each from its first interval to the next."""
    found: list[tuple[datetime, datetime]] = []
    for time, value in zip(line.times, line.values, strict=True):
        if value is not None:
            continue
        if found and found[-1][1] == time:
            found[-1] = (found[-1][0], time + line.step)
        else:
            found.append((time, time + line.step))
    return found


def phases(line: Trace) -> list[tuple[str, datetime, datetime]]:
    """Return the runs of one depth in words, in order; a gap ends a run."""
    found: list[tuple[str, datetime, datetime]] = []
    for time, value in zip(line.times, line.values, strict=True):
        if value is None:
            continue
        words = depth_words(value)
        if found and found[-1][0] == words and found[-1][2] == time:
            found[-1] = (words, found[-1][1], time + line.step)
        else:
            found.append((words, time, time + line.step))
    return found


def ordinary_band(line: Trace, before: datetime | None) -> tuple[float, float]:
    """Return the 5th and 95th percentile of values before `before`, an incident's onset.

    95 and 105 where there are too few, or where no onset says which values were ordinary.
    """
    values = sorted(
        value
        for time, value in zip(line.times, line.values, strict=True)
        if value is not None and before is not None and time < before
    )
    if len(values) < 12:
        return 95.0, 105.0
    last = len(values) - 1
    return values[round(last * 0.05)], values[round(last * 0.95)]


def resample(
    levels: Sequence[Level], start: datetime, end: datetime, step: timedelta
) -> list[float | None]:
    """Return the mean percent in each `step` from `start` to `end`, None where there is no data.

    A level belongs to the step in which its interval starts.
    """
    count = max(0, -((start - end) // step))
    sums, hits = [0.0] * count, [0] * count
    for level in levels:
        slot = (level.time - start) // step
        if 0 <= slot < count and level.value is not None:
            sums[slot] += level.value * 100
            hits[slot] += 1
    return [total / hit if hit else None for total, hit in zip(sums, hits, strict=True)]


def round_marks(line: Trace, *, most: int = 7) -> list[datetime]:
    """Return up to `most` round UTC instants within `line`, none at its very end, for an axis."""
    if not line.times:
        return []
    start, end = line.times[0], line.times[-1] + line.step
    steps = (timedelta(seconds=seconds) for seconds in _MARKS)
    step = next((step for step in steps if (end - start) / step <= most), _WIDEST_MARK)
    while (end - start) / step > most:
        step *= 2
    first = EPOCH - ((EPOCH - start) // step) * step
    last = end - (end - start) * 0.04
    return [mark for number in range(most + 1) if start <= (mark := first + number * step) < last]


def _commonest_step(levels: Sequence[Level]) -> timedelta:
    """Return the commonest distance between neighbours, an hour for a single level."""
    steps = Counter(later.time - earlier.time for earlier, later in pairwise(levels))
    del steps[timedelta(0)]
    return min(steps, key=lambda step: (-steps[step], step)) if steps else timedelta(hours=1)


def _percent(value: float | None) -> float | None:
    return None if value is None else value * 100
