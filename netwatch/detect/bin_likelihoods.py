"""Log likelihoods of one bin for each depth of loss: what the Bayes filter learns from it."""

from datetime import timedelta

import numpy as np

from netwatch.arrays import Bools, Floats
from netwatch.detect.bayes_filter import DEPTHS
from netwatch.detect.confidence_intervals import LOW_COUNT_SPREAD, UNKNOWN_REST, Noise
from netwatch.detect.state import SeriesState

_MIN_TEMPER = 0.12
"""Weight of the evidence of a bin at most correlated with the one before."""
_JUMP_SPREADS = 4.0
"""Expected changes between bins above which a change is a jump, and evidence at full weight:
without it the median delay is 35 min instead of 10 (a prototype on simulated outages)."""
_MIN_JUMP_VARIANCE = 0.15
"""Bound on the variance of a change between bins, in squared spreads."""
_MAX_DEGREES = 4.0
"""Bound on the degrees of freedom of Student's t: single wild bins are common in the field."""
_MAX_COMPOSITE_DEGREES = 8.0
"""The same for the mean of many networks, in which wild bins average out."""
_CONTAMINATION = 0.01
"""Share of answers that are wrong whatever the truth (`l` of Trinocular, SIGCOMM 2013)."""
_MIN_NOISE_DEPTH = 0.05
"""Depth at which noise stops shrinking with theta."""
_MIN_RATE = 0.02
"""Share of ordinary counts that arrive in a full loss: strays, late answers, spoofed sources."""
_REST_DAY_EVIDENCE = timedelta(hours=12)
"""Bins of a first rest day that share one unknown factor and count as one observation."""


def log_likelihood(
    state: SeriesState, ratio: Floats, noise: Noise, *, first_rest: Bools, width: timedelta
) -> Floats:
    """Return the log likelihood of one bin for each depth, shape (n, G).

    Args:
        state: the rows before the bin; it is not changed.
        ratio: current over ordinary, NaN for no data, whose row is zero.
        noise: of `ratio`.
        first_rest: rows that have a rest day for the first time.
        width: of the bin.
    """
    baseline, spread = state.baseline, noise.spread
    evidence = np.zeros((len(ratio), len(DEPTHS)))
    known = np.isfinite(ratio)
    share, plain = known & state.is_share, known & ~state.is_share
    counts = plain & (spread > LOW_COUNT_SPREAD) & ~baseline.composite
    plain &= ~counts
    bound = np.where(baseline.composite, _MAX_COMPOSITE_DEGREES, _MAX_DEGREES)
    degrees = np.minimum(noise.degrees, bound)
    evidence[plain] = ratio_log_likelihood(ratio[plain], spread[plain], degrees[plain])
    evidence[counts] = count_log_likelihood(ratio[counts], 1 / spread[counts] ** 2)
    ordinary = np.exp(baseline.level[share])
    evidence[share] = binomial_log_likelihood(
        ratio[share] * ordinary, noise.trials[share], ordinary
    )
    evidence *= _temper(state, ratio, spread)[:, None]
    first = first_rest & known
    evidence[first] = rest_log_likelihood(ratio[first], width)
    return evidence


def _temper(state: SeriesState, ratio: Floats, spread: Floats) -> Floats:
    """Return the weight of each row's evidence, 0 to 1, shape (n,).

    Neighbouring bins are not independent evidence: they are tempered by
    (1 - rho) / (1 + rho), except in a bin that jumps by more than autocorrelation explains.
    """
    rho = state.baseline.lag1_autocorrelation
    temper = np.maximum((1 - rho) / (1 + rho), _MIN_TEMPER)
    jump = _JUMP_SPREADS * spread * np.sqrt(np.maximum(2 * (1 - rho), _MIN_JUMP_VARIANCE))
    with np.errstate(invalid="ignore"):
        steady = np.abs(ratio - state.ratio) <= jump
    return np.where(steady, temper, 1.0)


def ratio_log_likelihood(ratio: Floats, spread: Floats, degrees: Floats) -> Floats:
    """Return log likelihoods of `ratio` (current over ordinary) for each theta, shape (n, G).

    Student's t with a variance that shrinks with theta as counting noise does; `spread` is
    the standard deviation of the ratio in ordinary times, `degrees` its degrees of freedom.
    """
    variance = spread[:, None] ** 2 * np.maximum(DEPTHS, _MIN_NOISE_DEPTH)
    square = (ratio[:, None] - DEPTHS) ** 2 / variance
    degrees = degrees[:, None]
    return np.asarray(-0.5 * np.log(variance) - (degrees + 1) / 2 * np.log1p(square / degrees))


def binomial_log_likelihood(share: Floats, trials: Floats, ordinary: Floats) -> Floats:
    """Return log likelihoods of a success `share` in `trials` for each theta, shape (n, G).

    `ordinary` is the share in ordinary times. Contamination bounds the weight of one answer.
    """
    chance = np.clip(ordinary[:, None] * DEPTHS, _CONTAMINATION, 1 - _CONTAMINATION)
    share = share[:, None]
    return np.asarray(trials[:, None] * (share * np.log(chance) + (1 - share) * np.log1p(-chance)))


def count_log_likelihood(ratio: Floats, counts: Floats) -> Floats:
    """Return log likelihoods of `ratio` of about `counts` ordinary counts, shape (n, G).

    Poisson with mean `counts * theta`, for `ratio * counts` observed: small counts are skewed,
    and an empty bin is stronger evidence than under a normal distribution of their width.
    """
    rate = np.maximum(DEPTHS, _MIN_RATE)
    return np.asarray(counts[:, None] * (ratio[:, None] * np.log(rate) - rate))


def rest_log_likelihood(ratio: Floats, width: timedelta) -> Floats:
    """Return log likelihoods of `ratio` on the first rest day of a series, shape (n, G).

    Its level that day is ordinary times an unknown factor, lognormal with `UNKNOWN_REST`. All
    bins of half a day share that factor and count as one observation.
    """
    distance = np.log(np.maximum(ratio, _MIN_RATE))[:, None] - np.log(np.maximum(DEPTHS, _MIN_RATE))
    return np.asarray(-((distance / UNKNOWN_REST) ** 2) / 2 * (width / _REST_DAY_EVIDENCE))
