"""From networks to regions and countries: weighted means and their coverage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide

_MAX_RATIO = 1.25
"""Share of ordinary at which a network is capped, so that its rise hides no loss of another."""


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
    size = len(composites.rows)
    values = np.minimum(ratio[composites.networks], _MAX_RATIO)
    known = usable[composites.networks]
    measured = known & np.isfinite(values)
    values = np.where(measured, values, 0)
    weights = np.where(measured, composites.weights, 0)

    def total(parts: Floats) -> Floats:
        return np.bincount(composites.groups, parts, size).astype(float)

    part, whole = total(weights), total(np.where(known, composites.weights, 0))
    count = np.bincount(composites.groups[measured], minlength=size)
    level = divide(total(weights * values), part)
    squares = weights**2
    deviation = values - np.nan_to_num(level)[composites.groups]
    spread = divide(total(squares * deviation**2), part**2)
    small_sample = divide(count.astype(float), np.maximum(count - 1.0, 1.0))
    own = np.where(measured, np.nan_to_num(variance[composites.networks]), 0)
    return AggregateLevels(
        level=level,
        coverage=np.nan_to_num(divide(part, whole)),
        count=count,
        error=np.sqrt(spread * small_sample),
        noise=np.sqrt(divide(total(squares * own), part**2)),
    )
