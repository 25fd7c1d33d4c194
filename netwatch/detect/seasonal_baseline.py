"""Ordinary level: a level times a shape of the day and of the week, learned in ordinary times.

`ordinary(t) = exp(level + day[hour of day] + week[hour of week])`, in UTC. Short histories
have only the level, longer ones the hour of day, and from four weeks on the hour of week; a
shape is used as far as it has been seen, so that one passes into the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Float32, Floats, RowArray, divide
from netwatch.detect.row_table import RowTable, array_field
from netwatch.model.baseline_basis import BaselineKind

Hours = npt.NDArray[np.int_]

DAY, WEEK = 24, 168
"""Hours."""
MIN_SPREAD = 0.02
"""Share of ordinary; no series is steadier, and smaller deviations are never significant."""
MIN_TRAINING_LEVEL = 0.7
"""Share of their own ordinary below which bins of a training span are left out as an outage."""
_LEVEL_HALF_LIFE = timedelta(days=3)
"""Follows growth and moves of users, but not a loss of some hours that was not detected."""
_SPREAD_HALF_LIFE = timedelta(days=7)
"""A week holds the noise of every hour of the week."""
_CLIP = 2.0
"""Spreads at which a residual is clipped, so that no single bin moves much."""
_CLIPPED_VARIANCE = 1.14
"""Gives back the 12 % of a normal variance that clipping at two spreads takes."""
_MIN_GAIN = 0.1
"""Gain of a slot however often it was seen: a shape follows the season within ten visits."""
_WEEK_PRIOR = 3.0
"""Visits after which the hour of week counts for more than the hour of day."""
_DAY_PRIOR = 2
"""The same for the hour of day against the level."""
_MIN_DAY_VISITS, _MIN_WEEK_VISITS = 2, 4
"""Visits of a slot that the fit of its shape needs: their median must outvote one outage."""
_MATURE = 0.9
"""Share of four weeks that must have data for an hour-of-week baseline."""
_KINDS = (BaselineKind.LEVEL, BaselineKind.HOUR_OF_DAY, BaselineKind.HOUR_OF_WEEK)
_KIND_HOURS = (_MIN_DAY_VISITS * DAY, _MIN_WEEK_VISITS * _MATURE * WEEK)
"""Hours of ordinary data from which on a baseline has the second and the third kind."""
_ROUNDING = 1e-9
"""Residuals below it are rounding."""
_AUTOCORRELATION_PRIOR = 50
"""Pairs of bins of no correlation: few pairs correlate by chance, and a false autocorrelation
makes the filter ignore evidence."""
_MAX_AUTOCORRELATION = 0.95
_NORMAL_Q95 = 1.6449
"""95 % quantile of the normal distribution: 90 % of deviations are smaller."""
_MEDIAN_VARIANCE = 1.57
"""Variance of a median over that of a mean (pi / 2)."""


def hour_of_week(time: datetime) -> int:
    """Return the hour of the week in UTC, 0 = Monday 00:00."""
    return time.weekday() * DAY + time.hour


def _decay(width: timedelta, half_life: timedelta) -> float:
    """Return the share that exponential smoothing with `half_life` replaces in `width`."""
    return float(1 - 0.5 ** (width / half_life))


@dataclass(slots=True)
class SeasonalBaseline(RowTable):
    """The ordinary level of many series: one array a quantity, one row a series.

    Attributes:
        level: logarithm of the ordinary value; -inf for a series that is new or always zero.
        day, week: logarithmic shapes, (n, 24) and (n, 168).
        spread: standard deviation of the ratio to ordinary.
        lag1_autocorrelation: of the ratio, 0 to 1.
        hours_seen: hours of ordinary data in all.
        composite: whether the series is a ratio already, with ordinary 1 by construction.
    """

    level: Floats = array_field(np.float64, new_row=-np.inf)
    day: Float32 = array_field(np.float32, DAY)
    week: Float32 = array_field(np.float32, WEEK)
    spread: Floats = array_field(np.float64)
    lag1_autocorrelation: Float32 = array_field(np.float32)
    hours_seen: Float32 = array_field(np.float32)
    composite: Bools = array_field(np.bool_)

    def expect(self, time: datetime) -> Floats:
        """Return the ordinary value of every series at `time`; 0 where it is unknown."""
        hour = hour_of_week(time)
        return np.asarray(np.exp(self.level + self.day[:, hour % DAY] + self.week[:, hour]))

    def expect_rows(self, rows: RowArray, time: datetime, shift: RowArray) -> Floats:
        """Return the ordinary values of `rows`, each `shift` hours of the week after `time`."""
        hours = (hour_of_week(time) + shift) % WEEK
        day = self.day[rows, hours % DAY]
        return np.asarray(np.exp(self.level[rows] + day + self.week[rows, hours]))

    def predictive_spread(self) -> tuple[Floats, Floats]:
        """Return the spread of the next ratio around ordinary, and its degrees of freedom.

        After k days it follows a t distribution with k - 1 degrees of freedom and a variance
        larger by 1 / k.
        """
        days = np.maximum(self.hours_seen / DAY, 2.0)
        return self.spread * np.sqrt(1 + 1 / days), days - 1

    def learn(
        self, time: datetime, width: timedelta, ratio: Floats, weight: Floats, *, first: Bools
    ) -> None:
        """Learn from one bin: `ratio` to ordinary, `weight` 0 to 1 (0 learns nothing).

        Rows that see such an hour of the week for the `first` time take it as it is.
        """
        use = (weight > 0) & np.isfinite(ratio)
        if first.any():
            self._set_first_hour(time, width, ratio, np.where(first & use, weight, 0))
            use &= ~first
        if not use.any():
            return
        weight, raw = weight[use], ratio[use] - 1
        bound = _CLIP * self.spread[use]
        residual = np.clip(raw, -bound, bound)
        self._learn_shapes(time, width, use, weight * residual * ~self.composite[use])
        self.hours_seen[use] += min(1.0, width / timedelta(hours=1)) * weight
        variance = self.spread[use] ** 2
        change = _CLIPPED_VARIANCE * residual**2 - variance
        variance += _decay(width, _SPREAD_HALF_LIFE) * weight * change
        self.spread[use] = np.maximum(np.sqrt(variance), MIN_SPREAD)

    def _set_first_hour(
        self, time: datetime, width: timedelta, ratio: Floats, weight: Floats
    ) -> None:
        use = (weight > 0) & (ratio > 0)
        share = min(1.0, width / timedelta(hours=1)) * weight[use]
        self.hours_seen[use] += share
        self.week[use, hour_of_week(time)] += share * np.log(ratio[use]) * ~self.composite[use]

    def _learn_shapes(self, time: datetime, width: timedelta, use: Bools, residual: Floats) -> None:
        hour, share = hour_of_week(time), min(1.0, width / timedelta(hours=1))
        seen = self.hours_seen[use]
        day_gain = np.maximum(1 / (seen / DAY + _DAY_PRIOR), _MIN_GAIN) * share
        week_gain = np.maximum(1 / (seen / WEEK + _WEEK_PRIOR + 1), _MIN_GAIN) * share
        self.level[use] += _decay(width, _LEVEL_HALF_LIFE) * residual
        self.day[use, hour % DAY] += day_gain * residual
        self.week[use, hour] += week_gain * residual

    def fit(
        self,
        rows: RowArray,
        times: Sequence[datetime],
        values: Floats,
        totals: Floats | None = None,
    ) -> None:
        """Fit `rows` to a training span; arrays of shape (time, series), NaN for no data.

        With `totals`, `values` are successes in so many trials. Bins far below the span's own
        ordinary are left out and the others fitted again, so that an outage in the training
        span is not learned.
        """
        hours = np.array([hour_of_week(time) for time in times])
        shares = values if totals is None else divide(values, totals)
        finite = np.isfinite(shares)
        used = finite
        for _ in range(3):
            if totals is None:
                self._fit_shapes(rows, hours, np.where(used, shares, np.nan))
            else:
                self._fit_shares(rows, np.where(used, values, 0), np.where(used, totals, 0))
            ratio = divide(shares, np.exp(self.level[rows] + self._shape(rows, hours)))
            noise = 0 if totals is None else _share_noise(ratio, totals, shares)
            used = np.isfinite(ratio) & (ratio >= MIN_TRAINING_LEVEL - noise)
        if totals is not None:
            # A level that held for less than half of the span is not ordinary: the rest is.
            used = np.where(2 * used.sum(axis=0) < finite.sum(axis=0), finite & ~used, used)
            self._fit_shares(rows, np.where(used, values, 0), np.where(used, totals, 0))
            ratio = divide(shares, np.exp(self.level[rows] + self._shape(rows, hours)))
        self._fit_noise(rows, hours, np.where(used, ratio, np.nan), robust=totals is None)

    def _shape(self, rows: RowArray, hours: Hours) -> Floats:
        return np.asarray(self.day[rows][:, hours % DAY].T + self.week[rows][:, hours].T)

    def fit_composite(self, row: int, times: Sequence[datetime], ratio: Floats) -> None:
        """Fit a series that is a ratio already to its past, shape (time,)."""
        self.composite[row] = True
        self.level[row] = 0.0
        hours = np.array([hour_of_week(time) for time in times])
        used = np.where(ratio < MIN_TRAINING_LEVEL, np.nan, ratio)[:, None]
        self._fit_noise(np.array([row]), hours, used, robust=True)

    def kinds(self, rows: Sequence[int]) -> list[BaselineKind]:
        """Return the finest shape that the ordinary level of each of `rows` has."""
        shapes = np.digitize(self.hours_seen[rows], _KIND_HOURS)
        return [_KINDS[shape] for shape in shapes.tolist()]

    def _fit_shares(self, rows: RowArray, values: Floats, totals: Floats) -> None:
        """Set the level to all successes over all trials; shapes are learned later."""
        with np.errstate(divide="ignore"):
            self.level[rows] = np.log(divide(values.sum(axis=0), totals.sum(axis=0), empty=0))

    def _fit_shapes(self, rows: RowArray, hours: Hours, values: Floats) -> None:
        with np.errstate(divide="ignore"):
            logs = np.log(values)
        level = _median(logs)
        self.level[rows] = level
        # A zero has no logarithm; `fit` leaves it out as far below ordinary.
        logs = np.where(np.isneginf(logs), np.nan, logs)
        residual = logs - np.where(np.isfinite(level), level, 0)
        day, week = np.zeros((len(rows), DAY)), np.zeros((len(rows), WEEK))
        if _visits(hours % DAY) >= _MIN_DAY_VISITS:
            day = _median_shape(residual, hours % DAY, size=DAY)
        if _visits(hours) >= _MIN_WEEK_VISITS:
            week = _median_shape(residual - day[:, hours % DAY].T, hours, size=WEEK)
        self.day[rows], self.week[rows] = day, week

    def _fit_noise(self, rows: RowArray, hours: Hours, ratio: Floats, *, robust: bool) -> None:
        weekly, daily = _visits(hours), _visits(hours % DAY)
        per_hour = max(1.0, float(np.bincount(hours).max()) / weekly)
        finite = np.isfinite(ratio)
        self.hours_seen[rows] = finite.sum(axis=0) / per_hour
        residual = ratio - 1
        count = np.maximum(finite.sum(axis=0), 1)
        if robust:
            visits = max(2.0, weekly if weekly >= _MIN_WEEK_VISITS else daily)
            # A median of k values follows them: residuals are too small by (k - 1) / k.
            spread = _quantile_deviation(residual) * np.sqrt(visits / (visits - 1))
            deviation = np.where(np.isfinite(spread), spread, 1.0)
            deviation = np.maximum(deviation, _step_size(ratio))
        else:
            deviation = np.sqrt((np.where(finite, residual, 0) ** 2).sum(axis=0) / count)
        self.spread[rows] = np.maximum(deviation, MIN_SPREAD)
        self.lag1_autocorrelation[rows] = lag1_autocorrelation(residual)


def _median_shape(residual: Floats, slots: Hours, *, size: int) -> Floats:
    """Return the median of each slot, shrunk as far as it is noise, shape (series, size)."""
    shape = np.zeros((residual.shape[1], size))
    for slot in range(size):
        shape[:, slot] = _median(residual[slots == slot])
    shape[~np.isfinite(shape)] = 0
    return shape * _shrinkage(shape, residual, slots)


def _shrinkage(shape: Floats, residual: Floats, slots: Hours) -> Floats:
    """Return how much of each series' `shape` is more than noise, 0 to 1, shape (series, 1).

    Empirical Bayes: the variance of the shape over its slots, less that of medians of so many
    visits (James and Stein 1961). A shape fitted to noise would hide losses.
    """
    used = np.unique(slots)
    visits = max(_visits(slots), 2.0)
    deviation = np.where(np.isfinite(residual), residual - shape[:, slots].T, np.nan)
    count = np.maximum(np.isfinite(deviation).sum(axis=0), 1)
    within = np.nansum(deviation**2, axis=0) / count * visits / (visits - 1)
    per_slot = max(1.0, len(slots) / len(used))
    noise = within * (1.0 if per_slot <= 2 else _MEDIAN_VARIANCE) / per_slot
    spread = shape[:, used].var(axis=1)
    return np.asarray(np.clip(1 - divide(noise, spread, empty=1.0), 0, 1))[:, None]


def _share_noise(ratio: Floats, totals: Floats, shares: Floats) -> Floats:
    """Return three standard deviations of the ratio that a binomial share would have."""
    ordinary = np.clip(divide(shares, ratio, empty=1.0), 0.01, 1.0)
    chance = np.maximum(1 - ordinary, 0.01)
    return np.asarray(3 * np.sqrt(chance / ordinary / np.maximum(totals, 1)))


def _median(values: Floats) -> Floats:
    """Return the median over axis 0 without NaN; columns without a value give -inf."""
    some = ~np.isnan(values).all(axis=0)
    filled = np.where(some, values, 0.0)
    return np.where(some, np.nanmedian(filled, axis=0), -np.inf)


def _quantile_deviation(residual: Floats) -> Floats:
    """Return the standard deviation of each column that its 90 % quantile implies.

    Noise differs by the hour: the median deviation of a series that is steady by day would
    ignore its nights. One bin in ten may still be anything.
    """
    some = np.isfinite(residual).any(axis=0)
    filled = np.where(some, np.abs(residual), 0.0)
    return np.where(some, np.nanquantile(filled, 0.9, axis=0) / _NORMAL_Q95, -np.inf)


def _visits(slots: Hours) -> float:
    entered = np.flatnonzero(np.diff(slots, prepend=-1))
    return float(np.bincount(slots[entered]).max())


def _step_size(ratio: Floats) -> Floats:
    """Return the usual distance between neighbouring values of each column.

    A series that moves in steps, such as the answers of ten addresses, is never more precise
    than one step, even if most of its values are the same.
    """
    steps = np.zeros(ratio.shape[1])
    for column, values in enumerate(ratio.T):
        different = np.unique(np.round(values[np.isfinite(values)], 6))
        if len(different) > 1:
            steps[column] = np.median(np.diff(different))
    return steps


def lag1_autocorrelation(residual: Floats) -> Floats:
    """Return the lag-1 autocorrelation of each column, 0 to 0.95."""
    first, second = residual[:-1], residual[1:]
    both = np.isfinite(first) & np.isfinite(second)
    first, second = np.where(both, first, 0), np.where(both, second, 0)
    power = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    product = (first * second).sum(axis=0)
    pairs = both.sum(axis=0)
    # Residuals of a constant series are rounding, all of one sign.
    real = power > _ROUNDING**2 * pairs
    found = np.divide(product, power, where=real, out=power * 0)
    shrunk = found * pairs / (pairs + _AUTOCORRELATION_PRIOR)
    return np.asarray(np.clip(shrunk, 0, _MAX_AUTOCORRELATION))
