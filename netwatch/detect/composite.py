"""From networks to regions and countries: one weighted mean, with what it was measured on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Composite", "resample_interval", "weigh_networks"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

_DRAWS = 1000
_CEILING = 1.25
"""A network above its ordinary level may not hide the loss of another."""


@dataclass(frozen=True, slots=True)
class Composite:
    """One wider entity: the rows of its networks, and their weights in the same order."""

    rows: Rows
    weights: Floats


def weigh_networks(
    composite: Composite, ratio: Floats, ready: npt.NDArray[np.bool_]
) -> tuple[float, float, int]:
    """Return (level, coverage, networks) of a composite from its networks' ratios.

    Level = sum(weight * ratio) / sum(weight) over the networks with data; coverage is the
    share of the weight of all `ready` networks that these hold. NaN level without any.
    """
    values = np.minimum(ratio[composite.rows], _CEILING)
    known = ready[composite.rows]
    seen = known & np.isfinite(values)
    whole = composite.weights[known].sum()
    part = composite.weights[seen].sum()
    if whole <= 0 or part <= 0:
        return float("nan"), 0.0, 0
    level = float((composite.weights[seen] * values[seen]).sum() / part)
    return level, float(part / whole), int(seen.sum())


def resample_interval(
    composite: Composite, ratio: Floats, ready: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Return the 95 % interval of a composite's level, by drawing whole networks again.

    Probes within one network are not independent, networks more nearly are. The draws
    are the same for every bin, so that the same figures give the same interval.
    """
    values = np.minimum(ratio[composite.rows], _CEILING)
    seen = ready[composite.rows] & np.isfinite(values)
    values, weights = values[seen], composite.weights[seen]
    count = len(values)
    if count == 0:
        return float("nan"), float("nan")
    draws = np.random.default_rng(count).multinomial(count, np.full(count, 1 / count), _DRAWS)
    drawn = draws @ weights
    usable = drawn > 0
    levels = (draws @ (weights * values))[usable] / drawn[usable]
    low, high = np.quantile(levels, [0.025, 0.975])
    return float(low), float(high)
