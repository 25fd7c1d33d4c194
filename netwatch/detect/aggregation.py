"""From networks to regions and countries: weighted means and their coverage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.confidence_intervals import Noise, ratio_interval, share_interval
from netwatch.detect.state import SeriesState
from netwatch.model.thresholds import MIN_COVERAGE

_MAX_RATIO = 1.25
"""Share of ordinary at which a network is capped, so that its rise hides no loss of another."""

_INTERVAL_Z = 1.96
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Composites:
    """Series that are weighted means of the series of their networks.

    Attributes:
        rows: row of each composite, shape (k,).
        networks: rows of all their networks, one composite after another, shape (m,).
        groups: composite of each network, 0 to k - 1, shape (m,).
        weights: weight of each network there, shape (m,).
    """

    rows: RowArray
    networks: RowArray
    groups: RowArray
    weights: Floats

    def sum(self, parts: npt.NDArray[np.generic]) -> Floats:
        """Return the sum of `parts`, a value a network, over each composite, shape (k,)."""
        return np.bincount(self.groups, parts, len(self.rows)).astype(float)


@dataclass(frozen=True, slots=True)
class AggregateLevels:
    """Composites in one interval, arrays of shape (k,).

    Attributes:
        level: sum(weight * ratio) / sum(weight) over the networks with data; NaN without any.
        coverage: share of the weight of all usable networks that have data.
        count: number of networks with data.
        error: standard error of `level` under resampling of whole networks.
        noise: standard error of `level` from the noise of each network alone.
    """

    level: Floats
    coverage: Floats
    count: RowArray
    error: Floats
    noise: Floats


def make_composites(members: Sequence[tuple[int, dict[int, float]]]) -> Composites:
    """Return the composites of (row, {row of network: weight}) pairs."""
    networks = [row for _, parts in members for row in parts]
    groups = [group for group, (_, parts) in enumerate(members) for _ in parts]
    weights = [weight for _, parts in members for weight in parts.values()]
    return Composites(
        rows=np.array([row for row, _ in members], np.intp),
        networks=np.array(networks, np.intp),
        groups=np.array(groups, np.intp),
        weights=np.array(weights, float),
    )


def aggregate(
    composites: Composites, ratio: Floats, usable: Bools, variance: Floats
) -> AggregateLevels:
    """Return the levels of composites from the ratios of their networks.

    Vantages within one network are not independent, networks more nearly are: the error is the
    linear form of the bootstrap over networks, sum(w^2 (r - level)^2) / sum(w)^2.

    `ratio` (NaN for no data), `usable` and `variance` of the ratio have a value for every series.
    """
    values = np.minimum(ratio[composites.networks], _MAX_RATIO)
    known = usable[composites.networks]
    measured = known & np.isfinite(values)
    values = np.where(measured, values, 0)
    weights = np.where(measured, composites.weights, 0)
    part, whole = composites.sum(weights), composites.sum(np.where(known, composites.weights, 0))
    count = np.bincount(composites.groups[measured], minlength=len(composites.rows))
    level = divide(composites.sum(weights * values), part)
    squares = weights**2
    deviation = values - np.nan_to_num(level)[composites.groups]
    spread = divide(composites.sum(squares * deviation**2), part**2)
    small_sample = divide(count.astype(float), np.maximum(count - 1.0, 1.0))
    own = np.where(measured, np.nan_to_num(variance[composites.networks]), 0)
    return AggregateLevels(
        level=level,
        coverage=np.nan_to_num(divide(part, whole)),
        count=count,
        error=np.sqrt(spread * small_sample),
        noise=np.sqrt(divide(composites.sum(squares * own), part**2)),
    )


@dataclass(frozen=True, slots=True)
class IntervalLevels:
    """The levels of all rows in one interval; arrays of shape (n,).

    Attributes:
        ratio: current over ordinary, NaN for no data.
        low, high: its 95 % interval.
        coverage, networks: of composites; 1 and 1 for a network.
    """

    ratio: Floats
    low: Floats
    high: Floats
    coverage: Floats
    networks: RowArray


def interval_levels(
    state: SeriesState, composites: Composites, ratio: Floats, *, noise: Noise, usable: Bools
) -> IntervalLevels:
    """Return the levels of all rows from the ratios of those that are not composites."""
    low, high = ratio_interval(ratio, noise.spread, noise.degrees)
    if state.is_share.any():
        ordinary = np.exp(state.baseline.level)
        below, above = share_interval(ratio, noise.trials, ordinary)
        low, high = np.where(state.is_share, below, low), np.where(state.is_share, above, high)
    variance = ((high - low) / (2 * _INTERVAL_Z)) ** 2
    means, rows = aggregate(composites, ratio, usable, variance), composites.rows
    measured = state.ready[rows] & (means.coverage >= MIN_COVERAGE)
    half = _INTERVAL_Z * np.where(means.count > 1, means.error, means.noise)
    levels = IntervalLevels(
        ratio.copy(), low, high, np.ones(len(ratio)), np.ones(len(ratio), np.intp)
    )
    levels.ratio[rows] = np.where(measured, means.level, np.nan)
    levels.low[rows] = np.maximum(means.level - half, 0)
    levels.high[rows] = means.level + half
    levels.coverage[rows] = means.coverage
    levels.networks[rows] = means.count
    return levels
