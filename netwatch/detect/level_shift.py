"""The shadow level: what a low series has been at, should that turn out to be ordinary now.

What is ordinary is not learned while a series is low, or a long outage would become ordinary.
Yet some changes are for good: a network gives its addresses to another, or announces them by
other routes. So a second level learns while the first does not, and takes its place after 48
hours where all of this holds:

* it is a single network's, and neither users of the country nor most networks share it;
* it is about routes or unsolicited traffic, or what it lost its neighbours have gained;
* what its users have was ordinary throughout: by answers to our own questions where there are
  any, else by every signal that shows it. Of two volunteers one is away every other night.

Nothing else is ever switched, least of all a country: after 14 days its baseline says that the
change may be permanent, for a human to decide.
"""

from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.detect.aggregation import Composites
from netwatch.detect.bayes_filter import normal_probability, start_posterior
from netwatch.detect.row_index import RowIndex
from netwatch.detect.state import SeriesState

_ACCEPT_AFTER = timedelta(hours=48).total_seconds()
_LASTING_AFTER = timedelta(days=14).total_seconds()
_BREAK = timedelta(hours=2).total_seconds()
"""A series that is ordinary for so long is no longer low; a shorter return is a flicker."""
_HALF_LIFE = timedelta(hours=12)
_LEAST_LEFT = 0.02
"""What has gone altogether is gone, and has no new level."""
_GAINED = 0.05
_MOVED = 0.6
"""Neighbours must have gained this much of what was lost; some of it moves abroad."""
_MOST_WIDER = 2.0


def track_level_shifts(
    state: SeriesState, time: datetime, *, ratio: Floats, values: Floats, ordinary: Floats
) -> None:
    """Let the shadow of every low series learn from one bin.

    Args:
        state: the series; their beliefs hold the bin already.
        time: start of the bin.
        ratio: current over ordinary, NaN for no data.
        values: what was counted.
        ordinary: what would be ordinary.
    """
    now, seen = time.timestamp(), np.isfinite(ratio)
    decay = np.float32(1 - 0.5 ** (state.width / _HALF_LIFE.total_seconds()))
    low = state.ready & (normal_probability(state.belief) < 0.5)
    state.low_at = np.where(low, now, state.low_at)
    since = np.where(low & np.isnan(state.low_since), now, state.low_since)
    with np.errstate(invalid="ignore"):
        over = now - state.low_at > _BREAK
    state.low_since = np.where(over, np.nan, since)
    inside = np.isfinite(state.low_since)
    before = np.where(np.isnan(state.shadow), ratio, state.shadow)
    learned = np.where(seen, before + decay * (ratio - before), before)
    state.shadow = np.where(inside, learned, np.nan).astype(np.float32)
    counted = seen & ~state.share & ~state.baseline.composite
    excess = np.where(counted, values - ordinary, state.gain)
    state.gain += decay * (excess - state.gain).astype(np.float32)


def accept_level_shifts(
    state: SeriesState, time: datetime, *, ratio: Floats, kin: RowIndex, composites: Composites
) -> RowArray:
    """Make ordinary the shadows of networks that changed for good; return their rows."""
    now = time.timestamp()
    with np.errstate(invalid="ignore"):
        old = (now - state.low_since >= _ACCEPT_AFTER) & (state.shadow > _LEAST_LEFT)
    old &= kin.network & np.isfinite(ratio)
    if not old.any():
        return np.zeros(0, np.intp)
    moved = _moved(state, kin, old)
    shown = np.isfinite(ratio) & state.ready
    vouched = _vouched(state, now, shown=shown, kin=kin, moved=moved)
    rows = np.flatnonzero(old & (moved | ~kin.user) & vouched)
    rows = rows[~_under_loss(state, kin, composites)[rows]]
    left = state.shadow[rows].astype(float)
    state.baseline.level[rows] += np.log(left)
    # Fewer counts scatter by more.
    state.baseline.spread[rows] *= np.clip(left**-0.5, 1, _MOST_WIDER)
    state.belief[rows] = start_posterior(len(rows))
    state.ratio[rows] /= left
    state.low_since[rows], state.low_at[rows], state.shadow[rows] = np.nan, np.nan, np.nan
    return rows


def lasting_shift(state: SeriesState, row: int, time: datetime) -> float | None:
    """Return the share of ordinary that a loss of 14 days or more is at, None without one."""
    lasts = time.timestamp() - float(state.low_since[row]) >= _LASTING_AFTER
    return round(float(state.shadow[row]), 2) if lasts else None


def _vouched(state: SeriesState, now: float, *, shown: Bools, kin: RowIndex, moved: Bools) -> Bools:
    """Return which rows are of an entity whose users have had all they ordinarily have."""
    with np.errstate(invalid="ignore"):
        disturbed = now - state.low_at < _ACCEPT_AFTER
    size = int(kin.entity.max(initial=-1)) + 1
    fine, low = shown & (moved | ~disturbed), disturbed & ~moved
    led = np.bincount(kin.entity, kin.active & (fine | low), size) > 0
    heard = kin.user & (kin.active | ~led[kin.entity])
    speak = np.bincount(kin.entity, heard & fine, size)
    against = np.bincount(kin.entity, heard & low, size)
    return np.asarray(((speak > 0) & (against == 0))[kin.entity])


def _moved(state: SeriesState, kin: RowIndex, old: Bools) -> Bools:
    """Return which of the `old` rows lost what rows of the same signal and country gained."""
    found = np.zeros(len(old), dtype=bool)
    usual = np.exp(state.baseline.level)
    gained = np.where(kin.network & (state.gain > _GAINED * usual), state.gain, 0.0)
    for row in np.flatnonzero(old & (state.gain < 0) & (kin.country >= 0)).tolist():
        near = (kin.country == kin.country[row]) & (kin.signal == kin.signal[row])
        found[row] = gained[near].sum() >= _MOVED * -state.gain[row]
    return found


def _under_loss(state: SeriesState, kin: RowIndex, composites: Composites) -> Bools:
    """Return which rows share a loss: users of the country, or most of its networks, have it too.

    A mean of routes or of a region is no witness: it falls when one network's addresses go to
    another, whose gain counts for a quarter of itself at the most.
    """
    low = normal_probability(state.belief) < 0.5
    rows = composites.rows
    wider = low[rows] & kin.user[rows] & (kin.above[rows] < 0)
    size = int(kin.entity.max(initial=-1)) + 1
    count = np.bincount(kin.entity[composites.networks], wider[composites.groups], size)
    place = kin.signal * (len(kin.countries) + 1) + kin.country
    parts = kin.network & state.ready
    lost = np.bincount(place + 1, low & parts)
    crowd = 2 * lost > np.bincount(place + 1, parts)
    return np.asarray((count > 0)[kin.entity] | crowd[place + 1] & (kin.country >= 0))
