"""Weights of evidence: what counts say for failing, and for one cause against many.

All are natural logarithms of likelihood ratios; 0 says nothing.
"""

import numpy as np

from netwatch.signals.attribution.contingency import Floats, Integers

_SHAPE = 6
"""A thing that is cut fails at a share drawn from Beta(6, 1): 86 % in the mean, mostly all."""
_MOST = 4.0
"""Measurements of one pair in one bin are no independent witnesses: a pair says no more."""
_FLAWLESS = 0.005
_OWNER_SHARE = 0.2


def cell_evidence(trials: Floats, successes: Floats, usual: Floats) -> Floats:
    """Return, pair by pair, log P(counts | cut) / P(counts | healthy), within +-4.

    Healthy is binomial, failing at the share `usual`, strictly between 0 and 1. Cut is
    beta-binomial: with f failures of n, and k successes, B(f + 6, k + 1) / B(6, 1) =
    6 (f + 5)! k! / (n + 6)!; the binomial coefficient is in both.
    """
    failures = trials - successes
    factorials = _log_factorials(trials)
    cut = (
        np.log(_SHAPE)
        + _look_up(factorials, failures + _SHAPE - 1)
        + _look_up(factorials, successes)
        - _look_up(factorials, trials + _SHAPE)
    )
    return _bounded(cut - _log_healthy(failures, successes, usual), trials)


def coin_evidence(trials: Floats, successes: Floats) -> Floats:
    """Return log P(counts | every share is as likely) / P(counts | cut), within +-4.

    The former is B(f + 1, k + 1) = f! k! / (n + 1)!; the ratio f! (n + 6)! / (6 (n + 1)! (f + 5)!).
    """
    failures = trials - successes
    factorials = _log_factorials(trials)
    coin = _look_up(factorials, failures) - _look_up(factorials, trials + 1)
    cut = _look_up(factorials, failures + _SHAPE - 1) - _look_up(factorials, trials + _SHAPE)
    return _bounded(coin - cut - np.log(_SHAPE), trials)


def flawless_evidence(trials: Floats, successes: Floats, usual: Floats) -> Floats:
    """Return log P(counts | one in 200 fails) / P(counts | healthy), within +-4."""
    failures = trials - successes
    flawless = _log_healthy(failures, successes, np.full_like(trials, _FLAWLESS))
    return _bounded(flawless - _log_healthy(failures, successes, usual), trials)


def log_mixture(evidence: Floats, chance: Floats | float) -> Floats:
    """Return log(1 - chance + chance * e^evidence): evidence for what holds by `chance`."""
    share = np.clip(chance, 1e-12, 1 - 1e-12)
    return np.asarray(np.logaddexp(np.log1p(-share), np.log(share) + evidence))


def logistic(odds: Floats) -> Floats:
    """Return the probability of log odds."""
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(odds) / 2)))


def logit(chance: float) -> float:
    """Return the log odds of a probability."""
    return float(np.log(chance) - np.log1p(-chance))


def owner_weights(trust: Floats, owners: Integers) -> Floats:
    """Return `trust`, lowered where one owner would hold more than a fifth of the sum.

    With n < 6 owners the cap is 1 / (n - 1) of the sum; a lone owner has none. What one loses
    the others do not gain.
    """
    _, index = np.unique(owners, return_inverse=True)
    held = np.bincount(index, trust)
    if len(held) < 2:
        return trust
    share = max(_OWNER_SHARE, 1 / (len(held) - 1))
    capped = held.copy()
    # Lowering one lowers the sum that the share is taken of; this settles geometrically.
    for _ in range(60):
        capped = np.minimum(capped, share * capped.sum())
    factors = np.divide(capped, held, out=np.ones_like(held), where=held > 0)
    return np.asarray(trust * factors[index])


def _log_healthy(failures: Floats, successes: Floats, usual: Floats) -> Floats:
    """Return the log likelihood of counts in order, of a pair that is well."""
    return np.asarray(failures * np.log(usual) + successes * np.log1p(-usual))


def _bounded(evidence: Floats, trials: Floats) -> Floats:
    """Return the evidence within bounds, none where nobody asked."""
    return np.where(trials > 0, np.clip(evidence, -_MOST, _MOST), 0.0)


def _log_factorials(trials: Floats) -> Floats:
    """Return log n! for n = 0 up to what the formulas above need."""
    size = int(trials.max(initial=0)) + _SHAPE
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])


def _look_up(table: Floats, counts: Floats) -> Floats:
    """Return the entries of `table` at whole `counts`."""
    return np.asarray(table[np.rint(counts).astype(np.intp)])
