"""A Bayes filter on a grid: how probable is each depth of loss, given all bins so far?

theta is current over ordinary. The grid's left part is loss, its right part is ordinary; a
Markov chain in continuous time moves between them, so that the same rates hold for bins of
a second and of an hour. Every function works on all series at once.
"""

import itertools
from datetime import timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats
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
"""Which grid points count as ordinary."""

_ONSET = timedelta(days=28) / timedelta(seconds=1)
"""Mean seconds between losses of one series: one a month, as in `detection` studies of networks."""
_EXPECTED = timedelta(hours=72) / timedelta(seconds=1)
"""The same within the window of a daily loss that was forecast; a shorter one dates it too soon."""
_RETURN = timedelta(hours=6) / timedelta(seconds=1)
"""Mean seconds to the return: the median shutdown of the SIGCOMM 2023 set lasts 5.5 hours."""
_DRIFT = timedelta(hours=3) / timedelta(seconds=1)
"""Mean seconds between changes of depth during a loss: progressive ones are ordinary paths."""
_SWAY = timedelta(minutes=30) / timedelta(seconds=1)
"""Mean seconds between moves among the ordinary points."""
_CONTAMINATION = 0.01
"""Share of answers that are wrong whatever the truth (`l` of Trinocular, SIGCOMM 2013)."""
_LEAST_DEPTH = 0.05
"""Noise shrinks with theta, but not below what it has at this depth."""
_LEAST_RATE = 0.02
"""What still arrives of a count when all is cut: strays, late answers, spoofed sources."""


_SHARED = timedelta(hours=12)
UNKNOWN_REST = 0.35
"""Standard deviation, in logarithms, of a first day of rest from the days of work before it."""


def transition_matrix(width: timedelta, *, expected: bool = False) -> Floats:
    """Return the chain's transition probabilities over one bin, rows from, columns to.

    Where a loss is `expected`, in the window of a daily series, losses begin nine times as often.
    """
    size = len(DEPTHS)
    rates = np.zeros((size, size))
    loss, usual = np.flatnonzero(~IS_ORDINARY), np.flatnonzero(IS_ORDINARY)
    rates[np.ix_(usual, loss)] = 1 / (_EXPECTED if expected else _ONSET) / len(loss)
    home = usual[:2]
    rates[np.ix_(loss, home)] = 1 / _RETURN / len(home)
    for group, seconds in ((loss, _DRIFT), (usual, _SWAY)):
        for left, right in itertools.pairwise(group):
            rates[left, right] += 1 / seconds / 2
            rates[right, left] += 1 / seconds / 2
    np.fill_diagonal(rates, -rates.sum(axis=1))
    # Scaling and squaring: exp(R w) = (1 + R w / 2^k)^(2^k) for k large.
    doublings = 24
    step = np.eye(size) + rates * (width / timedelta(seconds=1)) / 2**doublings
    for _ in range(doublings):
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


def start_posterior(count: int) -> Posterior:
    """Return the belief of `count` series of which nothing is known: ordinary, shape (count, G)."""
    weights = np.where(IS_ORDINARY, np.exp(-(((DEPTHS - 1) / 0.05) ** 2) / 2), 1e-4)
    return np.tile((weights / weights.sum()).astype(np.float32), (count, 1))


def ratio_log_likelihood(ratio: Floats, spread: Floats, degrees: Floats) -> Floats:
    """Return log likelihoods of `ratio` (current over ordinary) for each theta, shape (n, G).

    Student's t with a variance that shrinks with theta as counting noise does; `spread` is
    the standard deviation of the ratio in ordinary times, `degrees` its degrees of freedom.
    """
    variance = spread[:, None] ** 2 * np.maximum(DEPTHS, _LEAST_DEPTH)
    square = (ratio[:, None] - DEPTHS) ** 2 / variance
    degrees = degrees[:, None]
    return np.asarray(-0.5 * np.log(variance) - (degrees + 1) / 2 * np.log1p(square / degrees))


def binomial_log_likelihood(share: Floats, trials: Floats, ordinary: Floats) -> Floats:
    """Return log likelihoods of a success `share` in `trials` for each theta, shape (n, G).

    `ordinary` is the share in ordinary times. Contamination bounds what one answer can say.
    """
    chance = np.clip(ordinary[:, None] * DEPTHS, _CONTAMINATION, 1 - _CONTAMINATION)
    share = share[:, None]
    return np.asarray(trials[:, None] * (share * np.log(chance) + (1 - share) * np.log1p(-chance)))


def count_log_likelihood(ratio: Floats, counts: Floats) -> Floats:
    """Return log likelihoods of `ratio` where it stands for about `counts`, shape (n, G).

    Poisson with mean `counts * theta`, for `ratio * counts` seen: small counts are skewed, and
    a bin without any says more than a bell curve of their width would.
    """
    rate = np.maximum(DEPTHS, _LEAST_RATE)
    return np.asarray(counts[:, None] * (ratio[:, None] * np.log(rate) - rate))


def rest_log_likelihood(ratio: Floats, width: timedelta) -> Floats:
    """Return log likelihoods of `ratio` on the first day of rest that a series sees, (n, G).

    Nobody knows yet how it rests: its level that day is ordinary times a factor, lognormal with
    `UNKNOWN_REST`. All bins of half a day share that factor, and together are evidence but once.
    """
    away = np.log(np.maximum(ratio, _LEAST_RATE))[:, None] - np.log(np.maximum(DEPTHS, _LEAST_RATE))
    return np.asarray(-((away / UNKNOWN_REST) ** 2) / 2 * (width / _SHARED))


def update_posterior(belief: Posterior, matrix: Floats, evidence: Floats) -> Posterior:
    """Let one bin pass and weigh its evidence (zero rows where there is none)."""
    moved = multiply_rows(belief, matrix.astype(np.float32))
    moved *= np.exp((evidence - evidence.max(axis=1, keepdims=True)).astype(np.float32))
    # A floor keeps a depth that was ruled out for weeks reachable within one bin.
    moved = np.maximum(moved, 1e-12)
    return np.asarray(moved / moved.sum(axis=1, keepdims=True))


def loss_depth(belief: Posterior) -> Floats:
    """Return what is left of each series if it is below ordinary, in the mean, shape (n,)."""
    depths = np.flatnonzero(~IS_ORDINARY)
    lost, total = np.zeros(len(belief)), np.zeros(len(belief))
    for depth in depths:
        lost += belief[:, depth] * DEPTHS[depth]
        total += belief[:, depth]
    return lost / total


def normal_probability(belief: Posterior) -> Floats:
    """Return the probability that each series is ordinary, shape (n,)."""
    # Beliefs in single precision may add up to a hair more than 1.
    return np.asarray(np.minimum(belief[:, IS_ORDINARY].sum(axis=1, dtype=np.float64), 1.0))
