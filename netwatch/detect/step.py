"""One interval of the detector: arrays in, arrays out, one row a series.

    predict:  rest days -> ordinary -> ratio -> wide bins -> shifts of the signals
    update:   faulty signals -> noise -> levels -> log likelihood -> posterior -> fusion -> learning

Each step before learning computes named arrays and changes nothing; only `_update` and what it
calls for learning write to the state, whose arrays are declared in `state.py`. How long losses
last is in `bayes_filter.LossChain`, what several signals say together in `fusion.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.adaptive_binning import AdaptiveBin, update_bin
from netwatch.detect.aggregation import Composites, IntervalLevels, interval_levels
from netwatch.detect.bayes_filter import (
    IS_ORDINARY,
    LossChain,
    apply_evidence,
    loss_depth,
    ordinary_probability,
)
from netwatch.detect.bin_likelihoods import log_likelihood
from netwatch.detect.calendar_effects import RestDays, count_rest_hours, ordinary_values, rest_days
from netwatch.detect.common_mode import (
    common_site_outage,
    country_shifts,
    rows_at_fault,
)
from netwatch.detect.confidence_intervals import (
    LOW_COUNT_SPREAD,
    predict_noise,
    undecided_rows,
)
from netwatch.detect.fusion import Fused
from netwatch.detect.holidays_calendar import HolidayCalendar
from netwatch.detect.initial_fit import fit_initial_state, keep_training_bin, usable_rows
from netwatch.detect.layout import Layout
from netwatch.detect.level_shift import accept_level_shifts, track_level_shifts
from netwatch.detect.state import SeriesState
from netwatch.model.thresholds import EVEN_PROBABILITY

_MAX_RATIO = 100.0
"""Bound on current over ordinary: rows near zero in ordinary times would overflow."""
_LEARNING_POWER = 4
"""A bin is learned in proportion to P(ordinary) to this power, so that doubt learns little."""


@dataclass(frozen=True, slots=True)
class Residuals:
    """One interval compared with ordinary, before the posterior is updated.

    Attributes:
        time, values, totals: as given.
        ready: rows with an ordinary level; usable: those that are not dead.
        days: the kind of day of each row.
        ordinary: ordinary values; ratio: current over ordinary, NaN for no data.
        adaptive_bin: wide bins of low-count series.
        normal: rows that were ordinary before.
        undecided: rows whose bin is no evidence.
        shifts: shift of each signal from ordinary in each country, (signals, countries).
    """

    time: datetime
    values: Floats
    totals: Floats
    ready: Bools
    usable: Bools
    days: RestDays
    ordinary: Floats
    ratio: Floats
    adaptive_bin: AdaptiveBin
    normal: Bools
    undecided: Bools
    shifts: Floats


@dataclass(frozen=True, slots=True)
class External:
    """What is known of an interval from elsewhere.

    Attributes:
        frozen: rows that learn nothing, shape (n,).
        forecast: rows in which a loss is expected.
        evidence_rows, evidence: log likelihood ratios of a loss, and their rows.
    """

    frozen: Bools
    forecast: RowArray
    evidence_rows: RowArray
    evidence: Floats


@dataclass(frozen=True, slots=True)
class StepResult:
    """Result of one interval, a value a row.

    Attributes:
        ready: rows with an ordinary level; usable: those that are not dead.
        levels: current over ordinary; NaN until a wide bin ends.
        probability: that the series is below ordinary.
        fused: fusion of the signals of each entity, a value an entity.
    """

    ready: Bools
    usable: Bools
    levels: IntervalLevels
    probability: Floats
    fused: Fused


class StepEngine:
    """Predict and update step of the filter, on the rows of a `SeriesState`.

    Attributes:
        state: one row a series; it may be replaced between intervals.
        layout: what the rows are about; replace it when rows are added.
    """

    def __init__(
        self,
        state: SeriesState,
        layout: Layout,
        *,
        min_history: timedelta,
        calendar: HolidayCalendar,
        faulty_signals: Callable[[Floats], Bools],
    ) -> None:
        """`faulty_signals` takes `Residuals.shifts` and returns the signals at fault."""
        self.state = state
        self.layout = layout
        self._calendar = calendar
        self._width = timedelta(seconds=state.width)
        self._min_history = min_history
        self._faulty_signals = faulty_signals
        self._chain = LossChain(self._width)

    def step(
        self, time: datetime, values: Floats, totals: Floats, external: External
    ) -> StepResult:
        """Evaluate the interval that starts at `time`."""
        residuals = self._predict(time, values, totals)
        return self._update(residuals, self._faulty_signals(residuals.shifts), external)

    def _predict(self, time: datetime, values: Floats, totals: Floats) -> Residuals:
        """Compare the interval that starts at `time` with ordinary; changes nothing."""
        state, layout = self.state, self.layout
        usable = usable_rows(state)
        day_types = self._calendar.day_types(time, layout.countries)
        days = rest_days(state, layout, day_types)
        shares = np.where(state.is_share, divide(values, totals), values)
        ordinary = ordinary_values(state, time, days=days, values=shares)
        adaptive_bin = update_bin(state, time, values, ordinary)
        ratio = np.minimum(divide(shares, ordinary), _MAX_RATIO)
        ratio = np.where(adaptive_bin.wide, adaptive_bin.ratio, ratio)
        ratio = np.where(usable, ratio, np.nan)
        normal = ordinary_probability(state.posterior) > EVEN_PROBABILITY
        undecided = undecided_rows(totals)
        return Residuals(
            time=time,
            values=values,
            totals=totals,
            ready=state.ready.copy(),
            usable=usable,
            days=days,
            ordinary=ordinary,
            ratio=ratio,
            adaptive_bin=adaptive_bin,
            normal=normal,
            undecided=undecided,
            shifts=country_shifts(layout.groups, np.where(undecided, np.nan, ratio), normal),
        )

    def _update(self, residuals: Residuals, faulty: Bools, external: External) -> StepResult:
        """Update the posterior with `residuals`, and learn where not frozen.

        `faulty` are the signals at fault by country, (signals, countries).
        """
        state, layout, days = self.state, self.layout, residuals.days
        wide, composites = residuals.adaptive_bin, layout.composites
        fault = rows_at_fault(layout.groups, faulty)
        ratio = np.where(fault, np.nan, residuals.ratio)
        ratio[common_site_outage(layout.groups, ratio, residuals.normal)] = np.nan
        noise = predict_noise(
            state.baseline,
            residuals.totals,
            holiday=days.holiday,
            first_rest=days.first_rest,
        )
        # Within a wide bin, the level of the last one holds.
        lasting = np.where(wide.wide & ~wide.complete, state.ratio, ratio)
        levels = interval_levels(
            state,
            composites,
            lasting,
            noise=noise,
            usable=residuals.usable,
        )
        ratio[composites.rows] = levels.ratio[composites.rows]
        shown = ratio.copy()
        ratio[levels.undecided] = np.nan
        evidence = log_likelihood(
            state, ratio, noise, first_rest=days.first_rest, width=self._width
        )
        evidence[external.evidence_rows] += external.evidence[:, None] * ~IS_ORDINARY
        prior = self._chain.advance(state.posterior, external.forecast)
        state.posterior = apply_evidence(prior, evidence)
        state.observed, state.expected = wide.close(state, fault)
        before = np.where(wide.complete, np.nan, state.ratio)
        state.ratio = np.where(np.isfinite(ratio), ratio, before)
        self._learn(residuals, ratio, external.frozen)
        probability = 1 - ordinary_probability(state.posterior)
        return StepResult(
            ready=residuals.ready,
            usable=residuals.usable,
            levels=replace(levels, ratio=shown),
            probability=probability,
            fused=layout.fusion.fuse(
                np.where(levels.undecided, np.nan, levels.ratio),
                probability,
                depth=loss_depth(state.posterior),
                observations=_ordinary_answers(state, composites, residuals.totals),
            ),
        )

    def _learn(self, residuals: Residuals, ratio: Floats, frozen: Bools) -> None:
        """Learn the ordinary level of the rows, and follow lasting changes of it."""
        state, layout, time = self.state, self.layout, residuals.time
        since = np.where(np.isfinite(state.frozen_since), state.frozen_since, time.timestamp())
        # The bins of a young series are still learned, for its first fit.
        state.frozen_since = np.where(frozen & state.ready, since, np.nan)
        self._learn_ordinary(residuals, ratio, frozen)
        state.rest_hours = count_rest_hours(
            state, layout, values=residuals.values, rest=residuals.days.rest
        )
        track_level_shifts(
            state, time, ratio=ratio, values=residuals.values, ordinary=residuals.ordinary
        )
        # Once an hour is often enough to accept shifts of two days.
        if time.timestamp() % 3600 < state.width and len(state.keys):
            accept_level_shifts(state, time, ratio=ratio, layout=layout)
        if not state.ready.all():
            values = np.where(residuals.undecided, np.nan, residuals.values)
            keep_training_bin(state, time, values, residuals.totals)
            fit_initial_state(state, layout, time, min_history=self._min_history)

    def _learn_ordinary(self, residuals: Residuals, ratio: Floats, frozen: Bools) -> None:
        """Learn in proportion to P(ordinary)^4, and nothing in frozen rows or on holidays."""
        state, days = self.state, residuals.days
        weight = ordinary_probability(state.posterior) ** _LEARNING_POWER
        weight[frozen | ~state.ready | days.holiday] = 0
        # Noise of a series that scatters much would be taken for a shape.
        first = days.first_rest & (state.baseline.spread < LOW_COUNT_SPREAD)
        state.baseline.learn(
            residuals.time, self._width, ratio, weight * state.bin_factor, first=first
        )


def _ordinary_answers(state: SeriesState, composites: Composites, totals: Floats) -> Floats:
    """Return the answers of each series of shares in ordinary times, else infinity."""
    answers = np.nan_to_num(totals) * np.exp(state.baseline.level)
    answers = np.where(state.is_share, answers, np.inf)
    answers[composites.rows] = composites.sum(answers[composites.networks])
    return answers
