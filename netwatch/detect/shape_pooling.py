"""Borrowed seasonality for young series.

A series with under two weeks of history borrows the mean seasonal shape of mature series in the
same region, or else in the same country.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.detect.layout import Layout
from netwatch.detect.seasonal_baseline import DAY, WEEK, hour_of_week
from netwatch.detect.state import SeriesState

_MATURE_HOURS = 2.0 * WEEK
"""Hours of history below which a series borrows, and from which on it may be a donor."""
_MIN_DONORS = 3
"""Donors below which a mean shape is one network's own."""
_BORROWED_SPREAD = 1.5
"""Factor by which a borrowed shape widens the spread."""
_MAX_SCATTER = 0.9
"""Share of the scatter without a shape that may remain with it, for the shape to be used."""
_MAD_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def borrow_seasonality(
    state: SeriesState,
    layout: Layout,
    rows: RowArray,
    *,
    times: Sequence[datetime],
    values: Floats,
) -> None:
    """Give the young series among `rows` the mean shape of their region, else country.

    A shape is used only if it explains the short history better than none; the spread grows by
    half. `values` are that history, (time, series).
    """
    baseline = state.baseline
    mature = state.ready & ~baseline.composite & ~state.is_share
    mature &= baseline.hours_seen >= _MATURE_HOURS
    if not mature.any():
        return
    hours = np.array([hour_of_week(time) for time in times])
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    for column, row in enumerate(rows.tolist()):
        known = np.isfinite(logs[:, column])
        if baseline.hours_seen[row] >= _MATURE_HOURS or not known.any():
            continue
        donors = _donors(layout, mature & (layout.signal == layout.signal[row]), row)
        if len(donors) < _MIN_DONORS:
            continue
        day, week = baseline.day[donors].mean(axis=0), baseline.week[donors].mean(axis=0)
        residual = logs[known, column] - (day[hours % DAY] + week[hours])[known]
        if _scatter(residual) > _MAX_SCATTER * _scatter(logs[known, column]):
            continue
        baseline.day[row], baseline.week[row] = day, week
        baseline.level[row] = np.median(residual)
        state.rest_hours[row] = state.rest_hours[donors].max()
        spread = max(_BORROWED_SPREAD * _scatter(residual), _BORROWED_SPREAD * baseline.spread[row])
        baseline.spread[row] = spread


def _donors(layout: Layout, mature: Bools, row: int) -> RowArray:
    """Return the mature series of the region of `row`, else of its country."""
    for scope in (layout.parent, layout.country):
        if scope[row] >= 0:
            donors = np.flatnonzero(mature & (scope == scope[row]))
            if len(donors) >= _MIN_DONORS:
                return donors
    return np.zeros(0, np.intp)


def _scatter(values: Floats) -> float:
    return float(_MAD_TO_DEVIATION * np.median(np.abs(values - np.median(values))))
