"""The detector: bins in, levels out, one interval after another."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.detect.common_mode import faulty_signals
from netwatch.detect.holidays_calendar import HolidayCalendar
from netwatch.detect.layout import build_layout, is_composite
from netwatch.detect.level_shift import lasting_shifts
from netwatch.detect.state import SeriesState
from netwatch.detect.step import External, StepEngine, StepResult
from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import EntityTree
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.signals import signal_spec


class BayesFilterDetector:
    """Computes levels from bins, one interval after another, and learns what is ordinary.

    A network is compared with its own ordinary level. An entity with networks in the tree is a
    composite: the weighted mean of their levels, compared with its own ordinary noise. Any
    other entity is evaluated on its own series.

    Attributes:
        engine: the filter, on arrays; long histories use it without the objects of `step`.
    """

    def __init__(self, tree: EntityTree, *, width: timedelta, min_history: timedelta) -> None:
        """Evaluate bins of `width`; a series needs `min_history` before it has a level."""
        self._tree = tree
        self._width = width
        self._networks = {parent: tree.leaf_weights(parent) for parent in tree.parents()}
        self.engine = StepEngine(
            SeriesState(width=width.total_seconds()),
            build_layout([], tree, self._networks),
            min_history=min_history,
            calendar=HolidayCalendar(tree),
            faulty_signals=self.faulty_signals,
        )
        self._evidence: Mapping[SeriesKey, float] = {}

    def step(
        self,
        time: datetime,
        bins: Sequence[Bin],
        *,
        frozen: Collection[SeriesKey] = (),
        expected: Collection[SeriesKey] = (),
    ) -> list[Level]:
        """Evaluate the interval that starts at `time`, and learn from it except in `frozen` series.

        A frozen series includes those of entities within its own; an empty signal, all signals.
        In `expected` ones a loss is due, as on the days before, which makes one likelier and
        nothing else. A series without a bin gets a level without a value; a series that is too
        young to have an ordinary level gets none.
        """
        bins = [entry for entry in bins if not is_composite(entry.series, self._networks)]
        self.ensure_rows([entry.series for entry in bins], time)
        state = self.engine.state
        values = np.full(len(state.keys), np.nan)
        totals = np.full(len(state.keys), np.nan)
        for entry in bins:
            row = state.rows[entry.series]
            values[row] = entry.value
            if entry.total is not None:
                totals[row] = entry.total
                state.is_share[row] = True
        result = self.step_arrays(time, values, totals, frozen=frozen, expected=expected)
        single = self.levels(result, np.flatnonzero(result.ready).tolist(), time)
        return single + self.fused_levels(result, time)

    def add_log_likelihoods(self, evidence: Mapping[SeriesKey, float]) -> None:
        """Add external log likelihood ratios of a loss to the next interval."""
        self._evidence = {key: ratio for key, ratio in evidence.items() if key in self.rows}

    def step_arrays(
        self,
        time: datetime,
        values: Floats,
        totals: Floats,
        *,
        frozen: Collection[SeriesKey] = (),
        expected: Collection[SeriesKey] = (),
    ) -> StepResult:
        """Evaluate one interval given as arrays, a value and a total a row (NaN: none).

        Rows are those of `rows`; `ensure_rows` adds them. This is `step` without its objects,
        for long histories.
        """
        evidence, self._evidence = self._evidence, {}
        external = External(
            frozen=self._frozen_rows(frozen),
            forecast=self._rows_of(expected),
            evidence_rows=self._rows_of(evidence),
            evidence=np.array(list(evidence.values()), float),
        )
        return self.engine.step(time, values, totals, external)

    def faulty_signals(self, shifts: Floats) -> Bools:
        """Return which `shift_signals` are at fault in `shift_countries` of the layout.

        Countries may be evaluated in different processes: their detectors override this, and
        one filter works on the shifts of all of them.
        """
        state = self.engine.state
        faulty, state.shift_scale = faulty_signals(shifts, state.shift_scale, self._width)
        return faulty

    def ensure_rows(self, keys: Sequence[SeriesKey], time: datetime) -> None:
        """Add rows for new series among `keys` and for the composites they are part of."""
        new = [key for key in dict.fromkeys(keys) if key not in self.rows]
        if new:
            self.engine.state.add(new + self._new_composites(new), time)
            self._set_layout()

    @property
    def rows(self) -> dict[SeriesKey, int]:
        """The row of every series."""
        return self.engine.state.rows

    def levels(self, result: StepResult, rows: Sequence[int], time: datetime) -> list[Level]:
        """Return some rows of a result as levels."""
        keys = self.engine.state.keys
        columns = zip(
            (keys[row] for row in rows),
            result.levels.ratio[rows].tolist(),
            result.levels.low[rows].tolist(),
            result.levels.high[rows].tolist(),
            result.probability[rows].tolist(),
            result.levels.coverage[rows].tolist(),
            result.levels.networks[rows].tolist(),
            self._baselines_of(rows, time, result),
            strict=True,
        )
        return [
            Level(time, key, ratio, low, high, chance, coverage, networks, baseline)
            if ratio == ratio  # noqa: PLR0124 - NaN is not itself
            else Level(time, key, None, None, None, chance, coverage, networks, baseline)
            for key, ratio, low, high, chance, coverage, networks, baseline in columns
        ]

    def fused_levels(
        self, result: StepResult, time: datetime, among: Iterable[int] | None = None
    ) -> list[Level]:
        """Return the levels of the fused series, all or the numbers `among` them."""
        fused, keys = result.fused, self.engine.layout.fused
        numbers = [
            number
            for number in (range(len(keys)) if among is None else among)
            if fused.rows[number] >= 0 and result.ready[fused.rows[number]]
        ]
        levels = self.levels(result, fused.rows[numbers].tolist(), time)
        probability = fused.probability[numbers].tolist()
        return [
            replace(
                level,
                series=keys[number],
                probability=chance,
                # Only active signals carry a published percentage.
                networks=level.networks if signal_spec(level.series.signal).active else 0,
            )
            for level, number, chance in zip(levels, numbers, probability, strict=True)
        ]

    def save(self) -> bytes:
        """Return the whole state; after `load`, the same bins give the same levels bit for bit."""
        return self.engine.state.save()

    def load(self, state: bytes) -> None:
        """Continue from a saved state.

        Raises:
            StoreError: another version, another bin width, or damaged bytes.
        """
        self.engine.state = SeriesState.load(state, width=self._width.total_seconds())
        self._evidence = {}
        self._set_layout()

    def _rows_of(self, keys: Iterable[SeriesKey]) -> RowArray:
        """Return the rows of those of `keys` that have one."""
        return np.array([self.rows[key] for key in keys if key in self.rows], np.intp)

    def _frozen_rows(self, frozen: Collection[SeriesKey]) -> Bools:
        """Return which rows are `frozen` series, or lie within their entities."""
        state, layout = self.engine.state, self.engine.layout
        is_frozen = np.zeros(len(state.keys), dtype=bool)
        for scope in frozen:
            rows = layout.rows_within.get(scope.entity, ())
            is_frozen[[row for row in rows if scope.signal in {"", state.keys[row].signal}]] = True
        return is_frozen

    def _new_composites(self, keys: list[SeriesKey]) -> list[SeriesKey]:
        composites = (
            SeriesKey(key.signal, scope)
            for key in keys
            if signal_spec(key.signal).aggregated
            for scope in self._tree.ancestors(key.entity)
            if key.entity in self._networks.get(scope, ())
        )
        return [key for key in dict.fromkeys(composites) if key not in self.rows]

    def _set_layout(self) -> None:
        keys = self.engine.state.keys
        self.engine.layout = build_layout(keys, self._tree, self._networks)

    def _baselines_of(
        self, rows: Sequence[int], time: datetime, result: StepResult
    ) -> list[Baseline]:
        """Return what the ordinary levels of rows stand on; most rows share a few values."""
        state = self.engine.state
        known = result.usable[rows]
        codes = zip(
            state.baseline.kinds(rows),
            np.where(known, np.rint(state.baseline.hours_seen[rows] / 24), -1).tolist(),
            np.nan_to_num(state.frozen_since[rows], nan=-1).tolist(),
            np.nan_to_num(lasting_shifts(state, rows, time), nan=-1).tolist(),
            strict=True,
        )
        return [_baseline(*code) for code in codes]


@lru_cache(maxsize=10_000)
def _baseline(kind: BaselineKind, days: float, frozen: float, shift: float) -> Baseline:
    """Return a baseline; negative `days` are a dead series, other negative numbers none."""
    if days < 0:
        return Baseline(BaselineKind.DEAD)
    return Baseline(
        kind=kind,
        days=days,
        frozen_since=None if frozen < 0 else datetime.fromtimestamp(frozen, UTC),
        shifted_to=None if shift < 0 else shift,
    )
