"""How series get their first ordinary level: from the bins kept while they were too young."""

from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.adaptive_binning import choose_bin_factor, rebin, whole_numbers
from netwatch.detect.aggregation import Composites, aggregate
from netwatch.detect.low_counts import FEW, fit_poisson_baseline
from netwatch.detect.row_index import RowIndex
from netwatch.detect.shape_pooling import borrow_seasonality
from netwatch.detect.state import SeriesState

_LEAST_BINS = 8
_LEAST_SHARE = 0.05
"""A target that answers less often than this in ordinary times can tell nothing."""
_LEAST_AGE = timedelta(days=2)
"""A series that comes later than the others is judged from this age on, at the latest."""


def warm_start(
    state: SeriesState,
    time: datetime,
    *,
    bins: tuple[Floats, Floats],
    min_history: timedelta,
    layout: tuple[Composites, RowIndex],
) -> None:
    """Keep one bin for the young series; give those that are old enough their ordinary level.

    Args:
        state: the series.
        time: start of the bin.
        bins: value and total of every row, NaN missing.
        min_history: nothing is judged before so much was seen in all.
        layout: which rows are means of which others, and where rows belong.
    """
    values, totals = bins
    composites, kin = layout
    state.training.add(time, values, totals)
    now = time.timestamp()
    state.first = np.where(np.isnan(state.first) & np.isfinite(values), now, state.first)
    ages = now + state.width - state.first
    least = min(min_history, _LEAST_AGE).total_seconds()
    if now + state.width - state.began >= min_history.total_seconds():
        old = ~state.ready & (ages >= least)
        old[composites.rows] = False
        for share in (False, True):
            rows = np.flatnonzero(old & (state.share == share))
            if len(rows):
                _fit(state, kin, rows, share=share)
        if not state.ready[composites.rows].all():
            _fit_composites(state, composites)
    if state.ready.all():
        state.training.clear()
    else:
        state.training.keep_from(time - max(min_history, _LEAST_AGE))


def usable_rows(state: SeriesState) -> Bools:
    """Return which series have an ordinary level that is not dead."""
    level = state.baseline.level
    dead = np.isneginf(level) | (state.share & (np.exp(level) < _LEAST_SHARE))
    return np.asarray(state.ready & ~dead)


def _fit(state: SeriesState, kin: RowIndex, rows: RowArray, *, share: bool) -> None:
    """Warm-start `rows` from the training span; the too sparse wait on."""
    times = state.training.times
    values, totals = state.training.matrix(rows)
    enough = np.isfinite(values).sum(axis=0) >= _LEAST_BINS
    rows, values, totals = rows[enough], values[:, enough], totals[:, enough]
    if not len(rows):
        return
    if share:
        state.baseline.fit(rows, times, values, totals)
    else:
        width = timedelta(seconds=state.width)
        pace = choose_bin_factor(values, width)
        for bins in np.unique(pace).tolist():
            mine = pace == bins
            _fit_counts(state, kin, rows[mine], values=values[:, mine], bins=bins)
    state.ready[rows] = True


def _fit_counts(
    state: SeriesState, kin: RowIndex, rows: RowArray, *, values: Floats, bins: int
) -> None:
    """Warm-start counts that are judged in windows of `bins` bins."""
    times = state.training.times
    if bins > 1:
        width = timedelta(seconds=state.width)
        times, values = rebin(times, values, bins=bins, width=width)
        state.pace[rows] = bins
    mean = np.where(np.isfinite(values), values, 0).sum(axis=0)
    mean /= np.maximum(np.isfinite(values).sum(axis=0), 1)
    # What is put together was found to be counts already, and half a window is no whole number.
    few = (mean * bins < FEW) & (mean > 0) & (whole_numbers(values) | (bins > 1))
    if few.any():
        fit_poisson_baseline(state.baseline, rows[few], times, means=values[:, few], bins=bins)
    if not few.all():
        state.baseline.fit(rows[~few], times, values[:, ~few])
    borrow_seasonality(state, kin, rows, times=times, values=values)


def _fit_composites(state: SeriesState, composites: Composites) -> None:
    """Warm-start the wider series whose networks are ready from what those were."""
    usable = usable_rows(state)
    known = np.bincount(composites.groups, state.ready[composites.networks], len(composites.rows))
    waiting = np.flatnonzero(~state.ready[composites.rows] & (known > 0))
    if not len(waiting):
        return
    values, totals = state.training.matrix(np.arange(len(state.keys)))
    shares = np.where(state.share, divide(values, totals), values)
    none = np.zeros(len(state.keys))
    past = np.array(
        [
            aggregate(composites, divide(row, state.baseline.expect(time)), usable, none).level
            for time, row in zip(state.training.times, shares, strict=True)
        ]
    )
    for group in waiting:
        row = int(composites.rows[group])
        state.baseline.fit_composite(row, state.training.times, past[:, group])
        state.ready[row] = True
