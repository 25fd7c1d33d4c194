"""One partition of a backtest, bin after bin: detector, tracker and their results.

A partition holds whole countries, so the evaluation of a bin needs only one thing from outside:
the signals that are at fault worldwide. Most of the time none is. A shard therefore runs a span
of bins as if every signal were sound and returns the shift of each; the span is run again if a
signal was at fault in it. The result is the same as with a barrier in every bin.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.config import IncidentConfig
from netwatch.detect.detector import BayesFilterDetector
from netwatch.detect.state import SeriesState
from netwatch.detect.step import Residuals, StepResult
from netwatch.incidents.provisional import is_steady
from netwatch.incidents.tracker import Tracker
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import ACTIVE_SIGNALS, signal_spec
from netwatch.model.thresholds import EVEN_PROBABILITY, LOST, LOW, MIN_NETWORKS, NOISE_PROBABILITY

COLUMNS = ("level", "low", "high", "probability")

_TRACKER_PAST, _MIN_TRACKER_PAST = timedelta(hours=8), 6
"""Past of an entity that the tracker keeps: time, and bins at least."""
_NOTHING: tuple[frozenset[Entity], frozenset[SeriesKey]] = frozenset(), frozenset()


@dataclass(frozen=True, slots=True)
class Partition:
    """Whole countries and their values, as sent to a worker.

    Attributes:
        infos: descriptions of the entities.
        keys: the series, one column each.
        start, width, bins: the grid of time.
        min_history: history of a series that only teaches.
        values: shape (bins, keys), NaN is no data.
        totals: the same, None if no series has trials.
    """

    infos: tuple[EntityInfo, ...]
    keys: tuple[SeriesKey, ...]
    start: datetime
    width: timedelta
    bins: int
    min_history: timedelta
    values: Floats
    totals: Floats | None


@dataclass(frozen=True, slots=True)
class Describe:
    """Return the signals and countries."""


@dataclass(frozen=True, slots=True)
class RunSpan:
    """Run the bins from `first` to before `last` as if every signal were sound."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Rerun:
    """Undo the last span, run it to before `number`, and that bin with `faulty`."""

    first: int
    number: int
    faulty: Bools


@dataclass(frozen=True, slots=True)
class Predict:
    """Return the shifts of bin `number` and change nothing."""

    number: int


@dataclass(frozen=True, slots=True)
class Update:
    """Run the bin of the last `Predict`; `faulty` has shape (signals, countries)."""

    faulty: Bools


@dataclass(frozen=True, slots=True)
class Result:
    """Return the results of all bins."""


Command = Describe | RunSpan | Rerun | Predict | Update | Result


@dataclass(frozen=True, slots=True)
class ShardResult:
    """Results of a partition.

    Attributes:
        columns: level, low, high and probability, each of shape (bins, entities).
        counts: number of values of each entity's fullest series.
        ready: entities that ever had an ordinary level.
        incidents: newest revision of each incident, and the bin of its first one.
    """

    entities: tuple[Entity, ...]
    columns: dict[str, Floats]
    counts: npt.NDArray[np.intp]
    ready: Bools
    incidents: tuple[tuple[int, Incident], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply to a command.

    Attributes:
        shifts: shifts of signals from ordinary, shape (bins, signals, countries).
        signals, countries: their names in that order; only in reply to `Describe`.
        result: only in reply to `Result`.
    """

    shifts: Floats = field(default_factory=lambda: np.zeros((0, 0, 0)))
    signals: tuple[str, ...] = ()
    countries: tuple[Entity, ...] = ()
    result: ShardResult | None = None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    detector: SeriesState
    tracker: bytes
    incidents: dict[str, tuple[int, Incident]]
    last_shown: RowArray


class Shard:
    """Runs commands on one partition."""

    def __init__(self, partition: Partition) -> None:
        tree = EntityTree(partition.infos)
        self._partition = partition
        self._detector = BayesFilterDetector(
            tree, width=partition.width, min_history=partition.min_history
        )
        self._tracker = Tracker(tree, width=partition.width, config=IncidentConfig())
        self._detector.ensure_rows(partition.keys, partition.start)
        keys = list(self._detector.rows)
        is_share = np.zeros(len(keys), dtype=bool)
        if partition.totals is not None:
            is_share[: len(partition.keys)] = np.isfinite(partition.totals).any(axis=0)
        self._detector.set_shares(is_share)
        self._entities = tuple(sorted({key.entity for key in keys}))
        self._numbers = {entity: number for number, entity in enumerate(self._entities)}
        self._entity_of_row = np.array([self._numbers[key.entity] for key in keys], np.intp)
        self._signal_of_row = np.array([key.signal for key in keys])
        self._steady = np.array([is_steady(key) for key in keys], dtype=bool)
        self._lead_rows = _lead_rows(keys, self._entities)
        fused = self._detector.fused
        self._fused = np.array([self._numbers[key.entity] for key in fused], np.intp)
        self._trigger_keys: list[SeriesKey | None] = [
            keys[row] if signal_spec(keys[row].signal).trigger else None for row in self._lead_rows
        ]
        for entity, key in zip(self._fused.tolist(), fused, strict=True):
            self._trigger_keys[entity] = key
        past = max(int(_TRACKER_PAST / partition.width), _MIN_TRACKER_PAST)
        self._recalled_bins = past + 1
        self._last_shown = np.full(len(self._entities), -1, np.intp)
        self._rows_in = _rows_in(keys, tree)
        shape = (partition.bins, len(self._entities))
        self._columns = {name: np.full(shape, np.nan) for name in COLUMNS}
        self._incidents: dict[str, tuple[int, Incident]] = {}
        self._frozen_scopes = _NOTHING
        self._frozen_rows = np.zeros(len(keys), dtype=bool)
        self._snapshot: _Snapshot | None = None
        self._predicted: tuple[int, Residuals] | None = None

    def run(self, command: Command) -> Reply:
        """Run a command."""
        match command:
            case Describe():
                signals, countries = self._detector.signals, self._detector.countries
                return Reply(signals=tuple(signals), countries=tuple(countries))
            case RunSpan(first, last):
                self._snapshot = _Snapshot(
                    self._detector.snapshot(),
                    self._tracker.save(),
                    self._incidents.copy(),
                    self._last_shown.copy(),
                )
                return Reply(self._run_span(first, last))
            case Rerun(first, number, faulty):
                self._restore()
                self._run_span(first, number)
                self._update(number, self._predict(number), faulty)
            case Predict(number):
                residuals = self._predict(number)
                self._predicted = number, residuals
                return Reply(residuals.shifts[None])
            case Update(faulty):
                assert self._predicted is not None, "no prediction to update"
                self._update(*self._predicted, faulty)
            case Result():
                return Reply(result=self._result())
        return Reply()

    def _run_span(self, first: int, last: int) -> Floats:
        """Run bins as if no signal were at fault; return the shifts of each."""
        detector = self._detector
        sound = np.zeros((len(detector.signals), len(detector.countries)), dtype=bool)
        shifts = np.full((last - first, *sound.shape), np.nan)
        for number in range(first, last):
            residuals = self._predict(number)
            shifts[number - first] = residuals.shifts
            self._update(number, residuals, sound)
        return shifts

    def _restore(self) -> None:
        assert self._snapshot is not None, "no span to undo"
        self._detector.restore(self._snapshot.detector)
        self._tracker.load(self._snapshot.tracker)
        self._incidents = self._snapshot.incidents.copy()
        self._last_shown = self._snapshot.last_shown.copy()
        self._frozen_scopes = _NOTHING
        self._frozen_rows = np.zeros(len(self._detector.rows), dtype=bool)

    def _predict(self, number: int) -> Residuals:
        partition, size = self._partition, len(self._detector.rows)
        values, totals = np.full(size, np.nan), np.full(size, np.nan)
        values[: len(partition.keys)] = partition.values[number]
        if partition.totals is not None:
            totals[: len(partition.keys)] = partition.totals[number]
        return self._detector.predict(self._time(number), values, totals)

    def _update(self, number: int, residuals: Residuals, faulty: Bools) -> None:
        self._detector.expect_losses(self._tracker.expected(self._time(number)))
        result = self._detector.update(residuals, faulty, self._find_frozen_rows())
        if not result.ready.any():
            return
        self._record(number, result)
        levels = self._relevant_levels(number, result)
        if levels:
            for revision in self._tracker.step(levels):
                first, _ = self._incidents.get(revision.id, (number, revision))
                self._incidents[revision.id] = first, revision

    def _find_frozen_rows(self) -> Bools:
        """Return the rows that learn nothing: all of a frozen scope."""
        scopes, series = self._tracker.frozen_scopes()
        frozen = frozenset(scopes), frozenset(series)
        if frozen != self._frozen_scopes:
            self._frozen_scopes = frozen
            self._frozen_rows = np.zeros(len(self._detector.rows), dtype=bool)
            for scope in scopes:
                self._frozen_rows[self._rows_in[scope]] = True
            for key in series:
                rows = self._rows_in[key.entity]
                self._frozen_rows[rows[self._signal_of_row[rows] == key.signal]] = True
        return self._frozen_rows

    def _record(self, number: int, result: StepResult) -> None:
        rows = self._lead_rows.copy()
        fused = result.fused.rows >= 0
        rows[self._fused[fused]] = result.fused.rows[fused]
        ready = result.ready[rows]
        columns = (result.ratio, result.low, result.high, result.probability)
        for name, values in zip(COLUMNS, columns, strict=True):
            self._columns[name][number] = np.where(ready, values[rows], np.nan)
        self._columns["probability"][number, self._fused[fused]] = result.fused.probability[fused]

    def _relevant_levels(self, number: int, result: StepResult) -> list[Level]:
        """Return the levels that may matter to an incident; ordinary ones never do."""
        ratio, chance = result.ratio, result.probability
        with np.errstate(invalid="ignore"):
            # As `incidents.excursion.is_low`; steady series count from the first low bin.
            credible = (chance > NOISE_PROBABILITY) | (result.networks >= MIN_NETWORKS)
            low = (ratio < LOW) & (credible | self._steady)
            suspect = low | (chance > EVEN_PROBABILITY) | (ratio < LOST)
        relevant = np.zeros(len(self._entities), dtype=bool)
        relevant[self._entity_of_row[suspect & result.ready]] = True
        relevant[self._fused[result.fused.probability > EVEN_PROBABILITY]] = True
        followed = [self._numbers[entity] for entity in self._tracker.drop_quiet()]
        relevant[followed] = True
        if not relevant.any():
            return []
        self._recall(number, np.flatnonzero(relevant))
        time = self._time(number)
        rows = np.flatnonzero(relevant[self._entity_of_row] & result.ready)
        levels = self._detector.levels(result, rows.tolist(), time)
        fused = np.flatnonzero(relevant[self._fused])
        return levels + self._detector.fused_levels(result, time, fused.tolist())

    def _recall(self, number: int, entities: RowArray) -> None:
        """Show the tracker the past levels of entities that were not relevant recently."""
        for entity in entities[self._last_shown[entities] < number - 1].tolist():
            key = self._trigger_keys[entity]
            if key is not None:
                missed = np.arange(self._last_shown[entity] + 1, number)
                if len(missed) > 2 * self._recalled_bins:
                    ends = missed[: self._recalled_bins], missed[-self._recalled_bins :]
                    missed = np.concatenate(ends)
                level, chance = self._columns["level"], self._columns["probability"]
                missed = missed[np.isfinite(level[missed, entity])]
                values = level[missed, entity].tolist(), chance[missed, entity].tolist()
                for past, value, likely in zip(missed.tolist(), *values, strict=True):
                    self._tracker.backfill(
                        Level(self._time(past), key, value, value, value, likely)
                    )
        self._last_shown[entities] = number

    def _time(self, number: int) -> datetime:
        return self._partition.start + number * self._partition.width

    def _result(self) -> ShardResult:
        values = np.zeros(len(self._detector.rows), np.intp)
        values[: len(self._partition.keys)] = np.isfinite(self._partition.values).sum(axis=0)
        counts = np.zeros(len(self._entities), np.intp)
        np.maximum.at(counts, self._entity_of_row, values)
        ready = np.isfinite(self._columns["probability"]).any(axis=0)
        incidents = tuple(self._incidents.values())
        return ShardResult(self._entities, self._columns, counts, ready, incidents)


def _lead_rows(keys: list[SeriesKey], entities: tuple[Entity, ...]) -> RowArray:
    """Return for every entity the row of its leading signal: active ones first."""
    rank = {name: number for number, name in enumerate(ACTIVE_SIGNALS)}
    rows: dict[Entity, int] = {}
    for row in sorted(
        range(len(keys)), key=lambda row: (rank.get(keys[row].signal, len(rank)), keys[row].signal)
    ):
        rows.setdefault(keys[row].entity, row)
    return np.array([rows[entity] for entity in entities], np.intp)


def _rows_in(keys: list[SeriesKey], tree: EntityTree) -> dict[Entity, RowArray]:
    rows: dict[Entity, list[int]] = {}
    for row, key in enumerate(keys):
        for scope in (key.entity, *tree.ancestors(key.entity)):
            rows.setdefault(scope, []).append(row)
    return {scope: np.array(rows, np.intp) for scope, rows in rows.items()}
