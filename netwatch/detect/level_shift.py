"""Level shifts: new ordinary levels of networks that changed for good.

The baseline does not learn while a series is low, or a long outage would become ordinary. Yet
some changes are permanent: a network gives its addresses to another, or announces them by
other routes. So a second level, the shifted level, learns during a loss, and replaces the
baseline after 48 hours if all of this holds:

* it is a single network's, and neither users of the country nor most networks share the loss;
* it is about routes or unsolicited traffic, or its neighbours have gained what it lost;
* its user-facing signals were ordinary throughout: the active ones if there are any, else all
  of them. Of two volunteers one is away every other night.

Nothing else is ever switched, least of all a country: after 14 days its baseline carries the
level of a possibly permanent change, for a human to decide.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats
from netwatch.detect.bayes_filter import NEW_SERIES, ordinary_probability
from netwatch.detect.layout import Layout
from netwatch.detect.state import SeriesState
from netwatch.model.thresholds import EVEN_PROBABILITY

_ACCEPT_AFTER = timedelta(hours=48).total_seconds()
"""Twice each hour of the day: a daily shutdown is not taken for a level shift."""
_LASTING_AFTER = timedelta(days=14).total_seconds()
"""Longer than nine in ten shutdowns: from then on a human is asked."""
_END_AFTER = timedelta(hours=2).total_seconds()
"""A loss ends after so long at ordinary levels; a shorter return is flapping."""
_HALF_LIFE = timedelta(hours=12)
"""Half-life of the shifted level: settled after two days."""
_MIN_SHIFTED_LEVEL = 0.02
"""Share of ordinary below which a series is gone and has no new level."""
_MIN_GAIN = 0.05
"""Share of its own ordinary that a neighbour must gain, beyond its noise."""
_MIN_MOVED = 0.6
"""Share of a loss that neighbours must have gained; some of it moves abroad."""
_MAX_SPREAD_FACTOR = 2.0
"""Bound on the wider scatter of the fewer counts after a shift."""


def track_level_shifts(
    state: SeriesState, time: datetime, *, ratio: Floats, values: Floats, ordinary: Floats
) -> None:
    """Update the shifted level of every low series with one bin.

    The posteriors of `state` include the bin. `ratio` is current over ordinary, NaN for no data.
    """
    now, known = time.timestamp(), np.isfinite(ratio)
    decay = np.float32(1 - 0.5 ** (state.width / _HALF_LIFE.total_seconds()))
    low = state.ready & (ordinary_probability(state.posterior) < EVEN_PROBABILITY)
    state.last_low = np.where(low, now, state.last_low)
    since = np.where(low & np.isnan(state.low_since), now, state.low_since)
    with np.errstate(invalid="ignore"):
        over = now - state.last_low > _END_AFTER
    state.low_since = np.where(over, np.nan, since)
    before = np.where(np.isnan(state.shifted_level), ratio, state.shifted_level)
    learned = np.where(known, before + decay * (ratio - before), before)
    inside = np.isfinite(state.low_since)
    state.shifted_level = np.where(inside, learned, np.nan).astype(np.float32)
    counted = known & ~state.is_share & ~state.baseline.composite
    excess = np.where(counted, values - ordinary, state.excess)
    state.excess += decay * (excess - state.excess).astype(np.float32)


def accept_level_shifts(
    state: SeriesState, time: datetime, *, ratio: Floats, layout: Layout
) -> None:
    """Make the shifted levels of networks that changed for good their ordinary ones."""
    now = time.timestamp()
    with np.errstate(invalid="ignore"):
        settled = now - state.low_since >= _ACCEPT_AFTER
        settled &= state.shifted_level > _MIN_SHIFTED_LEVEL
    settled &= layout.network & np.isfinite(ratio)
    if not settled.any():
        return
    moved = _moved_to_neighbours(state, layout, settled)
    measured = np.isfinite(ratio) & state.ready
    served = _users_served(state, now, measured=measured, layout=layout, moved=moved)
    rows = np.flatnonzero(settled & (moved | ~layout.user_facing) & served)
    rows = rows[~_share_a_loss(state, layout)[rows]]
    level = state.shifted_level[rows].astype(float)
    state.baseline.level[rows] += np.log(level)
    # Fewer counts scatter by more.
    state.baseline.spread[rows] *= np.clip(level**-0.5, 1, _MAX_SPREAD_FACTOR)
    state.posterior[rows] = NEW_SERIES
    state.ratio[rows] /= level
    for times in (state.low_since, state.last_low, state.shifted_level):
        times[rows] = np.nan


def lasting_shifts(state: SeriesState, rows: Sequence[int], time: datetime) -> Floats:
    """Return the share of ordinary that losses of 14 days or more are at; NaN for others."""
    with np.errstate(invalid="ignore"):
        lasts = time.timestamp() - state.low_since[rows] >= _LASTING_AFTER
    return np.where(lasts, np.round(state.shifted_level[rows].astype(float), 2), np.nan)


def _users_served(
    state: SeriesState, now: float, *, measured: Bools, layout: Layout, moved: Bools
) -> Bools:
    """Return rows of entities whose user-facing signals were ordinary for the last 48 hours."""
    with np.errstate(invalid="ignore"):
        disturbed = now - state.last_low < _ACCEPT_AFTER
    size = int(layout.entity.max(initial=-1)) + 1
    fine, low = measured & (moved | ~disturbed), disturbed & ~moved
    has_active = np.bincount(layout.entity, layout.active & (fine | low), size) > 0
    witness = layout.user_facing & (layout.active | ~has_active[layout.entity])
    ordinary = np.bincount(layout.entity, witness & fine, size)
    lost = np.bincount(layout.entity, witness & low, size)
    return np.asarray(((ordinary > 0) & (lost == 0))[layout.entity])


def _moved_to_neighbours(state: SeriesState, layout: Layout, settled: Bools) -> Bools:
    """Return the `settled` rows whose loss other rows of the signal and country have gained."""
    moved = np.zeros(len(settled), dtype=bool)
    usual = np.exp(state.baseline.level)
    gains = np.where(layout.network & (state.excess > _MIN_GAIN * usual), state.excess, 0.0)
    for row in np.flatnonzero(settled & (state.excess < 0) & (layout.country >= 0)).tolist():
        near = (layout.country == layout.country[row]) & (layout.signal == layout.signal[row])
        moved[row] = gains[near].sum() >= _MIN_MOVED * -state.excess[row]
    return moved


def _share_a_loss(state: SeriesState, layout: Layout) -> Bools:
    """Return rows whose loss users of the country, or most of its networks, have too.

    A mean of routes or of a region is not evidence: it falls when a network's addresses move to
    another, whose gain is capped at a quarter.
    """
    low = ordinary_probability(state.posterior) < EVEN_PROBABILITY
    composites, rows = layout.composites, layout.composites.rows
    national = low[rows] & layout.user_facing[rows] & (layout.parent[rows] < 0)
    size = int(layout.entity.max(initial=-1)) + 1
    count = np.bincount(layout.entity[composites.networks], national[composites.groups], size)
    group = layout.signal * (len(layout.countries) + 1) + layout.country + 1
    networks = layout.network & state.ready
    most = 2 * np.bincount(group, low & networks) > np.bincount(group, networks)
    return np.asarray((count > 0)[layout.entity] | most[group] & (layout.country >= 0))
