"""The detector: bins in, levels out, one interval after another."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats
from netwatch.detect.aggregation import make_composites
from netwatch.detect.common_mode import Groups
from netwatch.detect.fusion import Fusion
from netwatch.detect.holidays_calendar import HolidayCalendar
from netwatch.detect.level_shift import lasting_shift
from netwatch.detect.row_index import build_row_index
from netwatch.detect.state import SeriesState
from netwatch.detect.step import Residuals, StepEngine, StepResult
from netwatch.model.baseline import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import OUTAGE
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.signals import CONNECTIVITY, signal_spec


@dataclass(frozen=True, slots=True)
class DetectorMark:
    """A moment that a detector can come back to."""

    state: SeriesState


class BayesFilterDetector:
    """Reads levels from bins (`netwatch.protocols.Detector`).

    Networks are judged against their own ordinary level; wider entities are the weighted mean
    of their networks, judged against their own ordinary noise. An entity that the atlas gives
    no networks is judged on its own series.
    """

    def __init__(self, atlas: EntityTree, *, width: timedelta, min_history: timedelta) -> None:
        """Judge bins of `width`; a series needs `min_history` before it has a level."""
        self._atlas = atlas
        self._width = width
        self._least_history = min_history
        self._rest_days = HolidayCalendar(atlas)
        self._networks = {parent: atlas.leaf_weights(parent) for parent in atlas.parents()}
        self._core = self._make_core(SeriesState(width=width.total_seconds()))
        self._fused: list[SeriesKey] = []
        self._baselines: dict[tuple[float, str, str, bool], Baseline] = {}
        self._signals: list[str] = []
        self._countries: list[Entity] = []
        self._frozen: frozenset[SeriesKey] = frozenset()
        self._mask = np.zeros(0, dtype=bool)

    def step(
        self,
        time: datetime,
        bins: Sequence[Bin],
        *,
        frozen: Collection[SeriesKey] = (),
        expected: Collection[SeriesKey] = (),
    ) -> list[Level]:
        """Judge the interval that starts at `time`; see `netwatch.protocols.Detector`."""
        bins = [entry for entry in bins if not self._is_composed(entry.series)]
        self.admit([entry.series for entry in bins], time)
        state = self._core.state
        values = np.full(len(state.keys), np.nan)
        totals = np.full(len(state.keys), np.nan)
        for entry in bins:
            row = state.rows[entry.series]
            values[row] = entry.value
            if entry.total is not None:
                totals[row] = entry.total
                state.share[row] = True
        self.expect_losses(expected)
        judged = self.judge(time, values, totals, frozen=frozen)
        alone = [self.level(judged, row, time) for row in np.flatnonzero(judged.ready).tolist()]
        return alone + self.fused_levels(judged, time)

    def add_log_likelihoods(self, evidence: Mapping[SeriesKey, float]) -> None:
        """Take log likelihood ratios of a loss from elsewhere, before the next interval."""
        rows = self._core.state.rows
        known = [key for key in evidence if key in rows]
        places = np.array([rows[key] for key in known], np.intp)
        self._core.add_log_likelihoods(places, np.array([evidence[key] for key in known], float))

    def _is_composed(self, key: SeriesKey) -> bool:
        """Return whether a series is the weighted mean of those of its entity's networks."""
        return key.entity in self._networks and signal_spec(key.signal).aggregated

    def admit(self, keys: Sequence[SeriesKey], time: datetime) -> None:
        """Make rows for the series among `keys` that are new, and for what they are parts of."""
        state = self._core.state
        new = [key for key in dict.fromkeys(keys) if key not in state.rows]
        if new:
            state.add(new + self._new_parents(new), time)
            self._map_composites()

    def judge(
        self,
        time: datetime,
        values: Floats,
        totals: Floats,
        *,
        frozen: Collection[SeriesKey] = (),
    ) -> StepResult:
        """Judge one interval given as arrays, a value and a total a row (NaN: no data, no total).

        Rows are those of `rows`; `admit` makes them. This is `step` without its objects, for
        years of figures.
        """
        held = self._held(frozenset(frozen))
        return self._core.step(time, values, totals, held)

    def look(self, time: datetime, values: Floats, totals: Floats) -> Residuals:
        """Compare one interval with what is ordinary: the first half of `judge`.

        Whoever judges countries in different processes puts their `Residuals.shifts` together,
        over `signals` and `countries`, asks a `NuisanceTest` of all of them which signals are
        at fault, and shows each process its part of the answer: see `decide`.
        """
        return self._core.look(time, values, totals)

    def decide(self, look: Residuals, faulty: Bools, held: Bools) -> StepResult:
        """Judge what `look` saw: the second half of `judge`.

        `faulty` says which of `signals` are at fault in which of `countries`; `held` which
        rows may learn nothing.
        """
        return self._core.judge(look, faulty, held)

    def expect_losses(self, keys: Collection[SeriesKey]) -> None:
        """Say of which series a loss is expected, as on the days before, for one interval."""
        rows = self._core.state.rows
        self._core.expect_losses(np.array([rows[key] for key in keys if key in rows], np.intp))

    def set_shares(self, share: npt.NDArray[np.bool_]) -> None:
        """Say which rows are successes out of a total, for figures given as arrays."""
        self._core.state.share = share

    @property
    def signals(self) -> Sequence[str]:
        """The signals, in the order of the rows of `Residuals.shifts`."""
        return self._signals

    @property
    def countries(self) -> Sequence[Entity]:
        """The countries, in the order of the columns of `Residuals.shifts`."""
        return self._countries

    @property
    def wider(self) -> Collection[Entity]:
        """The entities that are judged by their networks; bins of their own are not used."""
        return self._networks.keys()

    @property
    def rows(self) -> dict[SeriesKey, int]:
        """The row of every series."""
        return self._core.state.rows

    def level(self, judged: StepResult, row: int, time: datetime) -> Level:
        """Return one row of what was judged as a level."""
        return self.levels(judged, [row], time)[0]

    def levels(self, judged: StepResult, rows: Sequence[int], time: datetime) -> list[Level]:
        """Return some rows of what was judged as levels."""
        keys = self._core.state.keys
        said = judged.probability[rows].tolist(), judged.count[rows].tolist()
        return self._levels(judged, rows, time, keys=(keys[row] for row in rows), said=said)

    def _levels(
        self,
        judged: StepResult,
        rows: Sequence[int],
        time: datetime,
        *,
        keys: Iterable[SeriesKey],
        said: tuple[Sequence[float], Sequence[int]],
    ) -> list[Level]:
        """Return levels with the values of `rows`, and series, probabilities and networks given."""
        values = judged.ratio[rows].tolist(), judged.low[rows].tolist(), judged.high[rows].tolist()
        coverage = judged.coverage[rows].tolist()
        baselines = self._baselines_of(rows, time, judged)
        return [
            # NaN is not itself.
            Level(time, key, ratio, low, high, chance, covered, networks, baseline)
            if ratio == ratio  # noqa: PLR0124 - NaN is not itself
            else Level(time, key, None, None, None, chance, covered, networks, baseline)
            for key, ratio, low, high, chance, covered, networks, baseline in zip(
                keys, *values, said[0], coverage, said[1], baselines, strict=True
            )
        ]

    @property
    def fused(self) -> Sequence[SeriesKey]:
        """The series that several signals make together, in the order of `StepResult.fused`."""
        return self._fused

    def fused_levels(
        self, judged: StepResult, time: datetime, among: Iterable[int] | None = None
    ) -> list[Level]:
        """Return what several signals say together, all of `fused` or the places `among` it."""
        all_rows, keys = judged.fused.rows, self._core.state.keys
        numbers = [
            number
            for number in (range(len(self._fused)) if among is None else among)
            if all_rows[number] >= 0 and judged.ready[all_rows[number]]
        ]
        rows = all_rows[numbers].tolist()
        # A number is published from active signals alone.
        networks = [
            count if signal_spec(keys[row].signal).active else 0
            for row, count in zip(rows, judged.count[rows].tolist(), strict=True)
        ]
        said = judged.fused.probability[numbers].tolist(), networks
        return self._levels(
            judged, rows, time, keys=(self._fused[one] for one in numbers), said=said
        )

    def mark(self) -> DetectorMark:
        """Return what `rewind` needs to come back to this moment; no series may join between."""
        return DetectorMark(self._core.state.copy())

    def rewind(self, mark: DetectorMark) -> None:
        """Forget all that came after `mark`, which can be used again."""
        self._core.state = mark.state.copy()

    def save(self) -> bytes:
        """Return the whole state."""
        return self._core.state.save()

    def load(self, state: bytes) -> None:
        """Take up a saved state."""
        self._core = self._make_core(SeriesState.load(state, width=self._width.total_seconds()))
        self._map_composites()
        self._frozen, self._mask = frozenset(), np.zeros(0, dtype=bool)

    def _held(self, frozen: frozenset[SeriesKey]) -> npt.NDArray[np.bool_]:
        """Return which rows are frozen; most intervals freeze what the one before did."""
        keys = self._core.state.keys
        if frozen != self._frozen or len(self._mask) != len(keys):
            self._frozen = frozen
            self._mask = np.fromiter((key in frozen for key in keys), bool, len(keys))
        return self._mask

    def _make_core(self, state: SeriesState) -> StepEngine:
        """Return the arithmetic on `state`."""
        return StepEngine(
            state,
            width=self._width,
            min_history=self._least_history,
            rest_days=self._rest_days,
        )

    def _new_parents(self, keys: list[SeriesKey]) -> list[SeriesKey]:
        """Return the wider series that `keys` are the first networks of."""
        found: dict[SeriesKey, None] = {}
        for key in keys:
            for scope in self._atlas.ancestors(key.entity):
                if not signal_spec(key.signal).aggregated:
                    break
                wider = SeriesKey(key.signal, scope)
                known = wider in self._core.state.rows or scope not in self._networks
                if not known and key.entity in self._networks[scope]:
                    found[wider] = None
        return list(found)

    def _map_composites(self) -> None:
        """Point every wider series at the rows of its networks."""
        rows = self._core.state.rows
        members = []
        for key, row in rows.items():
            networks = self._networks.get(key.entity)
            if networks is not None and self._is_composed(key):
                parts = {
                    found: weight
                    for entity, weight in networks.items()
                    if (found := rows.get(SeriesKey(key.signal, entity))) is not None
                }
                members.append((row, parts))
        kin = build_row_index(self._core.state.keys, self._atlas, self._networks)
        self._core.set_layout(make_composites(members), self._groups(), self._fusion(), kin)

    def _fusion(self) -> Fusion:
        """Return the fusion of the entities that have more than one signal."""
        keys = self._core.state.keys
        # The way from one place to a site says nothing of the site: that is told apart.
        whole = [signal_spec(key.signal).incident_kind == OUTAGE for key in keys]
        seen = Counter(key.entity for key, joins in zip(keys, whole, strict=True) if joins)
        several = [entity for entity, count in seen.items() if count > 1]
        self._fused = [SeriesKey(CONNECTIVITY, entity) for entity in several]
        numbers = {entity: number for number, entity in enumerate(several)}
        return Fusion(
            np.array(
                [
                    numbers.get(key.entity, -1) if joins else -1
                    for key, joins in zip(keys, whole, strict=True)
                ],
                np.intp,
            ),
            [key.signal for key in keys],
        )

    def _groups(self) -> Groups:
        """Return the signal and country of every row; wider series are left to their networks."""
        signals: dict[str, int] = {}
        countries: dict[Entity, int] = {}
        pairs = []
        for key in self._core.state.keys:
            country = self._atlas.country(key.entity)
            if country is None or key.entity in self._networks:
                place = -1
            else:
                place = countries.setdefault(country, len(countries))
            pairs.append((signals.setdefault(key.signal, len(signals)), place))
        self._signals, self._countries = list(signals), list(countries)
        signal, country_number = zip(*pairs, strict=True) if pairs else ((), ())
        site = [key.entity.kind is EntityKind.DOMAIN for key in self._core.state.keys]
        return Groups(
            np.array(signal, np.intp), np.array(country_number, np.intp), np.array(site, bool)
        )

    def _baselines_of(
        self, rows: Sequence[int], time: datetime, judged: StepResult
    ) -> list[Baseline]:
        """Return what the ordinary levels of rows stand on, and since when they are frozen."""
        state = self._core.state
        days = np.rint(state.baseline.seen[rows] / 24).tolist()
        facts = zip(
            rows, days, state.frozen[rows].tolist(), state.low_since[rows].tolist(),
            judged.usable[rows].tolist(), strict=True,
        )  # fmt: skip
        found = []
        for row, seen, frozen, low, usable in facts:
            if low == low:  # noqa: PLR0124 - its level changes from bin to bin
                found.append(self._baseline(row, time, usable=usable))
                continue
            fact = (seen, state.baseline.kind(row), str(frozen), usable)
            known = self._baselines.get(fact)
            if known is None:
                known = self._baselines[fact] = self._baseline(row, time, usable=usable)
            found.append(known)
        return found

    def _baseline(self, row: int, time: datetime, *, usable: bool) -> Baseline:
        """Return what the ordinary level of a row stands on, and since when it is frozen."""
        state = self._core.state
        if not usable:
            return Baseline(BaselineKind.DEAD)
        since = float(state.frozen[row])
        return Baseline(
            kind=state.baseline.kind(row),
            days=round(float(state.baseline.seen[row]) / 24),
            frozen_since=datetime.fromtimestamp(since, UTC) if np.isfinite(since) else None,
            shifted_to=lasting_shift(state, row, time),
        )
