"""An ended incident as a staircase: when it stood at which level, and in which order networks fell.

Forty lines of our own instead of the package `ruptures`: that needs scipy, which
nothing else in the observatory does, and has no noise model that fits levels.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from netwatch.model.entities import Entity
from netwatch.model.incident_details import NetworkLoss, Segment
from netwatch.model.series import Level

Floats = npt.NDArray[np.float64]

_LEAST_LENGTH = timedelta(minutes=30)
_LEAST_BINS = 2
_LEAST_NOISE = 0.01
_MOST_MEMORY = 0.8
_LEAST_STEP = 0.05
"""Neighbours less than 5 points apart are one step to any reader."""


def segment_levels(levels: Sequence[Level], width: timedelta) -> tuple[Segment, ...]:
    """Return the segments of one series, oldest first; empty where no bin has a value.

    Args:
        levels: bins of `width` in order of time; those without a value are left out, and
            a segment may reach over them.
        width: bin width.

    Change points of the mean of the square root of the level (noise of a count grows with
    its root, so that the root has the same noise at any depth), found exactly, with the
    penalty of BIC. Segments last 30 minutes and two bins or more, neighbours differ by 5
    points or more. Shorter excursions are taken out first, by a running median that leaves
    the edges of longer ones where they are: one wild bin is no step.
    """
    known = [level for level in levels if level.value is not None]
    if not known:
        return ()
    values = np.array([level.value for level in known], dtype=float)
    least = max(_LEAST_BINS, math.ceil(_LEAST_LENGTH / width))
    roots = np.sqrt(np.maximum(values, 0))
    calm = _running_median(roots, 2 * least - 1)
    bounds = change_points(calm, least=least, noise=_noise(roots))
    bounds = _merge_alike(values, [0, *bounds, len(values)])
    return tuple(_segment(known[first:last], width) for first, last in itertools.pairwise(bounds))


def change_points(values: Floats, *, least: int, noise: float) -> list[int]:
    """Return the indices at which the mean of `values` changes, in order.

    The exact minimum of squares over the variance (`noise` squared) plus 2 ln(n) a change,
    for its place and its mean, after BIC; by the dynamic program of Jackson et al. (2005).
    Segments have `least` values or more.
    """
    size = len(values)
    if size < 2 * least:
        return []
    penalty = 2 * math.log(size) * noise**2
    sums = np.concatenate([[0.0], values.cumsum()])
    squares = np.concatenate([[0.0], (values**2).cumsum()])
    best = np.full(size + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(size + 1, dtype=np.intp)
    for end in range(least, size + 1):
        starts = np.arange(end - least + 1)
        # No segment ends before it is long enough: such starts stay at infinity.
        lengths = end - starts
        mean_part = (sums[end] - sums[starts]) ** 2 / lengths
        cost = best[starts] + squares[end] - squares[starts] - mean_part
        chosen = int(cost.argmin())
        best[end], previous[end] = cost[chosen] + penalty, chosen
    found, end = [], int(previous[size])
    while end > 0:
        found.append(end)
        end = int(previous[end])
    return found[::-1]


def loss_order(losses: Mapping[Entity, tuple[datetime, float]], total: float) -> list[NetworkLoss]:
    """Return the networks that fell in the order of their onsets, then of their names.

    Args:
        losses: onset and weight of every network that was lost.
        total: weight of all measured networks, lost or not.

    Raises:
        ValueError: `total` is not positive, or less than what was lost.
    """
    lost = sum(weight for _, weight in losses.values())
    if total <= 0 or lost > total * (1 + 1e-9):
        raise ValueError(f"total weight {total} with {lost} lost")
    found, so_far = [], 0.0
    for entity, (at, weight) in sorted(losses.items(), key=lambda one: (one[1][0], one[0])):
        so_far += weight
        found.append(NetworkLoss(entity, at, weight / total, min(1.0, so_far / total)))
    return found


def _noise(values: Floats) -> float:
    """Return the standard deviation of the values around their steps, as long means feel it.

    Differences at lag 1 and 2 tell the variance v and the lag-1 correlation r apart: theirs
    are 2 v (1 - r) and 2 v (1 - r^2). A mean of many values with memory has the variance of
    as many independent ones times (1 + r) / (1 - r).
    """
    if len(values) < 3:
        return _LEAST_NOISE
    first, second = _difference_variance(values, 1), _difference_variance(values, 2)
    memory = min(max(second / first - 1, 0.0), _MOST_MEMORY) if first > 0 else 0.0
    variance = first / 2 / (1 - memory)
    return max(math.sqrt(variance * (1 + memory) / (1 - memory)), _LEAST_NOISE)


def _difference_variance(values: Floats, lag: int) -> float:
    """Return the variance of differences at `lag` from their median size; steps are too rare."""
    return float((1.4826 * np.median(np.abs(values[lag:] - values[:-lag]))) ** 2)


def _running_median(values: Floats, window: int) -> Floats:
    """Return the medians of `window` (odd) values around each, the ends repeated."""
    padded = np.pad(values, window // 2, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1))


def _merge_alike(values: Floats, bounds: list[int]) -> list[int]:
    """Drop the bounds between neighbours that differ by less than a step, least first."""
    while len(bounds) > 2:
        means = [values[a:b].mean() for a, b in itertools.pairwise(bounds)]
        steps = np.abs(np.diff(means))
        smallest = int(steps.argmin())
        if steps[smallest] >= _LEAST_STEP:
            break
        bounds = bounds[: smallest + 1] + bounds[smallest + 2 :]
    return bounds


def _segment(levels: Sequence[Level], width: timedelta) -> Segment:
    """Return the segment that `levels`, all with a value, make."""
    values = [level.value for level in levels if level.value is not None]
    lows = [_or(level.low, level.value) for level in levels]
    highs = [_or(level.high, level.value) for level in levels]
    return Segment(
        start=levels[0].time,
        end=levels[-1].time + width,
        level=float(np.mean(values)),
        low=float(np.mean(lows)),
        high=float(np.mean(highs)),
        bins=len(values),
    )


def _or(bound: float | None, value: float | None) -> float:
    """Return the bound, the value itself where it has none."""
    return bound if bound is not None else (value or 0.0)
