"""The arithmetic of one interval: arrays in, arrays out, one row a series."""

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
    normal_probability,
    ratio_log_likelihood,
    rest_log_likelihood,
    transition_matrix,
    update_posterior,
)
from netwatch.detect.common_mode import (
    CommonModeFilter,
    Groups,
    common_site_outage,
    country_shifts,
    rows_at_fault,
)
from netwatch.detect.fusion import Fused, Fusion
from netwatch.detect.holidays_calendar import DayTypes, HolidayCalendar
from netwatch.detect.intervals import independent_trials, ratio_interval, share_interval
from netwatch.detect.level_shift import accept_level_shifts, track_level_shifts
from netwatch.detect.row_index import EMPTY, RowIndex
from netwatch.detect.seasonal_baseline import DAY
from netwatch.detect.state import SeriesState
from netwatch.detect.warm_start import usable_rows, warm_start
from netwatch.model.thresholds import MIN_COVERAGE

_LEAST_TEMPER = 0.12
_JUMP = 4.0
_MOST_RATIO = 100.0
_USUALLY = 0.5
_FEW = 0.15
"""Counts that scatter by more than this are few, and judged as counts."""
_MOST_DEGREES = 4.0
"""Student's t never gets thinner tails than these: single wild bins are common in the field."""
_MOST_DEGREES_TOGETHER = 8.0
"""The same for the mean of many networks, in which wild bins average out."""


_NO_ROWS: RowArray = np.zeros(0, np.intp)
_NOTHING_LENT: tuple[RowArray, Floats] = _NO_ROWS, np.zeros(0)
_WEEKEND = 2.0 * DAY
"""Hours of rest that a series must have seen before its weeks are known to have an end."""
_HOLIDAY = 2.0
"""How much less sure the ordinary level is on a public holiday."""

Foresight = tuple[Floats, Floats]
_NO_GROUPS = Groups(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, dtype=bool))


@dataclass(frozen=True, slots=True)
class Residuals:
    """One interval before anything is believed or learned: the first phase of judging it.

    Attributes:
        time, values, totals: as given.
        ready: which rows were old enough to be judged; usable: those that are not dead.
        ordinary: what would be ordinary; ratio: current over it, NaN for no data.
        today: what day it is in each country.
        window: where the windows of series of few counts stand, None where there are none.
        normal: rows that were ordinary before.
        shifts: how far each signal is from ordinary in each country, (signals, countries).
    """

    time: datetime
    values: Floats
    totals: Floats
    ready: Bools
    usable: Bools
    ordinary: Floats
    ratio: Floats
    today: DayTypes
    window: AdaptiveBin | None
    normal: Bools
    shifts: Floats


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one interval came to, a row a series.

    Attributes:
        ready: which rows were old enough to be judged; usable: those that are not dead.
        ratio: current over ordinary, NaN for no data.
        low, high: 95 % interval of `ratio`.
        probability: that the series is below ordinary.
        coverage, count: of wider series; 1 and 1 for a network.
        fused: what the signals of an entity say together, a row an entity.
    """

    ready: Bools
    usable: Bools
    ratio: Floats
    low: Floats
    high: Floats
    probability: Floats
    coverage: Floats
    count: RowArray
    fused: Fused


class StepEngine:
    """Judges and learns, interval after interval, on the rows of a `SeriesState`."""

    def __init__(
        self,
        state: SeriesState,
        *,
        width: timedelta,
        min_history: timedelta,
        rest_days: HolidayCalendar,
    ) -> None:
        """Work on `state`, whose rows may grow between intervals (then call `set_layout`)."""
        self._rest_days = rest_days
        self.state = state
        self._width = width
        self._least_history = min_history
        self._matrix = transition_matrix(width)
        self._likely = transition_matrix(width, expected=True)
        self._expected = _NO_ROWS
        self._lent = _NOTHING_LENT
        self._nuisance = CommonModeFilter(width)
        self._composites = make_composites([])
        self._groups = _NO_GROUPS
        self._kin = EMPTY
        self._fusion = Fusion(np.zeros(0, np.intp), [])

    def set_layout(
        self, composites: Composites, groups: Groups, fusion: Fusion, kin: RowIndex
    ) -> None:
        """Say which rows are weighted means of which others, and what they are about."""
        self._composites, self._groups = composites, groups
        self._fusion, self._kin = fusion, kin

    def expect_losses(self, rows: RowArray) -> None:
        """Say in which rows a loss is expected, as on the days before, for one interval."""
        self._expected = rows

    def add_log_likelihoods(self, rows: RowArray, ratios: Floats) -> None:
        """Take log likelihood ratios of a loss in `rows`, known elsewhere, for one interval."""
        self._lent = rows, ratios

    def step(self, time: datetime, values: Floats, totals: Floats, held: Bools) -> StepResult:
        """Judge the interval that starts at `time`, and learn from it where not `held`."""
        look = self.look(time, values, totals)
        self._nuisance.scale = self.state.scale
        faulty = self._nuisance.faulty(look.shifts)
        self.state.scale = self._nuisance.scale
        return self.judge(look, faulty, held)

    def look(self, time: datetime, values: Floats, totals: Floats) -> Residuals:
        """Compare the interval that starts at `time` with what is ordinary; change nothing."""
        state = self.state
        usable = usable_rows(state)
        shares = np.where(state.share, divide(values, totals), values)
        ordinary = state.baseline.expect(time)
        today = self._rest_days.today(time, self._kin.countries)
        ordinary = self._nearer(time, today, shares, ordinary)
        ratio = np.minimum(divide(shares, ordinary), _MOST_RATIO)
        window = update_bin(state, time, values, ordinary)
        if window is not None:
            ratio = np.where(window.slow, window.ratio(ordinary, state.pace), ratio)
        ratio[~usable] = np.nan
        normal = normal_probability(state.belief) > _USUALLY
        shifts = country_shifts(self._groups, ratio, normal)
        ready = state.ready.copy()
        return Residuals(
            time=time,
            values=values,
            totals=totals,
            ready=ready,
            usable=usable,
            ordinary=ordinary,
            ratio=ratio,
            today=today,
            window=window,
            normal=normal,
            shifts=shifts,
        )

    def judge(self, look: Residuals, faulty: Bools, held: Bools) -> StepResult:
        """Judge what `look` saw, and learn from it where not `held`.

        `faulty` says which signals are not to be believed in which countries, (signals,
        countries): what `CommonModeFilter.faulty` made of the shifts of all countries, of which
        these rows may be a part.
        """
        state, time, totals = self.state, look.time, look.totals
        ratio = look.ratio.copy()
        fault = rows_at_fault(self._groups, faulty)
        ratio[fault] = np.nan
        ratio[common_site_outage(self._groups, ratio, look.normal)] = np.nan
        foresight = self._foresee(look)
        trials = independent_trials(state.baseline, totals, foresight[0])
        # What is judged once an hour counts as it was until then.
        lasting = self._fill_windows(look.window, ratio, fault)
        low, high = self._intervals(lasting, trials, foresight)
        weighed = self._weigh(lasting, low, high, look.usable)
        wider = self._composites.rows
        ratio[wider] = lasting[wider]
        self._weigh_evidence(look, ratio, trials, foresight)
        self._learn(look, ratio, held)
        self._rest(look)
        self._shadow(look, ratio)
        if not state.ready.all():
            warm_start(
                state,
                time,
                bins=(look.values, totals),
                min_history=self._least_history,
                layout=(self._composites, self._kin),
            )
        coverage, count = np.ones(len(ratio)), np.ones(len(ratio), np.intp)
        coverage[self._composites.rows] = weighed.coverage
        count[self._composites.rows] = weighed.count
        chance = 1 - normal_probability(state.belief)
        fused = self._fusion.fuse(
            lasting,
            chance,
            depth=loss_depth(state.belief),
            observations=self._observations(totals),
        )
        return StepResult(look.ready, look.usable, ratio, low, high, chance, coverage, count, fused)

    def _nearer(self, time: datetime, today: DayTypes, shares: Floats, ordinary: Floats) -> Floats:
        """Return what is ordinary, on holidays the nearer of workday and rest day."""
        baseline, place = self.state.baseline, self._kin.country
        rows = np.flatnonzero(self._on_holiday(today) & ~self.state.share & ~baseline.composite)
        if not len(rows):
            return ordinary
        resting = baseline.expect_rows(rows, time, today.shift[place[rows]])
        working = ordinary[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            closer = np.abs(np.log(shares[rows] / resting)) < np.abs(np.log(shares[rows] / working))
        ordinary = ordinary.copy()
        ordinary[rows] = np.where(closer, resting, working)
        return ordinary

    def _foresee(self, look: Residuals) -> Foresight:
        """Return the spread of every next ratio and its degrees of freedom, as far as known.

        It is twice as wide on a holiday, and wide where a series has never seen a day of rest.
        """
        spread, degrees = self.state.baseline.foresight()
        spread = np.where(self._on_holiday(look.today), _HOLIDAY * spread, spread)
        return np.where(self._unrested(look), np.hypot(spread, UNKNOWN_REST), spread), degrees

    def _on_holiday(self, today: DayTypes) -> Bools:
        """Return which rows count what people do, in a country that has a holiday.

        The design doubles every spread. Replies of networks are as ever on holidays: with it,
        nights of the Burmese new year went unseen in the replies from Bago.
        """
        return np.asarray(self._kin.people & today.holiday[self._kin.country])

    def _unrested(self, look: Residuals) -> Bools:
        """Return which rows have a day of rest for the first time.

        Those are counts of what people do. Networks answer, and are announced, on any day: an
        outage that active probing sees on a first weekend is told as fast as any other.
        """
        state, kin = self.state, self._kin
        new = kin.people & look.today.rest[kin.country] & (state.rested < _WEEKEND)
        answers = np.bincount(kin.signal, state.share) > 0
        return np.asarray(new & ~answers[kin.signal]) if new.any() else new

    def _rest(self, look: Residuals) -> None:
        """Count the hours of rest that each series has seen."""
        composites, present = self._composites, np.isfinite(look.values)
        parts = present[composites.networks]
        present[composites.rows] = np.bincount(composites.groups, parts, len(composites.rows)) > 0
        present &= look.today.rest[self._kin.country]
        self.state.rested += np.float32(self.state.width / 3600) * present

    def _fill_windows(self, window: AdaptiveBin | None, ratio: Floats, fault: Bools) -> Floats:
        """Move windows on by a bin; return `ratio` with the last one's where none is over."""
        state = self.state
        if window is None:
            return ratio.copy()
        trusted = window.slow & ~fault
        state.counted = np.where(trusted, window.counted, state.counted).astype(np.float32)
        state.awaited = np.where(trusted, window.awaited, state.awaited).astype(np.float32)
        state.counted[window.due], state.awaited[window.due] = 0, 0
        state.ratio[window.due & np.isnan(ratio)] = np.nan
        return np.where(window.slow & ~window.due, state.ratio, ratio)

    def _observations(self, totals: Floats) -> Floats:
        """Return how many answers each series of shares has in ordinary times, else infinity."""
        state, composites = self.state, self._composites
        answers = np.nan_to_num(totals) * np.exp(state.baseline.level)
        found = np.where(state.share, answers, np.inf)
        parts = found[composites.networks]
        found[composites.rows] = np.bincount(composites.groups, parts, len(composites.rows))
        return found

    def _intervals(self, ratio: Floats, trials: Floats, foresight: Foresight) -> Foresight:
        """Return the 95 % intervals of every ratio from its own noise."""
        baseline, share = self.state.baseline, self.state.share
        low, high = ratio_interval(ratio, *foresight)
        if share.any():
            ordinary = np.exp(baseline.level)
            below, above = share_interval(ratio, trials, ordinary)
            low, high = np.where(share, below, low), np.where(share, above, high)
        return low, high

    def _weigh(self, ratio: Floats, low: Floats, high: Floats, usable: Bools) -> AggregateLevels:
        """Fill in the ratios and intervals of wider series."""
        rows = self._composites.rows
        variance = ((high - low) / 3.92) ** 2
        weighed = aggregate(self._composites, ratio, usable, variance)
        seen = self.state.ready[rows] & (weighed.coverage >= MIN_COVERAGE)
        ratio[rows] = np.where(seen, weighed.level, np.nan)
        half = 1.96 * np.where(weighed.count > 1, weighed.error, weighed.noise)
        low[rows] = np.maximum(weighed.level - half, 0)
        high[rows] = weighed.level + half
        return weighed

    def _weigh_evidence(
        self, look: Residuals, ratio: Floats, trials: Floats, foresight: Foresight
    ) -> None:
        """Let the interval pass for every belief and weigh what was seen.

        Neighbouring bins resemble each other and are not independent evidence: they are
        tempered by (1 - rho) / (1 + rho), except in a bin that jumps, which no memory explains.
        """
        state, baseline = self.state, self.state.baseline
        evidence = np.zeros(state.belief.shape)
        seen = np.isfinite(ratio)
        plain, share = seen & ~state.share, seen & state.share
        spread, degrees = foresight
        most = np.where(baseline.composite, _MOST_DEGREES_TOGETHER, _MOST_DEGREES)
        degrees = np.minimum(degrees, most)
        few = plain & (spread > _FEW) & ~baseline.composite
        plain &= ~few
        evidence[plain] = ratio_log_likelihood(ratio[plain], spread[plain], degrees[plain])
        evidence[few] = count_log_likelihood(ratio[few], 1 / spread[few] ** 2)
        ordinary = np.exp(baseline.level[share])
        evidence[share] = binomial_log_likelihood(ratio[share] * ordinary, trials[share], ordinary)
        memory = baseline.memory
        temper = np.maximum((1 - memory) / (1 + memory), _LEAST_TEMPER)
        bound = _JUMP * spread * np.sqrt(np.maximum(2 * (1 - memory), 0.15))
        with np.errstate(invalid="ignore"):
            steady = np.abs(ratio - state.ratio) <= bound
        evidence *= np.where(steady, temper, 1.0)[:, None]
        first = self._unrested(look) & seen
        evidence[first] = rest_log_likelihood(ratio[first], self._width)
        rows, ratios = self._lent
        evidence[rows] += ratios[:, None] * ~IS_ORDINARY
        likely, before = self._expected, state.belief
        self._lent, self._expected = _NOTHING_LENT, _NO_ROWS
        state.belief = update_posterior(before, self._matrix, evidence)
        state.belief[likely] = update_posterior(before[likely], self._likely, evidence[likely])
        state.ratio = np.where(seen, ratio, state.ratio)

    def _learn(self, look: Residuals, ratio: Floats, held: Bools) -> None:
        """Learn in proportion to P(ordinary)^4, and nothing in held series or on holidays."""
        state, time = self.state, look.time
        weight = normal_probability(state.belief) ** 4
        since = np.where(np.isfinite(state.frozen), state.frozen, time.timestamp())
        state.frozen = np.where(held, since, np.nan)
        weight[held | ~state.ready | self._on_holiday(look.today)] = 0
        # What scatters much would be taken for a shape.
        first = self._unrested(look) & (state.baseline.spread < _FEW)
        state.baseline.learn(time, self._width, ratio, weight * state.pace, first=first)

    def _shadow(self, look: Residuals, ratio: Floats) -> None:
        """Let shadow levels learn; once an hour, take up those that are ordinary by now."""
        state, time = self.state, look.time
        track_level_shifts(state, time, ratio=ratio, values=look.values, ordinary=look.ordinary)
        if time.timestamp() % 3600 < state.width and len(self._kin.entity):
            accept_level_shifts(
                state, time, ratio=ratio, kin=self._kin, composites=self._composites
            )
