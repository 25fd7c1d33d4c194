"""The detector: bins in, levels out, one interval after another."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from netwatch.detect.composite import Composite, resample_interval, weigh_networks
from netwatch.detect.grid import (
    binomial_evidence,
    normal_probability,
    ratio_evidence,
    transition_matrix,
    update_belief,
)
from netwatch.detect.interval import ratio_interval, share_interval
from netwatch.detect.state import SeriesState
from netwatch.model.atlas import Atlas
from netwatch.model.series import Bin, Level, SeriesKey

__all__ = ["GridDetector"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_LEAST_BINS = 8
_LEAST_COVERAGE = 0.3
_LEAST_SHARE = 0.05
"""A target that answers less often than this in ordinary times can tell nothing."""
_LEAST_TEMPER = 0.12
_JUMP = 4.0
_MOST_DEGREES = 4.0
"""Student's t never gets thinner tails than these: single wild bins are common in the field."""
_MOST_TRIALS = 200.0
"""Answers of one network within one bin are never more independent than so many."""


class GridDetector:
    """Reads levels from bins (`netwatch.protocols.Detector`).

    Networks are judged against their own ordinary level; wider entities are the weighted mean
    of their networks, judged against their own ordinary noise. An entity that the atlas gives
    no networks is judged on its own series.
    """

    def __init__(self, atlas: Atlas, *, width: timedelta, least_history: timedelta) -> None:
        """Judge bins of `width`; a series needs `least_history` before it has a level."""
        self._atlas = atlas
        self._width = width
        self._least_history = least_history
        self._matrix = transition_matrix(width)
        self._state = SeriesState(width=width.total_seconds())
        self._composites: dict[int, Composite] = {}
        self._networks = {parent: atlas.networks(parent) for parent in atlas.parents()}

    def step(
        self, time: datetime, bins: Sequence[Bin], *, frozen: Collection[SeriesKey] = ()
    ) -> list[Level]:
        """Judge the interval that starts at `time`; see `netwatch.protocols.Detector`."""
        values, totals = self._gather(time, bins)
        state = self._state
        shares = np.where(state.share, _divide(values, totals), values)
        ratio = _divide(shares, state.baseline.expect(time))
        ratio[~self._usable()] = np.nan
        parts = self._weigh(ratio)
        self._weigh_evidence(ratio, totals)
        self._learn(time, ratio, frozen)
        levels = self._levels(time, ratio, totals, parts)
        if not state.ready.all():
            self._train(time, values, totals)
        return levels

    def save(self) -> bytes:
        """Return the whole state."""
        return self._state.save()

    def load(self, state: bytes) -> None:
        """Take up a saved state."""
        self._state = SeriesState.load(state, width=self._width.total_seconds())
        self._map_composites()

    def _gather(self, time: datetime, bins: Sequence[Bin]) -> tuple[Floats, Floats]:
        """Return values and totals of this interval, a row a series, NaN for no data."""
        state = self._state
        bins = [entry for entry in bins if entry.series.entity not in self._networks]
        new = [entry.series for entry in bins if entry.series not in state.rows]
        if new:
            keys = list(dict.fromkeys(new))
            state.add(keys + self._new_parents(keys), time)
            self._map_composites()
        values = np.full(len(state.keys), np.nan)
        totals = np.full(len(state.keys), np.nan)
        for entry in bins:
            row = state.rows[entry.series]
            values[row] = entry.value
            if entry.total is not None:
                totals[row] = entry.total
                state.share[row] = True
        return values, totals

    def _new_parents(self, keys: list[SeriesKey]) -> list[SeriesKey]:
        """Return the wider series that `keys` are the first networks of."""
        found: dict[SeriesKey, None] = {}
        for key in keys:
            for scope in self._atlas.ancestors(key.entity):
                wider = SeriesKey(key.signal, scope)
                known = wider in self._state.rows or scope not in self._networks
                if not known and key.entity in self._networks[scope]:
                    found[wider] = None
        return list(found)

    def _map_composites(self) -> None:
        """Point every wider series at the rows of its networks."""
        self._composites.clear()
        for row, key in enumerate(self._state.keys):
            networks = self._networks.get(key.entity)
            if networks is None:
                continue
            pairs = [
                (self._state.rows[found], weight)
                for entity, weight in networks.items()
                if (found := SeriesKey(key.signal, entity)) in self._state.rows
            ]
            rows, weights = zip(*pairs, strict=True) if pairs else ((), ())
            self._composites[row] = Composite(np.array(rows, np.intp), np.array(weights, float))

    def _weigh(self, ratio: Floats) -> dict[int, tuple[float, int]]:
        """Fill in the ratios of wider series; return their coverage and number of networks."""
        parts, usable = {}, self._usable()
        for row, composite in self._composites.items():
            level, coverage, count = weigh_networks(composite, ratio, usable)
            ratio[row] = level if self._state.ready[row] else np.nan
            parts[row] = (coverage, count)
            if coverage < _LEAST_COVERAGE:
                ratio[row] = np.nan
        return parts

    def _weigh_evidence(self, ratio: Floats, totals: Floats) -> None:
        """Let the interval pass for every belief and weigh what was seen.

        Neighbouring bins resemble each other and are not independent evidence: they are
        tempered by (1 - rho) / (1 + rho), except in a bin that jumps, which no memory explains.
        """
        state, baseline = self._state, self._state.baseline
        evidence = np.zeros_like(state.belief)
        seen = np.isfinite(ratio)
        plain, share = seen & ~state.share, seen & state.share
        spread, degrees = baseline.foresight()
        degrees = np.minimum(degrees, _MOST_DEGREES)
        evidence[plain] = ratio_evidence(ratio[plain], spread[plain], degrees[plain])
        ordinary = np.exp(baseline.level[share])
        trials = self._independent_trials(totals)[share]
        evidence[share] = binomial_evidence(ratio[share] * ordinary, trials, ordinary)
        memory = baseline.memory
        temper = np.maximum((1 - memory) / (1 + memory), _LEAST_TEMPER)
        bound = _JUMP * spread * np.sqrt(np.maximum(2 * (1 - memory), 0.15))
        with np.errstate(invalid="ignore"):
            steady = np.abs(ratio - state.ratio) <= bound
        evidence *= np.where(steady, temper, 1.0)[:, None]
        state.belief = update_belief(state.belief, self._matrix, evidence)
        state.ratio = np.where(seen, ratio, state.ratio)

    def _independent_trials(self, totals: Floats) -> Floats:
        """Return how many independent trials `totals` are worth, given the series' own noise.

        Beta-binomial: n / (1 + (n - 1) r), with r from the spread in ordinary times.
        """
        baseline = self._state.baseline
        ordinary = np.clip(np.exp(baseline.level), 0.01, 0.99)
        trials = np.where(np.isfinite(totals), np.maximum(totals, 1), 1)
        excess = baseline.spread**2 * ordinary / (1 - ordinary) * trials - 1
        least = 1 / _MOST_TRIALS
        alike = np.clip(excess / np.maximum(trials - 1, 1), least, 1)
        return np.asarray(trials / (1 + (trials - 1) * np.where(trials > 1, alike, least)))

    def _learn(self, time: datetime, ratio: Floats, frozen: Collection[SeriesKey]) -> None:
        """Learn in proportion to P(ordinary)^4, and nothing in frozen series."""
        state = self._state
        weight = normal_probability(state.belief) ** 4
        held = np.array([key in frozen for key in state.keys], dtype=bool)
        since = np.where(np.isfinite(state.frozen), state.frozen, time.timestamp())
        state.frozen = np.where(held, since, np.nan)
        weight[held | ~state.ready] = 0
        state.baseline.learn(time, self._width, ratio, weight)

    def _train(self, time: datetime, values: Floats, totals: Floats) -> None:
        """Keep the bin for the young series; give those that are old enough their baseline."""
        state = self._state
        state.training.add(time, values, totals)
        age = time.timestamp() + state.width - state.first
        old = ~state.ready & (age >= self._least_history.total_seconds())
        old[list(self._composites)] = False
        for share in (False, True):
            rows = np.flatnonzero(old & (state.share == share))
            if len(rows):
                self._fit(rows, share=share)
        waiting = [row for row in self._composites if not state.ready[row]]
        for row in waiting:
            self._fit_composite(row)
        if state.ready.all():
            state.training.clear()

    def _fit(self, rows: npt.NDArray[np.intp], *, share: bool) -> None:
        """Warm-start `rows` from the training span; the too sparse wait on."""
        state = self._state
        values, totals = state.training.matrix(rows)
        enough = np.isfinite(values).sum(axis=0) >= _LEAST_BINS
        rows, values, totals = rows[enough], values[:, enough], totals[:, enough]
        if not len(rows):
            return
        state.baseline.fit(rows, state.training.times, values, totals if share else None)
        state.ready[rows] = True

    def _fit_composite(self, row: int) -> None:
        """Warm-start a wider series from what its networks were in the training span."""
        state, composite = self._state, self._composites[row]
        if not state.ready[composite.rows].any():
            return
        values, totals = state.training.matrix(composite.rows)
        shares = np.where(state.share[composite.rows], _divide(values, totals), values)
        past, usable = [], self._usable()
        for time, part in zip(state.training.times, shares, strict=True):
            ratio = np.full(len(state.keys), np.nan)
            expected = state.baseline.expect(time)[composite.rows]
            ratio[composite.rows] = _divide(part, expected)
            past.append(weigh_networks(composite, ratio, usable)[0])
        state.baseline.fit_composite(row, state.training.times, np.array(past))
        state.ready[row] = True

    def _levels(
        self, time: datetime, ratio: Floats, totals: Floats, parts: dict[int, tuple[float, int]]
    ) -> list[Level]:
        """Return a level for every series that is old enough to have one."""
        state = self._state
        low, high = self._intervals(ratio, totals)
        chance = 1 - normal_probability(state.belief)
        found, usable = [], self._usable()
        for row in (int(row) for row in np.flatnonzero(state.ready)):
            seen = bool(np.isfinite(ratio[row]))
            if row in self._composites and seen:
                low[row], high[row] = resample_interval(self._composites[row], ratio, usable)
            coverage, count = parts.get(row, (1.0, 1))
            found.append(
                Level(
                    time=time,
                    series=state.keys[row],
                    value=float(ratio[row]) if seen else None,
                    low=float(low[row]) if seen else None,
                    high=float(high[row]) if seen else None,
                    probability=float(chance[row]),
                    coverage=coverage,
                    networks=count,
                    baseline=self._describe(row),
                )
            )
        return found

    def _intervals(self, ratio: Floats, totals: Floats) -> tuple[Floats, Floats]:
        """Return the 95 % intervals of every ratio from its own noise."""
        state = self._state
        ordinary = np.exp(state.baseline.level)
        low, high = ratio_interval(ratio, *state.baseline.foresight())
        trials = self._independent_trials(totals)
        share_low, share_high = share_interval(ratio, trials, ordinary)
        return np.where(state.share, share_low, low), np.where(state.share, share_high, high)

    def _usable(self) -> Bools:
        """Return which series have an ordinary level that is not dead."""
        level, share = self._state.baseline.level, self._state.share
        dead = np.isneginf(level) | (share & (np.exp(level) < _LEAST_SHARE))
        return np.asarray(self._state.ready & ~dead)

    def _describe(self, row: int) -> str:
        """Return what the ordinary level of a row stands on, and since when it is frozen."""
        if not self._usable()[row]:
            return "dead: no answer in ordinary times"
        text = self._state.baseline.describe(row)
        since = self._state.frozen[row]
        if np.isfinite(since):
            frozen = datetime.fromtimestamp(float(since), UTC)
            text += f", frozen since {frozen:%Y-%m-%dT%H:%MZ}"
        return text


def _divide(left: Floats, right: Floats) -> Floats:
    """Return left / right, NaN where right is zero or missing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(right > 0, left / right, np.nan))
