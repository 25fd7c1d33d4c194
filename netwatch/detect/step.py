"""One interval of the detector: arrays in, arrays out, one row a series."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.adaptive_binning import AdaptiveBin, update_bin
from netwatch.detect.aggregation import AggregateLevels, Composites, aggregate, make_composites
from netwatch.detect.bayes_filter import (
    IS_ORDINARY,
    UNKNOWN_REST,
    binomial_log_likelihood,
    count_log_likelihood,
    loss_depth,
    ordinary_probability,
    ratio_log_likelihood,
    rest_log_likelihood,
    transition_matrix,
    update_posterior,
)
from netwatch.detect.common_mode import (
    Groups,
    common_site_outage,
    country_shifts,
    rows_at_fault,
)
from netwatch.detect.confidence_intervals import independent_trials, ratio_interval, share_interval
from netwatch.detect.fusion import Fused, Fusion
from netwatch.detect.holidays_calendar import DayTypes, HolidayCalendar
from netwatch.detect.level_shift import accept_level_shifts, track_level_shifts
from netwatch.detect.row_index import EMPTY, RowIndex
from netwatch.detect.seasonal_baseline import DAY
from netwatch.detect.state import SeriesState
from netwatch.detect.warm_start import keep_training_bin, usable_rows, warm_start
from netwatch.model.thresholds import EVEN_PROBABILITY, MIN_COVERAGE

_MIN_TEMPER = 0.12
"""Weight of the evidence of a bin at most correlated with the one before."""
_JUMP_SPREADS = 4.0
"""Expected changes between bins above which a change is a jump, and evidence at full weight:
without it the median delay is 35 min instead of 10 (a prototype on simulated outages)."""
_MIN_JUMP_VARIANCE = 0.15
"""Bound on the variance of a change between bins, in squared spreads."""
_MAX_RATIO = 100.0
"""Bound on current over ordinary: rows near zero in ordinary times would overflow."""
_LOW_COUNT_SPREAD = 0.15
"""Spread above which a plain series is evaluated as a Poisson count, about 40 a bin."""
_MAX_DEGREES = 4.0
"""Bound on the degrees of freedom of Student's t: single wild bins are common in the field."""
_MAX_COMPOSITE_DEGREES = 8.0
"""The same for the mean of many networks, in which wild bins average out."""
_WEEKEND_HOURS = 2.0 * DAY
"""Rest hours after which a series' first weekend is over."""
_HOLIDAY_SPREAD = 2.0
"""Factor by which a public holiday widens the spread."""
_LEARNING_POWER = 4
"""A bin is learned in proportion to P(ordinary) to this power, so that doubt learns little."""
_INTERVAL_Z = 1.96
"""97.5 % quantile of the normal distribution."""

_NO_ROWS: RowArray = np.zeros(0, np.intp)
_NO_LIKELIHOODS: tuple[RowArray, Floats] = _NO_ROWS, np.zeros(0)


@dataclass(frozen=True, slots=True)
class Residuals:
    """One interval compared with ordinary, before the posterior is updated.

    Attributes:
        time, values, totals: as given.
        ready: rows with an ordinary level; usable: those that are not dead.
        ordinary: ordinary values; ratio: current over ordinary, NaN for no data.
        day_types: kind of day in each country.
        adaptive_bin: wide bins of low-count series, None without any.
        normal: rows that were ordinary before.
        shifts: shift of each signal from ordinary in each country, (signals, countries).
    """

    time: datetime
    values: Floats
    totals: Floats
    ready: Bools
    usable: Bools
    ordinary: Floats
    ratio: Floats
    day_types: DayTypes
    adaptive_bin: AdaptiveBin | None
    normal: Bools
    shifts: Floats


@dataclass(frozen=True, slots=True)
class StepResult:
    """Result of one interval, a value a row.

    Attributes:
        ready: rows with an ordinary level; usable: those that are not dead.
        ratio: current over ordinary, NaN for no data.
        low, high: 95 % interval of `ratio`.
        probability: that the series is below ordinary.
        coverage, networks: of composites; 1 and 1 for a network.
        fused: fusion of the signals of each entity, a value an entity.
    """

    ready: Bools
    usable: Bools
    ratio: Floats
    low: Floats
    high: Floats
    probability: Floats
    coverage: Floats
    networks: RowArray
    fused: Fused


@dataclass(frozen=True, slots=True)
class _Noise:
    spread: Floats
    degrees: Floats
    trials: Floats


class StepEngine:
    """Predict and update step of the filter, on the rows of a `SeriesState`."""

    def __init__(
        self,
        state: SeriesState,
        *,
        width: timedelta,
        min_history: timedelta,
        calendar: HolidayCalendar,
        faulty_signals: Callable[[Floats], Bools],
    ) -> None:
        """Work on `state`, whose rows may grow between intervals (then call `set_layout`).

        `faulty_signals` takes `Residuals.shifts` and returns the signals at fault.
        """
        self.state = state
        self._calendar = calendar
        self._width = width
        self._min_history = min_history
        self._matrix = transition_matrix(width)
        self._forecast_matrix = transition_matrix(width, expected=True)
        self._expected = _NO_ROWS
        self._log_likelihoods = _NO_LIKELIHOODS
        self._faulty_signals = faulty_signals
        self._composites = make_composites([])
        self._groups = Groups(_NO_ROWS, _NO_ROWS, np.zeros(0, dtype=bool))
        self._index = EMPTY
        self._fusion = Fusion(_NO_ROWS, [])

    def set_layout(
        self, composites: Composites, groups: Groups, fusion: Fusion, index: RowIndex
    ) -> None:
        """Set which rows are weighted means of others, and what they are about."""
        self._composites, self._groups = composites, groups
        self._fusion, self._index = fusion, index

    def expect_losses(self, rows: RowArray) -> None:
        """Set the rows in which a loss is forecast in the next interval."""
        self._expected = rows

    def add_log_likelihoods(self, rows: RowArray, ratios: Floats) -> None:
        """Add external log likelihood ratios of a loss in `rows` to the next interval."""
        self._log_likelihoods = rows, ratios

    def step(self, time: datetime, values: Floats, totals: Floats, frozen: Bools) -> StepResult:
        """Evaluate the interval that starts at `time`; rows `frozen` learn nothing."""
        residuals = self._predict(time, values, totals)
        return self._update(residuals, self._faulty_signals(residuals.shifts), frozen)

    def _predict(self, time: datetime, values: Floats, totals: Floats) -> Residuals:
        """Compare the interval that starts at `time` with ordinary; changes nothing."""
        state = self.state
        usable = usable_rows(state)
        shares = np.where(state.is_share, divide(values, totals), values)
        day_types = self._calendar.day_types(time, self._index.countries)
        ordinary = self._ordinary(time, day_types, shares)
        ratio = np.minimum(divide(shares, ordinary), _MAX_RATIO)
        adaptive_bin = update_bin(state, time, values, ordinary)
        if adaptive_bin is not None:
            wide = adaptive_bin.ratio(ordinary, state.bin_factor)
            ratio = np.where(adaptive_bin.wide, wide, ratio)
        ratio[~usable] = np.nan
        normal = ordinary_probability(state.posterior) > EVEN_PROBABILITY
        return Residuals(
            time=time,
            values=values,
            totals=totals,
            ready=state.ready.copy(),
            usable=usable,
            ordinary=ordinary,
            ratio=ratio,
            day_types=day_types,
            adaptive_bin=adaptive_bin,
            normal=normal,
            shifts=country_shifts(self._groups, ratio, normal),
        )

    def _update(self, residuals: Residuals, faulty: Bools, frozen: Bools) -> StepResult:
        """Update the posterior with `residuals`, and learn where not `frozen`.

        `faulty` are the signals at fault by country, (signals, countries).
        """
        state, composites = self.state, self._composites
        ratio = residuals.ratio.copy()
        fault = rows_at_fault(self._groups, faulty)
        ratio[fault] = np.nan
        ratio[common_site_outage(self._groups, ratio, residuals.normal)] = np.nan
        noise = self._noise(residuals)
        # Within a wide bin, the level of the last one holds.
        lasting = self._advance_wide_bins(residuals.adaptive_bin, ratio, fault)
        low, high = self._intervals(lasting, noise)
        aggregates = self._aggregate(lasting, low, high, residuals.usable)
        ratio[composites.rows] = lasting[composites.rows]
        log_likelihood = self._log_likelihood(residuals, ratio, noise)
        self._update_posterior(ratio, log_likelihood)
        self._learn(residuals, ratio, frozen)
        self._count_rest_hours(residuals)
        self._follow_level_shifts(residuals, ratio)
        if not state.ready.all():
            keep_training_bin(state, residuals.time, residuals.values, residuals.totals)
            warm_start(
                state,
                residuals.time,
                min_history=self._min_history,
                composites=composites,
                index=self._index,
            )
        coverage, networks = np.ones(len(ratio)), np.ones(len(ratio), np.intp)
        coverage[composites.rows] = aggregates.coverage
        networks[composites.rows] = aggregates.count
        probability = 1 - ordinary_probability(state.posterior)
        fused = self._fusion.fuse(
            lasting,
            probability,
            depth=loss_depth(state.posterior),
            observations=self._ordinary_answers(residuals.totals),
        )
        return StepResult(
            ready=residuals.ready,
            usable=residuals.usable,
            ratio=ratio,
            low=low,
            high=high,
            probability=probability,
            coverage=coverage,
            networks=networks,
            fused=fused,
        )

    def _ordinary(self, time: datetime, day_types: DayTypes, shares: Floats) -> Floats:
        """Return the ordinary values, on holidays the nearer of workday and rest day."""
        baseline, country = self.state.baseline, self._index.country
        ordinary = baseline.expect(time)
        plain = ~self.state.is_share & ~baseline.composite
        rows = np.flatnonzero(self._on_holiday(day_types) & plain)
        if not len(rows):
            return ordinary
        resting = baseline.expect_rows(rows, time, day_types.shift[country[rows]])
        working = ordinary[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            nearer = np.abs(np.log(shares[rows] / resting)) < np.abs(np.log(shares[rows] / working))
        ordinary[rows] = np.where(nearer, resting, working)
        return ordinary

    def _noise(self, residuals: Residuals) -> _Noise:
        """Return the noise of every ratio.

        It is twice as wide on a holiday, and wide for a series without a rest day so far.
        """
        baseline = self.state.baseline
        spread, degrees = baseline.predictive_spread()
        spread = np.where(self._on_holiday(residuals.day_types), _HOLIDAY_SPREAD * spread, spread)
        spread = np.where(self._first_rest(residuals), np.hypot(spread, UNKNOWN_REST), spread)
        return _Noise(spread, degrees, independent_trials(baseline, residuals.totals, spread))

    def _on_holiday(self, day_types: DayTypes) -> Bools:
        """Return the human-driven rows of countries that have a holiday.

        Replies of networks do not change on holidays: with a wider spread, nights of the
        Burmese new year were not detected in the replies from Bago.
        """
        return np.asarray(self._index.human_driven & day_types.holiday[self._index.country])

    def _first_rest(self, residuals: Residuals) -> Bools:
        """Return the human-driven counts that have a rest day for the first time.

        Networks answer and are announced on any day: an outage that active probing sees on a
        first weekend is detected as fast as any other.
        """
        state, index = self.state, self._index
        first = index.human_driven & residuals.day_types.rest[index.country]
        first &= state.rest_hours < _WEEKEND_HOURS
        if not first.any():
            return first
        answers = np.bincount(index.signal, state.is_share) > 0
        return np.asarray(first & ~answers[index.signal])

    def _count_rest_hours(self, residuals: Residuals) -> None:
        composites, present = self._composites, np.isfinite(residuals.values)
        parts = present[composites.networks]
        present[composites.rows] = np.bincount(composites.groups, parts, len(composites.rows)) > 0
        present &= residuals.day_types.rest[self._index.country]
        self.state.rest_hours += np.float32(self.state.width / 3600) * present

    def _advance_wide_bins(
        self, adaptive_bin: AdaptiveBin | None, ratio: Floats, fault: Bools
    ) -> Floats:
        """Add the bin to the wide bins; return `ratio`, within a wide bin that of the last one."""
        state = self.state
        if adaptive_bin is None:
            return ratio.copy()
        complete, trusted = adaptive_bin.complete, adaptive_bin.wide & ~fault
        observed = np.where(trusted, adaptive_bin.observed, state.observed)
        expected = np.where(trusted, adaptive_bin.expected, state.expected)
        state.observed, state.expected = observed.astype(np.float32), expected.astype(np.float32)
        state.observed[complete], state.expected[complete] = 0, 0
        state.ratio[complete & np.isnan(ratio)] = np.nan
        return np.where(adaptive_bin.wide & ~complete, state.ratio, ratio)

    def _ordinary_answers(self, totals: Floats) -> Floats:
        """Return the answers of each series of shares in ordinary times, else infinity."""
        state, composites = self.state, self._composites
        answers = np.nan_to_num(totals) * np.exp(state.baseline.level)
        answers = np.where(state.is_share, answers, np.inf)
        parts = answers[composites.networks]
        answers[composites.rows] = np.bincount(composites.groups, parts, len(composites.rows))
        return answers

    def _intervals(self, ratio: Floats, noise: _Noise) -> tuple[Floats, Floats]:
        share = self.state.is_share
        low, high = ratio_interval(ratio, noise.spread, noise.degrees)
        if share.any():
            ordinary = np.exp(self.state.baseline.level)
            below, above = share_interval(ratio, noise.trials, ordinary)
            low, high = np.where(share, below, low), np.where(share, above, high)
        return low, high

    def _aggregate(
        self, ratio: Floats, low: Floats, high: Floats, usable: Bools
    ) -> AggregateLevels:
        rows = self._composites.rows
        variance = ((high - low) / (2 * _INTERVAL_Z)) ** 2
        found = aggregate(self._composites, ratio, usable, variance)
        measured = self.state.ready[rows] & (found.coverage >= MIN_COVERAGE)
        ratio[rows] = np.where(measured, found.level, np.nan)
        half = _INTERVAL_Z * np.where(found.count > 1, found.error, found.noise)
        low[rows] = np.maximum(found.level - half, 0)
        high[rows] = found.level + half
        return found

    def _log_likelihood(self, residuals: Residuals, ratio: Floats, noise: _Noise) -> Floats:
        """Return the log likelihood of the interval for each depth, shape (n, G).

        Neighbouring bins are not independent evidence: they are tempered by
        (1 - rho) / (1 + rho), except in a bin that jumps by more than autocorrelation explains.
        """
        state, baseline = self.state, self.state.baseline
        evidence = np.zeros(state.posterior.shape)
        known = np.isfinite(ratio)
        plain, share = known & ~state.is_share, known & state.is_share
        bound = np.where(baseline.composite, _MAX_COMPOSITE_DEGREES, _MAX_DEGREES)
        spread, degrees = noise.spread, np.minimum(noise.degrees, bound)
        counts = plain & (spread > _LOW_COUNT_SPREAD) & ~baseline.composite
        plain &= ~counts
        evidence[plain] = ratio_log_likelihood(ratio[plain], spread[plain], degrees[plain])
        evidence[counts] = count_log_likelihood(ratio[counts], 1 / spread[counts] ** 2)
        ordinary = np.exp(baseline.level[share])
        evidence[share] = binomial_log_likelihood(
            ratio[share] * ordinary, noise.trials[share], ordinary
        )
        rho = baseline.lag1_autocorrelation
        temper = np.maximum((1 - rho) / (1 + rho), _MIN_TEMPER)
        jump = _JUMP_SPREADS * spread * np.sqrt(np.maximum(2 * (1 - rho), _MIN_JUMP_VARIANCE))
        with np.errstate(invalid="ignore"):
            steady = np.abs(ratio - state.ratio) <= jump
        evidence *= np.where(steady, temper, 1.0)[:, None]
        first = self._first_rest(residuals) & known
        evidence[first] = rest_log_likelihood(ratio[first], self._width)
        rows, ratios = self._log_likelihoods
        evidence[rows] += ratios[:, None] * ~IS_ORDINARY
        self._log_likelihoods = _NO_LIKELIHOODS
        return evidence

    def _update_posterior(self, ratio: Floats, log_likelihood: Floats) -> None:
        state, before, forecast = self.state, self.state.posterior, self._expected
        state.posterior = update_posterior(before, self._matrix, log_likelihood)
        state.posterior[forecast] = update_posterior(
            before[forecast], self._forecast_matrix, log_likelihood[forecast]
        )
        state.ratio = np.where(np.isfinite(ratio), ratio, state.ratio)
        self._expected = _NO_ROWS

    def _learn(self, residuals: Residuals, ratio: Floats, frozen: Bools) -> None:
        """Learn in proportion to P(ordinary)^4, and nothing in frozen series or on holidays."""
        state, time = self.state, residuals.time
        weight = ordinary_probability(state.posterior) ** _LEARNING_POWER
        known = np.isfinite(state.frozen_since)
        since = np.where(known, state.frozen_since, time.timestamp())
        state.frozen_since = np.where(frozen, since, np.nan)
        weight[frozen | ~state.ready | self._on_holiday(residuals.day_types)] = 0
        # Noise of a series that scatters much would be taken for a shape.
        first = self._first_rest(residuals) & (state.baseline.spread < _LOW_COUNT_SPREAD)
        state.baseline.learn(time, self._width, ratio, weight * state.bin_factor, first=first)

    def _follow_level_shifts(self, residuals: Residuals, ratio: Floats) -> None:
        """Update shifted levels; once an hour, accept those that are ordinary by now."""
        state, time = self.state, residuals.time
        track_level_shifts(
            state, time, ratio=ratio, values=residuals.values, ordinary=residuals.ordinary
        )
        if time.timestamp() % 3600 < state.width and len(self._index.entity):
            accept_level_shifts(
                state, time, ratio=ratio, index=self._index, composites=self._composites
            )
