"""Bayes filter on a grid: probability of each depth of loss, given all bins so far.

theta is current over ordinary. The lower part of the grid is loss, the upper part ordinary; a
Markov chain in continuous time moves between them, so that the same rates hold for bins of a
second and of an hour. Every function works on all series at once.
"""

import itertools
from datetime import timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.model.thresholds import ORDINARY

Posterior = npt.NDArray[np.float32]
_Reals = TypeVar("_Reals", Posterior, Floats)

_BLOCK = 4096
"""Rows multiplied at once: 15 depths of so many single-precision numbers fit a cache of 256 KB."""

DEPTHS: Floats = np.array(
    [0, 0.03, 0.08, 0.16, 0.28, 0.42, 0.56, 0.70, 0.80, 0.88, 0.95, 1, 1.06, 1.2, 1.6]
)
"""Depths theta, in shares of ordinary."""

IS_ORDINARY: Bools = DEPTHS >= ORDINARY
"""Which depths count as ordinary."""

_ONSET_SECONDS = timedelta(days=28).total_seconds()
"""Mean time between losses of one series: one a month, as in studies of networks' outages."""
_FORECAST_ONSET_SECONDS = timedelta(hours=72).total_seconds()
"""The same within the window of a forecast daily loss; a shorter one dates it too early."""
_RETURN_SECONDS = timedelta(hours=6).total_seconds()
"""Mean time to the return: the median shutdown of the SIGCOMM 2023 set lasts 5.5 hours."""
_DRIFT_SECONDS = timedelta(hours=3).total_seconds()
"""Mean time between changes of depth during a loss: progressive losses are common."""
_SWAY_SECONDS = timedelta(minutes=30).total_seconds()
"""Mean time between moves among the ordinary depths: their noise has no longer memory."""
_START_SPREAD, _START_LOSS = 0.05, 1e-4
"""A new series: standard deviation of theta around 1, and weight of each depth of loss."""
_START_WEIGHTS = np.where(
    IS_ORDINARY, np.exp(-(((DEPTHS - 1) / _START_SPREAD) ** 2) / 2), _START_LOSS
)
NEW_SERIES: Posterior = (_START_WEIGHTS / _START_WEIGHTS.sum()).astype(np.float32)
"""The posterior of a new series: ordinary, shape (G,)."""
_MIN_POSTERIOR = 1e-12
"""Keeps a depth that was ruled out for weeks reachable within one bin."""
_DOUBLINGS = 24
"""Of the matrix exponential: 2^24 steps a bin leave an error below 1e-6."""


def transition_matrix(width: timedelta, *, expected: bool = False) -> Floats:
    """Return the chain's transition probabilities over one bin, rows from, columns to.

    If a loss is `expected`, in the window of a forecast, losses begin nine times as often.
    """
    size = len(DEPTHS)
    rates = np.zeros((size, size))
    loss, ordinary = np.flatnonzero(~IS_ORDINARY), np.flatnonzero(IS_ORDINARY)
    onset = _FORECAST_ONSET_SECONDS if expected else _ONSET_SECONDS
    rates[np.ix_(ordinary, loss)] = 1 / onset / len(loss)
    returned = ordinary[:2]
    rates[np.ix_(loss, returned)] = 1 / _RETURN_SECONDS / len(returned)
    for group, seconds in ((loss, _DRIFT_SECONDS), (ordinary, _SWAY_SECONDS)):
        for left, right in itertools.pairwise(group):
            rates[left, right] += 1 / seconds / 2
            rates[right, left] += 1 / seconds / 2
    np.fill_diagonal(rates, -rates.sum(axis=1))
    # Scaling and squaring: exp(R w) = (1 + R w / 2^k)^(2^k) for k large.
    step = np.eye(size) + rates * width.total_seconds() / 2**_DOUBLINGS
    for _ in range(_DOUBLINGS):
        step = multiply_rows(step, step)
    step = np.maximum(step, 0)
    return np.asarray(step / step.sum(axis=1, keepdims=True))


def multiply_rows(rows: _Reals, matrix: _Reals) -> _Reals:
    """Return the matrix product of `rows`, (n, k), and `matrix`, (k, m).

    BLAS picks its kernel, and so its order of summing, by the number of rows. Here the terms
    are summed from first to last, so that a row's result depends on that row alone, on every
    processor. Blocks of rows stay in the cache.
    """
    product = np.empty((len(rows), matrix.shape[1]), rows.dtype)
    for first in range(0, len(rows), _BLOCK):
        columns = np.ascontiguousarray(rows[first : first + _BLOCK].T)
        total = matrix[0][:, None] * columns[0]
        for column, weights in zip(columns[1:], matrix[1:], strict=True):
            total += weights[:, None] * column
        product[first : first + _BLOCK] = total.T
    return product


class LossChain:
    """How losses begin, change depth and end between two bins: the model of their duration."""

    def __init__(self, width: timedelta) -> None:
        self._matrix = transition_matrix(width).astype(np.float32)
        self._forecast_matrix = transition_matrix(width, expected=True).astype(np.float32)

    def advance(self, posterior: Posterior, forecast: RowArray) -> Posterior:
        """Return the prior of the next bin; in the rows `forecast`, a loss is expected in it."""
        prior = multiply_rows(posterior, self._matrix)
        prior[forecast] = multiply_rows(posterior[forecast], self._forecast_matrix)
        return prior


def apply_evidence(prior: Posterior, log_likelihood: Floats) -> Posterior:
    """Return the posterior of a bin; rows of zeros carry no evidence. Both have shape (n, G)."""
    largest = log_likelihood.max(axis=1, keepdims=True)
    weighed = prior * np.exp((log_likelihood - largest).astype(np.float32))
    weighed = np.maximum(weighed, _MIN_POSTERIOR)
    return np.asarray(weighed / weighed.sum(axis=1, keepdims=True))


def loss_depth(posterior: Posterior) -> Floats:
    """Return the mean depth of each series given that it is below ordinary, shape (n,)."""
    lost, total = np.zeros(len(posterior)), np.zeros(len(posterior))
    for depth in np.flatnonzero(~IS_ORDINARY):
        lost += posterior[:, depth] * DEPTHS[depth]
        total += posterior[:, depth]
    return lost / total


def ordinary_probability(posterior: Posterior) -> Floats:
    """Return the probability that each series is ordinary, shape (n,)."""
    # Single precision may add up to slightly more than 1.
    total = posterior[:, IS_ORDINARY].sum(axis=1, dtype=np.float64)
    return np.asarray(np.minimum(total, 1.0))
