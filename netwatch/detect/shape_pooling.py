"""Series too young to know their own day and week: they are lent that of their neighbours."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.detect.row_index import RowIndex
from netwatch.detect.seasonal_baseline import DAY, WEEK, hour_of_week
from netwatch.detect.state import SeriesState

_YOUNG = 2.0 * WEEK
"""Hours of history below which a series borrows, and from which on it lends."""
_LEAST_LENDERS = 3
_DOUBT = 1.5
"""How much less sure a borrowed shape is than one's own."""
_BETTER = 0.9


def borrow_seasonality(
    state: SeriesState, kin: RowIndex, rows: RowArray, *, times: Sequence[datetime], values: Floats
) -> None:
    """Give the young among `rows` the mean shape of their region, else of their country.

    Only where it explains the little that is known of them better than no shape does; their
    spread grows by half. `values` are those of their history, (time, series).
    """
    baseline = state.baseline
    mature = state.ready & ~baseline.composite & ~state.share & (baseline.seen >= _YOUNG)
    if not mature.any():
        return
    hours = np.array([hour_of_week(time) for time in times])
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    for column, row in enumerate(rows.tolist()):
        known = np.isfinite(logs[:, column])
        if baseline.seen[row] >= _YOUNG or not known.any():
            continue
        lenders = _donors(kin, mature & (kin.signal == kin.signal[row]), row)
        if len(lenders) < _LEAST_LENDERS:
            continue
        day, week = baseline.day[lenders].mean(axis=0), baseline.week[lenders].mean(axis=0)
        residual = logs[known, column] - (day[hours % DAY] + week[hours])[known]
        if _scatter(residual) > _BETTER * _scatter(logs[known, column]):
            continue
        baseline.day[row], baseline.week[row] = day, week
        baseline.level[row] = np.median(residual)
        state.rested[row] = state.rested[lenders].max()
        baseline.spread[row] = max(_DOUBT * _scatter(residual), _DOUBT * baseline.spread[row])


def _donors(kin: RowIndex, mature: Bools, row: int) -> RowArray:
    """Return who lends to `row`: the mature of its region, or of its country."""
    for place in (kin.above, kin.country):
        if place[row] >= 0:
            found = np.flatnonzero(mature & (place == place[row]))
            if len(found) >= _LEAST_LENDERS:
                return found
    return np.zeros(0, np.intp)


def _scatter(values: Floats) -> float:
    """Return the median absolute deviation as a standard deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))
