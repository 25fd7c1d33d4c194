"""First ordinary levels of young series, fitted to the bins kept until then."""

from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.adaptive_binning import choose_bin_factor, rebin, whole_numbers
from netwatch.detect.aggregation import Composites, aggregate
from netwatch.detect.layout import Layout
from netwatch.detect.poisson_baseline import LOW_COUNT, fit_poisson_baseline
from netwatch.detect.shape_pooling import borrow_seasonality
from netwatch.detect.state import SeriesState, TrainingBins

_MIN_BINS = 8
"""Bins with data that an ordinary level needs; fewer give no spread."""
_MIN_SHARE = 0.05
"""Share of ordinary answers below which a target is dead: too few to show a loss."""
_LATE_HISTORY = timedelta(days=2)
"""History after which a series that joins the others late is evaluated, at the latest: each
hour of the day twice."""


def keep_training_bin(state: SeriesState, time: datetime, values: Floats, totals: Floats) -> None:
    """Keep one bin for the series without an ordinary level."""
    state.training.add(time, values, totals)
    first = np.isnan(state.first_seen) & np.isfinite(values)
    state.first_seen = np.where(first, time.timestamp(), state.first_seen)


def fit_initial_state(
    state: SeriesState, layout: Layout, time: datetime, *, min_history: timedelta
) -> None:
    """Fit the ordinary level of series that are old enough at the end of the bin at `time`.

    Nothing is fitted before the whole state has `min_history`.
    """
    now, composites = time.timestamp(), layout.composites
    ages = now + state.width - state.first_seen
    min_age = min(min_history, _LATE_HISTORY).total_seconds()
    if now + state.width - state.first_interval >= min_history.total_seconds():
        old = ~state.ready & (ages >= min_age)
        old[composites.rows] = False
        for share in (False, True):
            rows = np.flatnonzero(old & (state.is_share == share))
            if len(rows):
                _fit(state, layout, rows, share=share)
        if not state.ready[composites.rows].all():
            _fit_composites(state, composites)
    if state.ready.all():
        state.training = TrainingBins()
    else:
        state.training.discard_before(time - max(min_history, _LATE_HISTORY))


def usable_rows(state: SeriesState) -> Bools:
    """Return which series have an ordinary level and are not dead."""
    level = state.baseline.level
    dead = np.isneginf(level) | (state.is_share & (np.exp(level) < _MIN_SHARE))
    return np.asarray(state.ready & ~dead)


def _fit(state: SeriesState, layout: Layout, rows: RowArray, *, share: bool) -> None:
    """Fit `rows` to the training bins; those with too few bins wait."""
    times = state.training.times
    values, totals = state.training.matrix(rows)
    enough = np.isfinite(values).sum(axis=0) >= _MIN_BINS
    rows, values, totals = rows[enough], values[:, enough], totals[:, enough]
    if not len(rows):
        return
    if share:
        state.baseline.fit(rows, times, values, totals)
    else:
        factors = choose_bin_factor(values, timedelta(seconds=state.width))
        for bins in np.unique(factors).tolist():
            mine = factors == bins
            _fit_counts(state, layout, rows[mine], values=values[:, mine], bins=bins)
    state.ready[rows] = True


def _fit_counts(
    state: SeriesState, layout: Layout, rows: RowArray, *, values: Floats, bins: int
) -> None:
    times = state.training.times
    if bins > 1:
        width = timedelta(seconds=state.width)
        times, values = rebin(times, values, bins=bins, width=width)
        state.bin_factor[rows] = bins
    mean = np.where(np.isfinite(values), values, 0).sum(axis=0)
    mean /= np.maximum(np.isfinite(values).sum(axis=0), 1)
    # Wide bins hold counts by definition, although means of half of one are not whole numbers.
    counts = whole_numbers(values) | (bins > 1)
    low = (mean * bins < LOW_COUNT) & (mean > 0) & counts
    if low.any():
        fit_poisson_baseline(state.baseline, rows[low], times, means=values[:, low], bins=bins)
    if not low.all():
        state.baseline.fit(rows[~low], times, values[:, ~low])
    borrow_seasonality(state, layout, rows, times=times, values=values)


def _fit_composites(state: SeriesState, composites: Composites) -> None:
    usable = usable_rows(state)
    known = composites.sum(state.ready[composites.networks])
    waiting = np.flatnonzero(~state.ready[composites.rows] & (known > 0))
    if not len(waiting):
        return
    values, totals = state.training.matrix(np.arange(len(state.keys)))
    shares = np.where(state.is_share, divide(values, totals), values)
    no_variance = np.zeros(len(state.keys))
    past = np.array(
        [
            aggregate(
                composites, divide(row, state.baseline.expect(time)), usable, no_variance
            ).level
            for time, row in zip(state.training.times, shares, strict=True)
        ]
    )
    for group in waiting:
        row = int(composites.rows[group])
        state.baseline.fit_composite(row, state.training.times, past[:, group])
        state.ready[row] = True
