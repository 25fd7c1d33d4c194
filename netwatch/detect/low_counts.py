"""The ordinary level of few counts: from sums, since medians of small numbers say little.

A median moves in whole counts, and leaving out low bins leaves out ordinary ones as well: of
Poisson counts about 3.6, a third lies below 70 %. That made the level 10 to 30 % too high and the
spread a third too small, and a false alarm every six days. So outages in the history are looked
for in sums over six hours, and shapes are drawn towards none as far as their sums are small:
a rate seen in c counts, with 15 counts of no shape (gamma-Poisson, `c / (c + 15)`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.seasonal_baseline import (
    DAY,
    WEEK,
    Hours,
    SeasonalBaseline,
    hour_of_week,
    lag_correlation,
)

FEW = 10.0
"""Mean counts a window below which they are few."""
_SHRINK = 15.0
_BLOCK = timedelta(hours=6).total_seconds()
_LOW = 0.7
_LEAST_DAYS, _LEAST_WEEKS = 2.0, 4.0


def fit_poisson_baseline(
    baseline: SeasonalBaseline,
    rows: RowArray,
    times: Sequence[datetime],
    *,
    means: Floats,
    bins: int,
) -> None:
    """Warm-start `rows` from counts in windows of `bins` bins, `means` a bin, (time, series)."""
    counts = means * bins
    stamps = np.array([time.timestamp() for time in times])
    kept = np.isfinite(counts) & ~_lost(counts, stamps)
    seen = np.maximum(kept.sum(axis=0), 1)
    counts = np.where(kept, counts, 0.0)
    mean = np.maximum(counts.sum(axis=0), 0.5) / seen
    hours = np.array([hour_of_week(time) for time in times])
    expected = np.where(kept, mean, 0.0)
    span = (stamps[-1] - stamps[0]) / 86400
    day = _shape(counts, expected, hours % DAY, size=DAY) if span >= _LEAST_DAYS else 0.0
    baseline.day[rows] = day
    expected = expected * np.exp(baseline.day[rows][:, hours % DAY].T)
    week = _shape(counts, expected, hours, size=WEEK) if span >= 7 * _LEAST_WEEKS else 0.0
    baseline.week[rows] = week
    expected = expected * np.exp(baseline.week[rows][:, hours].T)
    baseline.level[rows] = np.log(mean / bins)
    residual = np.where(kept, divide(counts, expected) - 1, np.nan)
    scatter = np.sqrt(np.nanmean(residual**2, axis=0))
    baseline.spread[rows] = np.maximum(scatter, mean**-0.5)
    baseline.memory[rows] = lag_correlation(residual)
    step = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 3600.0
    baseline.seen[rows] = seen * step / 3600


def _lost(counts: Floats, stamps: Floats) -> Bools:
    """Return which windows lie in six hours that hold far less than the usual six hours do."""
    places = (stamps // _BLOCK).astype(np.intp)
    _, starts, group = np.unique(places, return_index=True, return_inverse=True)
    known = np.isfinite(counts)
    size = np.maximum(np.add.reduceat(known, starts, axis=0), 1)
    mean = np.add.reduceat(np.where(known, counts, 0.0), starts, axis=0) / size
    usual = np.median(mean, axis=0)
    for _ in range(2):
        floor = _LOW * usual - 3 * np.sqrt(usual / size)
        good = mean >= floor
        usual = (mean * good).sum(axis=0) / np.maximum(good.sum(axis=0), 1)
    return np.asarray(~good[group])


def _shape(counts: Floats, expected: Floats, slots: Hours, *, size: int) -> Floats:
    """Return the logarithmic shape over `size` slots, (series, size), drawn towards none."""
    found = np.zeros((counts.shape[1], size))
    for slot in np.unique(slots).tolist():
        here = slots == slot
        seen, usual = counts[here].sum(axis=0), expected[here].sum(axis=0)
        found[:, slot] = np.log((seen + _SHRINK) / (usual + _SHRINK))
    return found
