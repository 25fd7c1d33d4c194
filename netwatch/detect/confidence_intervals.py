"""Noise of the ratios of one interval, and their 95 % intervals."""

from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, Floats
from netwatch.detect.seasonal_baseline import SeasonalBaseline
from netwatch.model.series import UNDECIDED_TRIALS

UNKNOWN_REST = 0.35
"""Standard deviation, in logarithms, of a first rest day from the workdays before it."""
LOW_COUNT_SPREAD = 0.15
"""Spread above which a plain series is evaluated as a Poisson count, about 40 a bin."""
_HOLIDAY_SPREAD = 2.0
"""Factor by which a public holiday widens the spread."""
_MAX_TRIALS = 200.0
"""Independent trials that answers of one network within one bin are worth at most."""
_Z = 1.959964
"""97.5 % quantile of the normal distribution."""
_MIN_NOISE_LEVEL = 0.05
"""Level at which noise stops shrinking."""
_ZERO_COUNT_BOUND = 2.995732
"""-log(.05): no count in so many expected ones has a chance of 5 % (the rule of three)."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of the ratio of each row, in ordinary times.

    Attributes:
        spread: standard deviation.
        degrees: its degrees of freedom.
        trials: independent trials that the answers of a share are worth.
    """

    spread: Floats
    degrees: Floats
    trials: Floats

    @property
    def undecided(self) -> Bools:
        """Rows whose answers are no evidence."""
        return np.asarray(self.trials < 2 * UNDECIDED_TRIALS)


def predict_noise(
    baseline: SeasonalBaseline, totals: Floats, *, holiday: Bools, first_rest: Bools
) -> Noise:
    """Return the noise of the ratios of an interval with so many `totals`.

    It is twice as wide on a `holiday`, and wide for a series without a rest day so far.
    """
    spread, degrees = baseline.predictive_spread()
    spread = np.where(holiday, _HOLIDAY_SPREAD * spread, spread)
    spread = np.where(first_rest, np.hypot(spread, UNKNOWN_REST), spread)
    return Noise(spread, degrees, _independent_trials(baseline, totals, spread))


def undecided_rows(totals: Floats) -> Bools:
    """Return the rows whose bin is no evidence, since it has less than one trial."""
    return np.asarray((totals > 0) & (totals < 1))


def _independent_trials(baseline: SeasonalBaseline, totals: Floats, spread: Floats) -> Floats:
    """Return how many independent trials `totals` are worth, given each series' own `spread`.

    Beta-binomial: n / (1 + (n - 1) r), with r from the spread in ordinary times.
    """
    ordinary = np.clip(np.exp(baseline.level), 0.01, 0.99)
    trials = np.where(undecided_rows(totals), UNDECIDED_TRIALS, np.fmax(totals, 1))
    excess = spread**2 * ordinary / (1 - ordinary) * trials - 1
    least = 1 / _MAX_TRIALS
    correlation = np.clip(excess / np.maximum(trials - 1, 1), least, 1)
    return np.asarray(trials / (1 + (trials - 1) * np.where(trials > 1, correlation, least)))


def ratio_interval(ratio: Floats, spread: Floats, degrees: Floats) -> tuple[Floats, Floats]:
    """Return the interval of a ratio whose noise at ordinary levels is `spread`.

    Noise shrinks with the root of the level, as counting noise does. A spread known from few
    days (`degrees` of freedom) widens the interval as Student's t does; the quantile is the
    expansion of Fisher and Cornish (1960), since the exact one of scipy would change the bytes
    of every recorded level. A zero has no lower side: its upper bound is the
    exact one of Poisson counts whose noise is `spread`, so that 0 of 40 means 0 to 8 %.
    """
    first = (_Z**3 + _Z) / 4
    second = (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96
    quantile = _Z + first / degrees + second / degrees**2
    half = quantile * spread * np.sqrt(np.maximum(ratio, _MIN_NOISE_LEVEL))
    high = np.where(ratio == 0, _ZERO_COUNT_BOUND * spread**2, ratio + half)
    return np.maximum(ratio - half, 0), high


def share_interval(ratio: Floats, trials: Floats, ordinary: Floats) -> tuple[Floats, Floats]:
    """Return the interval of a success share over its `ordinary` value, after Wilson (1927).

    Without a success the upper bound is exact: the share at which that has a chance of 5 %.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip(ratio * ordinary, 0, 1)
        square = _Z**2 / trials
        centre = (share + square / 2) / (1 + square)
        half = _Z / (1 + square) * np.sqrt(share * (1 - share) / trials + square / trials / 4)
        high = np.where(ratio == 0, 1 - np.exp(-_ZERO_COUNT_BOUND / trials), centre + half)
        return np.maximum(centre - half, 0) / ordinary, high / ordinary
