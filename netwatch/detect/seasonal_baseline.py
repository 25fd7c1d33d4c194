"""What is ordinary: a level times a shape of the day and of the week, learned in normal times.

`ordinary(t) = exp(level + day[hour of day] + week[hour of week])`, in UTC. Short histories
know only the level, longer ones the hour of day, and from four weeks on the hour of week;
a shape is used as far as it has been seen, so that one flows into the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Float32, Floats, RowArray, divide
from netwatch.model.baseline import BaselineKind

Shapes = npt.NDArray[np.float32]
Hours = npt.NDArray[np.int_]

DAY, WEEK = 24, 168
_HALF_LIFE_LEVEL = timedelta(days=3)
_HALF_LIFE_SPREAD = timedelta(days=7)
LEAST_SPREAD = 0.02
"""No series is steadier than this: smaller deviations are never surprising."""
_CLIP = 2.0
_LEAST_GAIN = 0.1
_WEEK_PRIOR = 3.0
"""Visits that the hour of week needs before it counts for more than the hour of day."""
_MOSTLY = 0.9
_ROUNDING = 1e-9
_LOW = 0.7
"""Bins of a training span below this share of their own ordinary are left out of it."""


def hour_of_week(time: datetime) -> int:
    """Return the hour of the week in UTC, 0 = Monday 00:00."""
    return time.weekday() * DAY + time.hour


def _decay(width: timedelta, half_life: timedelta) -> float:
    """Return the share that an exponential memory of `half_life` forgets in `width`."""
    return float(1 - 0.5 ** (width / half_life))


@dataclass(slots=True)
class SeasonalBaseline:
    """The ordinary level of many series: one array a quantity, one row a series.

    Attributes:
        level: logarithm of the ordinary value; -inf for a series that is always zero.
        day, week: logarithmic shapes, (n, 24) and (n, 168).
        spread: standard deviation of the ratio to ordinary.
        memory: lag-1 correlation of the ratio, 0 to 1.
        seen: hours of normal data in all.
        composite: whether the series is a ratio already, ordinary being 1 by construction.
    """

    level: Floats = field(default_factory=lambda: np.zeros(0))
    day: Shapes = field(default_factory=lambda: np.zeros((0, DAY), np.float32))
    week: Shapes = field(default_factory=lambda: np.zeros((0, WEEK), np.float32))
    spread: Floats = field(default_factory=lambda: np.zeros(0))
    memory: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    seen: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    composite: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def grow(self, count: int) -> None:
        """Add `count` series that know nothing yet."""
        for name in (entry.name for entry in fields(self)):
            old = getattr(self, name)
            new = np.zeros((count, *old.shape[1:]), dtype=old.dtype)
            setattr(self, name, np.concatenate([old, new]))
        if count:
            self.level[-count:] = -np.inf

    def expect(self, time: datetime) -> Floats:
        """Return the ordinary value of every series at `time`; 0 where nothing is known."""
        hour = hour_of_week(time)
        return np.asarray(np.exp(self.level + self.day[:, hour % DAY] + self.week[:, hour]))

    def expect_rows(self, rows: RowArray, time: datetime, shift: RowArray) -> Floats:
        """Return the ordinary values of `rows`, each `shift` hours of the week after `time`."""
        hours = (hour_of_week(time) + shift) % WEEK
        day = self.day[rows, hours % DAY]
        return np.asarray(np.exp(self.level[rows] + day + self.week[rows, hours]))

    def foresight(self) -> tuple[Floats, Floats]:
        """Return the spread of the next ratio around what is expected, and its degrees of freedom.

        What is known from k days follows a t distribution with k - 1 degrees of freedom and a
        variance larger by 1 / k.
        """
        days = np.maximum(self.seen / DAY, 2.0)
        return self.spread * np.sqrt(1 + 1 / days), days - 1

    def learn(
        self,
        time: datetime,
        width: timedelta,
        ratio: Floats,
        weight: Floats,
        *,
        first: Bools | None = None,
    ) -> None:
        """Learn from one bin: `ratio` to ordinary, `weight` 0 to 1 (0 learns nothing).

        Residuals are clipped at two spreads, so that no single bin moves much. Rows that see
        such an hour of the week for the `first` time take it as it is.
        """
        use = (weight > 0) & np.isfinite(ratio)
        if first is not None and first.any():
            self._take(time, width, ratio, np.where(first & use, weight, 0))
            use &= ~first
        if not use.any():
            return
        weight, raw = weight[use], ratio[use] - 1
        bound = _CLIP * self.spread[use]
        residual = np.clip(raw, -bound, bound)
        self._learn_shapes(time, width, use, weight * residual * ~self.composite[use])
        share = min(1.0, width / timedelta(hours=1)) * weight
        self.seen[use] += share
        variance = self.spread[use] ** 2
        # Clipping at two spreads takes about 12 % of a normal variance; the factor gives it back.
        variance += _decay(width, _HALF_LIFE_SPREAD) * weight * (1.14 * residual**2 - variance)
        self.spread[use] = np.maximum(np.sqrt(variance), LEAST_SPREAD)

    def _take(self, time: datetime, width: timedelta, ratio: Floats, weight: Floats) -> None:
        """Let hours of the week that were never seen be what they are now."""
        use = (weight > 0) & (ratio > 0)
        share = min(1.0, width / timedelta(hours=1)) * weight[use]
        self.seen[use] += share
        self.week[use, hour_of_week(time)] += share * np.log(ratio[use]) * ~self.composite[use]

    def _learn_shapes(self, time: datetime, width: timedelta, use: Bools, residual: Floats) -> None:
        """Move level, hour of day and hour of week towards the residual, each a little."""
        hour, share = hour_of_week(time), min(1.0, width / timedelta(hours=1))
        seen = self.seen[use]
        day_gain = np.maximum(1 / (seen / DAY + 2), _LEAST_GAIN) * share
        week_gain = np.maximum(1 / (seen / WEEK + _WEEK_PRIOR + 1), _LEAST_GAIN) * share
        self.level[use] += _decay(width, _HALF_LIFE_LEVEL) * residual
        self.day[use, hour % DAY] += day_gain * residual
        self.week[use, hour] += week_gain * residual

    def fit(
        self,
        rows: npt.NDArray[np.intp],
        times: Sequence[datetime],
        values: Floats,
        totals: Floats | None = None,
    ) -> Floats:
        """Warm-start `rows` from a training span; arrays of shape (time, series), NaN missing.

        With `totals`, `values` are successes in so many trials. What lies far below the span's
        own ordinary is left out and the rest fitted again, so that an outage in the training
        span is not learned. Returns the ratios to ordinary that remain, NaN where left out.
        """
        hours = np.array([hour_of_week(time) for time in times])
        shares = values if totals is None else divide(values, totals)
        finite = np.isfinite(shares)
        kept = finite
        for _ in range(3):
            if totals is None:
                self._fit_shapes(rows, hours, np.where(kept, shares, np.nan))
            else:
                self._fit_shares(rows, np.where(kept, values, 0), np.where(kept, totals, 0))
            ratio = divide(shares, np.exp(self.level[rows] + self._shape(rows, hours)))
            floor = _LOW - (0 if totals is None else _share_noise(ratio, totals, shares))
            kept = np.isfinite(ratio) & (ratio >= floor)
        if totals is not None:
            # What held for less than half of the span is no ordinary level: the rest is.
            kept = np.where(2 * kept.sum(axis=0) < finite.sum(axis=0), finite & ~kept, kept)
            self._fit_shares(rows, np.where(kept, values, 0), np.where(kept, totals, 0))
            ratio = divide(shares, np.exp(self.level[rows] + self._shape(rows, hours)))
        ratio = np.where(kept, ratio, np.nan)
        self._fit_noise(rows, hours, ratio, robust=totals is None)
        return np.asarray(ratio)

    def _shape(self, rows: RowArray, hours: Hours) -> Floats:
        """Return the logarithmic shape of `rows` at each of `hours`, shape (time, series)."""
        return np.asarray(self.day[rows][:, hours % DAY].T + self.week[rows][:, hours].T)

    def fit_composite(self, row: int, times: Sequence[datetime], ratio: Floats) -> None:
        """Warm-start a series that is a ratio already from its past, shape (time,)."""
        self.composite[row] = True
        self.level[row] = 0.0
        hours = np.array([hour_of_week(time) for time in times])
        kept = np.where(ratio < _LOW, np.nan, ratio)[:, None]
        self._fit_noise(np.array([row]), hours, kept, robust=True)

    def kind(self, row: int) -> BaselineKind:
        """Return the finest shape that a series' ordinary level has."""
        if self.seen[row] >= 4 * _MOSTLY * WEEK:
            return BaselineKind.HOUR_OF_WEEK
        return BaselineKind.HOUR_OF_DAY if self.seen[row] >= 2 * DAY else BaselineKind.LEVEL

    def _fit_shares(self, rows: RowArray, values: Floats, totals: Floats) -> None:
        """Set the level to all successes over all trials; shapes are learned later."""
        with np.errstate(divide="ignore"):
            self.level[rows] = np.log(divide(values.sum(axis=0), totals.sum(axis=0), empty=0))

    def _fit_shapes(self, rows: RowArray, hours: Hours, values: Floats) -> None:
        """Set level and shapes to medians of the slots that were seen often enough."""
        with np.errstate(divide="ignore"):
            logs = np.log(values)
        level = _median(logs)
        self.level[rows] = level
        day, week = np.zeros((len(rows), DAY)), np.zeros((len(rows), WEEK))
        # A zero among values has no logarithm; it is left to the test of what is far below.
        logs = np.where(np.isneginf(logs), np.nan, logs)
        residual = logs - np.where(np.isfinite(level), level, 0)
        if _visits(hours % DAY) >= 2:
            for hour in range(DAY):
                day[:, hour] = _median(residual[hours % DAY == hour])
            day[~np.isfinite(day)] = 0
            day *= _trust(day, residual, hours % DAY)
        if _visits(hours) >= 4:
            residual = residual - day[:, hours % DAY].T
            for hour in range(WEEK):
                week[:, hour] = _median(residual[hours == hour])
            week[~np.isfinite(week)] = 0
            week *= _trust(week, residual, hours)
        self.day[rows], self.week[rows] = day, week

    def _fit_noise(self, rows: RowArray, hours: Hours, ratio: Floats, *, robust: bool) -> None:
        """Set spread, memory and the counts of what was seen."""
        weekly, daily = _visits(hours), _visits(hours % DAY)
        per_hour = max(1.0, float(np.bincount(hours).max()) / weekly)
        finite = np.isfinite(ratio)
        self.seen[rows] = finite.sum(axis=0) / per_hour
        residual = ratio - 1
        count = np.maximum(finite.sum(axis=0), 1)
        if robust:
            visits = max(2.0, weekly if weekly >= 4 else daily)
            # A median of k values follows them: residuals are too small by (k - 1) / k.
            spread = _wide_deviation(residual) * np.sqrt(visits / (visits - 1))
            deviation = np.where(np.isfinite(spread), spread, 1.0)
            deviation = np.maximum(deviation, _steps(ratio))
        else:
            deviation = np.sqrt((np.where(finite, residual, 0) ** 2).sum(axis=0) / count)
        self.spread[rows] = np.maximum(deviation, LEAST_SPREAD)
        self.memory[rows] = lag_correlation(residual)


def _trust(shape: Floats, residual: Floats, slots: Hours) -> Floats:
    """Return how much of each series' `shape` is more than noise, 0 to 1, shape (series, 1).

    Empirical Bayes: the variance of the shape over its slots, less what medians of so many
    visits vary by themselves (James and Stein 1961). A shape read from noise would hide losses.
    """
    used = np.unique(slots)
    visits = max(_visits(slots), 2.0)
    away = np.where(np.isfinite(residual), residual - shape[:, slots].T, np.nan)
    count = np.maximum(np.isfinite(away).sum(axis=0), 1)
    within = np.nansum(away**2, axis=0) / count * visits / (visits - 1)
    per_slot = max(1.0, len(slots) / len(used))
    noise = within * (1.0 if per_slot <= 2 else 1.57) / per_slot
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


def _wide_deviation(residual: Floats) -> Floats:
    """Return the standard deviation of each column that its 90 % quantile stands for.

    Noise differs by the hour: the median deviation of a series that is steady by day would
    say nothing of its nights. One bin in ten may still be anything.
    """
    some = np.isfinite(residual).any(axis=0)
    filled = np.where(some, np.abs(residual), 0.0)
    return np.where(some, np.nanquantile(filled, 0.9, axis=0) / 1.6449, -np.inf)


def _visits(slots: Hours) -> float:
    """Return how often the most visited slot was entered."""
    entered = np.flatnonzero(np.diff(slots, prepend=-1))
    return float(np.bincount(slots[entered]).max())


def _steps(ratio: Floats) -> Floats:
    """Return the usual distance between neighbouring values of each column.

    A series that moves in steps, such as the answers of ten addresses, is never surer than
    one step, even where most of its values are the same.
    """
    found = np.zeros(ratio.shape[1])
    for column, values in enumerate(ratio.T):
        different = np.unique(np.round(values[np.isfinite(values)], 6))
        if len(different) > 1:
            found[column] = np.median(np.diff(different))
    return found


def lag_correlation(residual: Floats) -> Floats:
    """Return the lag-1 correlation of each column, 0 to 0.95."""
    first, second = residual[:-1], residual[1:]
    both = np.isfinite(first) & np.isfinite(second)
    first, second = np.where(both, first, 0), np.where(both, second, 0)
    power = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    product = (first * second).sum(axis=0)
    # Few pairs show a correlation by chance, and a false memory makes the filter deaf.
    pairs = both.sum(axis=0)
    # What is constant leaves residuals of rounding, which all have one sign.
    real = power > _ROUNDING**2 * pairs
    found = np.divide(product, power, where=real, out=power * 0) * pairs / (pairs + 50)
    return np.asarray(np.clip(found, 0, 0.95))
