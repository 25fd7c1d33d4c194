"""Log likelihood ratios of counts, and the arithmetic of beliefs that combines them.

All logarithms are natural; 0 is no evidence.
"""

import numpy as np
from scipy.special import betaln, expit

from netwatch.arrays import Floats, RowArray

_CUT_SHAPE = 6
"""Failure share of a cut target: Beta(6, 1), 86 % in the mean."""
_MAX_PER_CELL = 4.0
"""Bound on the evidence of one cell: repeated measurements of a pair are not independent."""
_FLAWLESS_FAILURE = 0.005
"""Failure share of a vantage that reports success whatever happens."""
_ROUNDING = 1e-9
"""Share of a sum that rounding may cost."""


class CellEvidence:
    """Evidence of each cell's counts, shape (n,), within +-4, and 0 without trials.

    A healthy target fails at a given rate (binomial). A cut target fails at a rate drawn from
    Beta(6, 1), which makes f failures and k successes beta-binomial: B(f + 6, k + 1) / B(6, 1).
    A vantage with random answers fails at a uniformly distributed rate: B(f + 1, k + 1). The
    binomial coefficient cancels.
    """

    def __init__(self, trials: Floats, successes: Floats) -> None:
        self._trials, self._successes = trials, successes
        self._failures = trials - successes
        self._cut = betaln(self._failures + _CUT_SHAPE, successes + 1) - betaln(_CUT_SHAPE, 1)
        uniform = betaln(self._failures + 1, successes + 1)
        self.random_vs_cut = self._bounded(uniform - self._cut)
        """log P(counts | random answers) / P(counts | cut)."""

    def cut_vs_healthy(self, failure_rate: Floats) -> Floats:
        """Return log P(counts | cut) / P(counts | healthy); rates are between 0 and 1."""
        return self._bounded(self._cut - self._binomial(failure_rate))

    def flawless_vs_healthy(self, failure_rate: Floats) -> Floats:
        """Return log P(counts | one in 200 fails) / P(counts | healthy)."""
        return self._bounded(self._binomial(_FLAWLESS_FAILURE) - self._binomial(failure_rate))

    def _binomial(self, failure_rate: Floats | float) -> Floats:
        return np.asarray(
            self._failures * np.log(failure_rate) + self._successes * np.log1p(-failure_rate)
        )

    def _bounded(self, evidence: Floats) -> Floats:
        return np.where(self._trials > 0, np.clip(evidence, -_MAX_PER_CELL, _MAX_PER_CELL), 0.0)


def log_mixture(evidence: Floats, probability: Floats | float) -> Floats:
    """Return log(1 - p + p e^evidence): evidence for a cause that acts with probability p."""
    share = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.asarray(np.logaddexp(np.log1p(-share), np.log(share) + evidence))


def posterior(evidence: Floats, prior: Floats | float) -> Floats:
    """Return the posterior probability for log evidence and a prior probability."""
    return np.asarray(expit(evidence + np.log(prior) - np.log1p(-np.asarray(prior))))


def lower_median(values: Floats, weights: Floats, groups: RowArray, size: int) -> Floats:
    """Return the weighted median of each group, NaN for one without weight, (size,).

    It is the smallest value with half of the weight of its group at or below it.
    """
    order = np.lexsort((values, groups))
    order = order[weights[order] > 0]
    group, sums = groups[order], np.cumsum(weights[order])
    total = np.bincount(group, weights[order], size)
    before = (np.cumsum(total) - total)[group]
    places = np.flatnonzero(sums - before >= total[group] * (0.5 - _ROUNDING))
    found, first = np.unique(group[places], return_index=True)
    result = np.full(size, np.nan)
    result[found] = values[order[places[first]]]
    return result


def middle_median(values: Floats, weights: Floats, groups: RowArray, size: int) -> Floats:
    """Return `lower_median`, or its mean with the upper one where half of the weight is above."""
    upper = -lower_median(-values, weights, groups, size)
    return np.asarray((lower_median(values, weights, groups, size) + upper) / 2)
