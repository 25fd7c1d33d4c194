"""Baseline for low-count (Poisson) series, fitted from sums with gamma-Poisson shrinkage.

A median moves in whole counts, and leaving out low bins leaves out ordinary ones as well: of
Poisson counts about 3.6, a third lies below 70 %. That made the level 10 to 30 % too high and
the spread a third too small, and gave a false alarm every six days. So outages in the history
are detected in sums over six hours, and a slot seen in c counts is shrunk towards no shape by
c / (c + 15).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.seasonal_baseline import (
    DAY,
    MIN_TRAINING_LEVEL,
    WEEK,
    Hours,
    SeasonalBaseline,
    hour_of_week,
    lag1_autocorrelation,
)

LOW_COUNT = 10.0
"""Mean counts a bin below which a series is fitted here: a third of them is its noise."""
_PRIOR_COUNTS = 15.0
"""Counts of no shape that every slot starts with."""
_OUTAGE_BLOCK_SECONDS = timedelta(hours=6).total_seconds()
"""Sums over which outages are detected: the length of a median shutdown."""
_MIN_DAYS, _MIN_WEEKS = 2.0, 4.0
"""Length of history from which on the hour of day and the hour of week are fitted."""


def fit_poisson_baseline(
    baseline: SeasonalBaseline,
    rows: RowArray,
    times: Sequence[datetime],
    *,
    means: Floats,
    bins: int,
) -> None:
    """Fit `rows` to counts in wide bins of `bins` bins, `means` a bin, (time, series)."""
    counts = means * bins
    stamps = np.array([time.timestamp() for time in times])
    used = np.isfinite(counts) & ~_outages(counts, stamps)
    used_count = np.maximum(used.sum(axis=0), 1)
    counts = np.where(used, counts, 0.0)
    mean = np.maximum(counts.sum(axis=0), 0.5) / used_count
    hours = np.array([hour_of_week(time) for time in times])
    expected = np.where(used, mean, 0.0)
    days = (stamps[-1] - stamps[0]) / 86400
    day = _shape(counts, expected, hours % DAY, size=DAY) if days >= _MIN_DAYS else 0.0
    baseline.day[rows] = day
    expected = expected * np.exp(baseline.day[rows][:, hours % DAY].T)
    week = _shape(counts, expected, hours, size=WEEK) if days >= 7 * _MIN_WEEKS else 0.0
    baseline.week[rows] = week
    expected = expected * np.exp(baseline.week[rows][:, hours].T)
    baseline.level[rows] = np.log(mean / bins)
    residual = np.where(used, divide(counts, expected) - 1, np.nan)
    scatter = np.sqrt(np.nanmean(residual**2, axis=0))
    baseline.spread[rows] = np.maximum(scatter, mean**-0.5)
    baseline.lag1_autocorrelation[rows] = lag1_autocorrelation(residual)
    step = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 3600.0
    baseline.hours_seen[rows] = used_count * step / 3600


def _outages(counts: Floats, stamps: Floats) -> Bools:
    """Return the bins in blocks of six hours that hold far less than the usual block."""
    blocks = (stamps // _OUTAGE_BLOCK_SECONDS).astype(np.intp)
    _, starts, group = np.unique(blocks, return_index=True, return_inverse=True)
    known = np.isfinite(counts)
    size = np.maximum(np.add.reduceat(known, starts, axis=0), 1)
    mean = np.add.reduceat(np.where(known, counts, 0.0), starts, axis=0) / size
    usual = np.median(mean, axis=0)
    for _ in range(2):
        floor = MIN_TRAINING_LEVEL * usual - 3 * np.sqrt(usual / size)
        good = mean >= floor
        usual = (mean * good).sum(axis=0) / np.maximum(good.sum(axis=0), 1)
    return np.asarray(~good[group])


def _shape(counts: Floats, expected: Floats, slots: Hours, *, size: int) -> Floats:
    """Return the logarithmic shape over `size` slots, (series, size), shrunk towards none."""
    shape = np.zeros((counts.shape[1], size))
    for slot in np.unique(slots).tolist():
        here = slots == slot
        observed, usual = counts[here].sum(axis=0), expected[here].sum(axis=0)
        shape[:, slot] = np.log((observed + _PRIOR_COUNTS) / (usual + _PRIOR_COUNTS))
    return shape
