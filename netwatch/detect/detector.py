"""The detector: bins in, levels out, one interval after another."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, number_keys
from netwatch.detect.aggregation import Composites, make_composites
from netwatch.detect.common_mode import CommonModeFilter, Groups
from netwatch.detect.fusion import Fusion
from netwatch.detect.holidays_calendar import HolidayCalendar
from netwatch.detect.level_shift import lasting_shifts
from netwatch.detect.row_index import build_row_index
from netwatch.detect.state import SeriesState
from netwatch.detect.step import StepEngine, StepResult
from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import OUTAGE
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.signals import CONNECTIVITY, signal_spec


class BayesFilterDetector:
    """Computes levels from bins, one interval after another, and learns what is ordinary.

    A network is compared with its own ordinary level. An entity with networks in the tree is a
    composite: the weighted mean of their levels, compared with its own ordinary noise. Any
    other entity is evaluated on its own series.
    """

    def __init__(self, tree: EntityTree, *, width: timedelta, min_history: timedelta) -> None:
        """Evaluate bins of `width`; a series needs `min_history` before it has a level."""
        self._tree = tree
        self._width = width
        self._min_history = min_history
        self._calendar = HolidayCalendar(tree)
        self._common_mode = CommonModeFilter(width)
        self._networks = {parent: tree.leaf_weights(parent) for parent in tree.parents()}
        self._engine = self._make_engine(SeriesState(width=width.total_seconds()))
        self._fused: list[SeriesKey] = []
        self._baselines: dict[tuple[BaselineKind, float, float, float], Baseline] = {}
        self._frozen: frozenset[SeriesKey] = frozenset()
        self._frozen_rows = np.zeros(0, dtype=bool)
        self._rows_within: dict[Entity, list[int]] = {}

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
        bins = [entry for entry in bins if not self._is_composite(entry.series)]
        self.ensure_rows([entry.series for entry in bins], time)
        state = self._engine.state
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
        known = [key for key in evidence if key in self.rows]
        ratios = np.array([evidence[key] for key in known], float)
        self._engine.add_log_likelihoods(self._rows_of(known), ratios)

    def _is_composite(self, key: SeriesKey) -> bool:
        return key.entity in self._networks and signal_spec(key.signal).aggregated

    def ensure_rows(self, keys: Sequence[SeriesKey], time: datetime) -> None:
        """Add rows for new series among `keys` and for the composites they are part of."""
        new = [key for key in dict.fromkeys(keys) if key not in self.rows]
        if new:
            self._engine.state.add(new + self._new_composites(new), time)
            self._set_layout()

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
        self._engine.expect_losses(self._rows_of(key for key in expected if key in self.rows))
        return self._engine.step(time, values, totals, self._find_frozen_rows(frozen))

    def faulty_signals(self, shifts: Floats) -> Bools:
        """Return which of `signals` are at fault in `countries`: by the common-mode filter.

        Countries may be evaluated in different processes: their detectors override this, and
        one filter works on the shifts of all of them.
        """
        state = self._engine.state
        self._common_mode.scale = state.shift_scale
        faulty = self._common_mode.faulty_signals(shifts)
        state.shift_scale = self._common_mode.scale
        return faulty

    def _find_frozen_rows(self, frozen: Collection[SeriesKey]) -> Bools:
        """Return the rows of `frozen` series and of what lies within their entities."""
        keys, frozen = self._engine.state.keys, frozenset(frozen)
        if frozen != self._frozen or len(self._frozen_rows) != len(keys):
            self._frozen = frozen
            self._frozen_rows = np.zeros(len(keys), dtype=bool)
            for scope in frozen:
                rows = self._rows_within.get(scope.entity, [])
                mine = [row for row in rows if scope.signal in {"", keys[row].signal}]
                self._frozen_rows[mine] = True
        return self._frozen_rows

    def set_shares(self, is_share: Bools) -> None:
        """Set which rows are successes out of a total, for values given as arrays."""
        self._engine.state.is_share = is_share

    @property
    def signals(self) -> Sequence[str]:
        """The signals, in the order of the rows of `Residuals.shifts`."""
        return list(dict.fromkeys(key.signal for key in self._engine.state.keys))

    @property
    def countries(self) -> Sequence[Entity]:
        """The countries, in the order of the columns of `Residuals.shifts`."""
        found = (self._group_country(key) for key in self._engine.state.keys)
        return list(dict.fromkeys(filter(None, found)))

    @property
    def rows(self) -> dict[SeriesKey, int]:
        """The row of every series."""
        return self._engine.state.rows

    def levels(self, result: StepResult, rows: Sequence[int], time: datetime) -> list[Level]:
        """Return some rows of a result as levels."""
        keys = self._engine.state.keys
        columns = zip(
            (keys[row] for row in rows),
            result.ratio[rows].tolist(),
            result.low[rows].tolist(),
            result.high[rows].tolist(),
            result.probability[rows].tolist(),
            result.coverage[rows].tolist(),
            result.networks[rows].tolist(),
            self._baselines_of(rows, time, result),
            strict=True,
        )
        return [
            Level(time, key, ratio, low, high, chance, coverage, networks, baseline)
            if ratio == ratio  # noqa: PLR0124 - NaN is not itself
            else Level(time, key, None, None, None, chance, coverage, networks, baseline)
            for key, ratio, low, high, chance, coverage, networks, baseline in columns
        ]

    @property
    def fused(self) -> Sequence[SeriesKey]:
        """The fused series, in the order of `StepResult.fused`."""
        return self._fused

    def fused_levels(
        self, result: StepResult, time: datetime, among: Iterable[int] | None = None
    ) -> list[Level]:
        """Return the levels of the fused series, all of `fused` or the numbers `among` them."""
        fused = result.fused
        numbers = [
            number
            for number in (range(len(self._fused)) if among is None else among)
            if fused.rows[number] >= 0 and result.ready[fused.rows[number]]
        ]
        levels = self.levels(result, fused.rows[numbers].tolist(), time)
        probability = fused.probability[numbers].tolist()
        return [
            replace(
                level,
                series=self._fused[number],
                probability=chance,
                # Only active signals carry a published percentage.
                networks=level.networks if signal_spec(level.series.signal).active else 0,
            )
            for level, number, chance in zip(levels, numbers, probability, strict=True)
        ]

    def snapshot(self) -> SeriesState:
        """Return the state for `restore`; no series may be added in between."""
        return self._engine.state.copy()

    def restore(self, snapshot: SeriesState) -> None:
        """Return to a snapshot, which can be used again."""
        self._engine.state = snapshot.copy()

    def save(self) -> bytes:
        """Return the whole state; after `load`, the same bins give the same levels bit for bit."""
        return self._engine.state.save()

    def load(self, state: bytes) -> None:
        """Continue from a saved state.

        Raises:
            StoreError: another version, another bin width, or damaged bytes.
        """
        width = self._width.total_seconds()
        self._engine = self._make_engine(SeriesState.load(state, width=width))
        self._set_layout()
        self._frozen, self._frozen_rows = frozenset(), np.zeros(0, dtype=bool)

    def _rows_of(self, keys: Iterable[SeriesKey]) -> RowArray:
        return np.array([self.rows[key] for key in keys], np.intp)

    def _make_engine(self, state: SeriesState) -> StepEngine:
        return StepEngine(
            state,
            width=self._width,
            min_history=self._min_history,
            calendar=self._calendar,
            faulty_signals=self.faulty_signals,
        )

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
        keys = self._engine.state.keys
        index = build_row_index(keys, self._tree, self._networks)
        self._engine.set_layout(self._composites(), self._groups(), self._make_fusion(), index)
        rows_within = defaultdict(list)
        for row, key in enumerate(keys):
            for scope in (key.entity, *self._tree.ancestors(key.entity)):
                rows_within[scope].append(row)
        self._rows_within = rows_within

    def _composites(self) -> Composites:
        members = []
        for key, row in self.rows.items():
            if self._is_composite(key):
                parts = {
                    network: weight
                    for entity, weight in self._networks[key.entity].items()
                    if (network := self.rows.get(SeriesKey(key.signal, entity))) is not None
                }
                members.append((row, parts))
        return make_composites(members)

    def _make_fusion(self) -> Fusion:
        """Return the fusion of the entities with more than one signal of an outage.

        Access to a domain from one place says nothing about the domain as a whole.
        """
        keys = self._engine.state.keys
        joins = [signal_spec(key.signal).incident_kind == OUTAGE for key in keys]
        count = Counter(key.entity for key, joined in zip(keys, joins, strict=True) if joined)
        several = [entity for entity, signals in count.items() if signals > 1]
        self._fused = [SeriesKey(CONNECTIVITY, entity) for entity in several]
        numbers = {entity: number for number, entity in enumerate(several)}
        entity = [
            numbers.get(key.entity, -1) if joined else -1
            for key, joined in zip(keys, joins, strict=True)
        ]
        return Fusion(np.array(entity, np.intp), [key.signal for key in keys])

    def _groups(self) -> Groups:
        keys = self._engine.state.keys
        return Groups(
            number_keys(key.signal for key in keys),
            number_keys(self._group_country(key) for key in keys),
            np.array([key.entity.kind is EntityKind.DOMAIN for key in keys], bool),
        )

    def _group_country(self, key: SeriesKey) -> Entity | None:
        """Return the country of a series; None of a composite, whose networks count already."""
        return None if key.entity in self._networks else self._tree.country(key.entity)

    def _baselines_of(
        self, rows: Sequence[int], time: datetime, result: StepResult
    ) -> list[Baseline]:
        """Return what the ordinary levels of rows stand on; most rows share a few values."""
        state = self._engine.state
        known = result.usable[rows]
        codes = zip(
            state.baseline.kinds(rows),
            np.where(known, np.rint(state.baseline.hours_seen[rows] / 24), -1).tolist(),
            np.nan_to_num(state.frozen_since[rows], nan=-1).tolist(),
            np.nan_to_num(lasting_shifts(state, rows, time), nan=-1).tolist(),
            strict=True,
        )
        baselines = []
        for code in codes:
            if code not in self._baselines:
                self._baselines[code] = _baseline(*code)
            baselines.append(self._baselines[code])
        return baselines


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
