"""Change points of levels: the segments of an incident, and the onset or end of a loss.

The package `ruptures` has no noise model that fits levels.
"""

import itertools
import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from netwatch.arrays import Floats
from netwatch.model.incident_details import Segment
from netwatch.model.series import Level
from netwatch.model.thresholds import RETURNED

_MIN_LENGTH = timedelta(minutes=30)
"""Shortest segment: shorter changes are noise in most series."""
_MIN_BINS = 2
"""Fewest bins of a segment: a single wild bin is common in the field."""
_MIN_NOISE = 0.01
"""Standard deviation of roots of levels: smaller estimates come from rounding."""
_MAX_AUTOCORRELATION = 0.8
"""Upper bound of the lag-1 autocorrelation, whose estimate is biased by trends."""
_MIN_STEP = 0.05
"""Levels closer than 5 points read as one."""

_ORDINARY_MEANS, _LOSS_MEANS = (RETURNED, 1.4), (0.02, 0.9)
"""Bounds of both means; a young series knows its ordinary level to some 30 %."""
_CEILING = 2.0
"""Levels above it count as this: how far a burst exceeds ordinary says nothing of a loss."""
_LIKELIHOOD_DROP = 1.92
"""Half the 95 % quantile of chi-square with one degree of freedom: a profile interval."""


def segment_levels(levels: Sequence[Level], width: timedelta) -> tuple[Segment, ...]:
    """Return the segments of one series, oldest first; empty if no bin has a value.

    `levels` are in order of time, of bins of `width`; a segment may span bins without a value.

    Change points of the mean of the square root of the level (the noise of a count grows with
    its root, so the root has the same noise at any depth), found exactly, with the penalty of
    BIC. Segments have at least 30 minutes and two bins, and neighbours differ by at least 5
    points. A running median removes shorter excursions and keeps the edges of longer ones.
    """
    known = [level for level in levels if level.value is not None]
    if not known:
        return ()
    values = np.array([level.value for level in known], dtype=float)
    min_bins = max(_MIN_BINS, math.ceil(_MIN_LENGTH / width))
    roots = np.sqrt(np.maximum(values, 0))
    smooth = _running_median(roots, 2 * min_bins - 1)
    bounds = change_points(smooth, min_bins=min_bins, noise=_noise(roots))
    bounds = _merge_similar(values, [0, *bounds, len(values)])
    return tuple(_segment(known[first:last], width) for first, last in itertools.pairwise(bounds))


def change_points(values: Floats, *, min_bins: int, noise: float) -> list[int]:
    """Return the indices at which the mean of `values` changes, in order.

    Minimises the squares over the variance (`noise` squared) plus 2 ln(n) per change, for its
    position and its mean, after BIC; by the dynamic program of Jackson et al. (2005). Segments
    have at least `min_bins` values.
    """
    size = len(values)
    if size < 2 * min_bins:
        return []
    penalty = 2 * math.log(size) * noise**2
    sums = np.concatenate([[0.0], values.cumsum()])
    squares = np.concatenate([[0.0], (values**2).cumsum()])
    best = np.full(size + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(size + 1, dtype=np.intp)
    for end in range(min_bins, size + 1):
        starts = np.arange(end - min_bins + 1)
        # Starts that would leave too short a segment before them stay at infinity.
        lengths = end - starts
        mean_part = (sums[end] - sums[starts]) ** 2 / lengths
        cost = best[starts] + squares[end] - squares[starts] - mean_part
        chosen = int(cost.argmin())
        best[end], previous[end] = cost[chosen] + penalty, chosen
    changes, end = [], int(previous[size])
    while end > 0:
        changes.append(end)
        end = int(previous[end])
    return changes[::-1]


def find_changepoint(values: Sequence[float] | Floats, *, falling: bool) -> tuple[int, int, int]:
    """Return the index where a series changes between ordinary and loss: best, low and high.

    Args:
        values: levels, 1.0 = ordinary, in order of time; two or more, no NaN.
        falling: ordinary before the index and loss from it on, else the reverse.

    Maximum likelihood of two segments with Poisson noise and a mean each; the interval is
    where twice the log likelihood is within 3.84 of the best. The variance of the ordinary
    segment gives the number of counts at a level of 1.
    """
    series = np.minimum(np.asarray(values, dtype=float), _CEILING)
    if not falling:
        best, first, last = find_changepoint(series[::-1], falling=True)
        size = len(series)
        return size - best, size - last, size - first
    loss = _prefix_likelihood(series[::-1], _LOSS_MEANS)[::-1]
    gain = (_prefix_likelihood(series, _ORDINARY_MEANS) + loss)[:-1]
    best = int(gain.argmax())
    near = np.flatnonzero(_counts(series[:best]) * (gain[best] - gain) <= _LIKELIHOOD_DROP)
    return best, int(near[0]), int(near[-1])


def _prefix_likelihood(series: Floats, means: tuple[float, float]) -> Floats:
    """Return the Poisson log likelihood of every prefix of `series` at its best mean.

    The first value is that of the empty prefix, 0.
    """
    sums = np.concatenate([[0.0], series.cumsum()])
    lengths = np.arange(len(sums))
    mean = np.clip(sums / np.maximum(lengths, 1), *means)
    return np.asarray(sums * np.log(mean) - lengths * mean)


def _counts(ordinary: Floats) -> float:
    """Return the number of counts at a level of 1, from its variance; 1 if unknown."""
    if len(ordinary) < 3:
        return 1.0
    return float(np.clip(1 / max(float(ordinary.var(ddof=1)), 1e-4), 1, 1e4))


def _noise(values: Floats) -> float:
    """Return the standard deviation around the steps, corrected for autocorrelation.

    Differences at lag 1 and 2 have the variances 2 v (1 - r) and 2 v (1 - r^2), which give the
    variance v and the lag-1 correlation r. The mean of many such values has the variance of
    as many independent ones times (1 + r) / (1 - r).
    """
    if len(values) < 3:
        return _MIN_NOISE
    first, second = _difference_variance(values, 1), _difference_variance(values, 2)
    correlation = min(max(second / first - 1, 0.0), _MAX_AUTOCORRELATION) if first > 0 else 0.0
    variance = first / 2 / (1 - correlation)
    return max(math.sqrt(variance * (1 + correlation) / (1 - correlation)), _MIN_NOISE)


def _difference_variance(values: Floats, lag: int) -> float:
    """Return the variance of differences at `lag`, from their median size: robust to steps."""
    return float((1.4826 * np.median(np.abs(values[lag:] - values[:-lag]))) ** 2)


def _running_median(values: Floats, window: int) -> Floats:
    padded = np.pad(values, window // 2, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1))


def _merge_similar(values: Floats, bounds: list[int]) -> list[int]:
    """Drop bounds between segments that differ by less than a step, the most similar first."""
    while len(bounds) > 2:
        means = [values[a:b].mean() for a, b in itertools.pairwise(bounds)]
        steps = np.abs(np.diff(means))
        smallest = int(steps.argmin())
        if steps[smallest] >= _MIN_STEP:
            break
        bounds = bounds[: smallest + 1] + bounds[smallest + 2 :]
    return bounds


def _segment(levels: Sequence[Level], width: timedelta) -> Segment:
    intervals = [level.interval for level in levels if level.interval is not None]
    level, low, high = (_mean(column) for column in zip(*intervals, strict=True))
    return Segment(
        start=levels[0].time,
        end=levels[-1].time + width,
        level=level,
        low=low,
        high=high,
        bins=len(levels),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(np.array(values, dtype=float)))
