"""From networks to regions and countries: weighted means and their coverage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.confidence_intervals import Noise, ratio_interval, share_interval
from netwatch.detect.state import SeriesState
from netwatch.model.series import UNDECIDED_INTERVAL
from netwatch.model.thresholds import MIN_COVERAGE

_LOWEST, _MAX_RATIO = UNDECIDED_INTERVAL
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
        undecided: rows whose ratio is no evidence.
    """

    ratio: Floats
    low: Floats
    high: Floats
    coverage: Floats
    networks: RowArray
    undecided: Bools


def interval_levels(
    state: SeriesState,
    composites: Composites,
    ratio: Floats,
    *,
    noise: Noise,
    usable: Bools,
) -> IntervalLevels:
    """Return the levels of all rows from the ratios of those that are not composites.

    A composite is the mean of its networks that are not undecided, with an interval that allows
    for any level of the others; where too few are left, it is undecided itself.
    """
    undecided = noise.undecided
    low, high = ratio_interval(ratio, noise.spread, noise.degrees)
    if state.is_share.any():
        ordinary = np.exp(state.baseline.level)
        below, above = share_interval(ratio, noise.trials, ordinary)
        low, high = np.where(state.is_share, below, low), np.where(state.is_share, above, high)
    variance = ((high - low) / (2 * _INTERVAL_Z)) ** 2
    rows, means = composites.rows, aggregate(composites, ratio, usable, variance)
    known = aggregate(composites, np.where(undecided, np.nan, ratio), usable, variance)
    # Share of the measured weight that is undecided; a composite with little else is so itself.
    doubt = 1 - divide(known.coverage, means.coverage, empty=1.0)
    doubt = np.where(known.coverage < MIN_COVERAGE, np.ceil(doubt), doubt)
    level = np.where(doubt < 1, known.level, means.level)
    measured = state.ready[rows] & (means.coverage >= MIN_COVERAGE)
    half = _INTERVAL_Z * np.where(known.count > 1, known.error, known.noise)
    low, high = np.where(undecided, _LOWEST, low), np.where(undecided, _MAX_RATIO, high)
    levels = IntervalLevels(
        ratio.copy(), low, high, np.ones(len(ratio)), np.ones(len(ratio), np.intp), undecided
    )
    levels.ratio[rows] = np.where(measured, level, np.nan)
    levels.low[rows] = _widen(np.maximum(level - half, 0), doubt, _LOWEST)
    levels.high[rows] = _widen(level + half, doubt, _MAX_RATIO)
    levels.coverage[rows] = means.coverage
    levels.networks[rows] = means.count
    levels.undecided[rows] = doubt >= 1
    return levels


def _widen(end: Floats, doubt: Floats, bound: float) -> Floats:
    """Return one end of an interval in which a share `doubt` may be anywhere up to `bound`."""
    return np.where(doubt < 1, np.where(doubt > 0, (1 - doubt) * end + doubt * bound, end), bound)
