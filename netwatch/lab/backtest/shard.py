"""One parcel of a backtest, bin after bin: detector, tracker, and what both made of it.

A parcel holds whole countries, so that all that one bin's judgement needs from outside is which
signals are at fault in the world. Most of the time none is: a shard plays a stretch of bins in
the belief that every signal is sound, tells how far each was from ordinary, and plays the
stretch again where that belief was wrong. The answer is the same as if all had waited for all
in every bin.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.detect.detector import BayesFilterDetector
from netwatch.detect.state import SeriesState
from netwatch.detect.step import Residuals, StepResult
from netwatch.incidents.provisional import is_steady
from netwatch.incidents.rules import Rules
from netwatch.incidents.tracker import Tracker
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import ACTIVE_SIGNALS, signal_spec
from netwatch.model.thresholds import EVEN_PROBABILITY, LOST, LOW, MIN_NETWORKS, NOISE_PROBABILITY

COLUMNS = ("level", "low", "high", "probability")

_REMEMBERED, _LEAST_REMEMBERED = timedelta(hours=8), 6
"""How much of an entity's past the tracker keeps: time, and bins at the least."""
_NOTHING: tuple[frozenset[Entity], frozenset[SeriesKey]] = frozenset(), frozenset()


@dataclass(frozen=True, slots=True)
class Partition:
    """Whole countries and their figures, as they are sent to whoever judges them.

    Attributes:
        places: what is known of the entities.
        keys: the series, a column each.
        start, width, bins: the grid of time.
        min_history: how long a series only teaches.
        values: shape (bins, keys), NaN is no data.
        totals: the same, None where no series has trials.
    """

    places: tuple[EntityInfo, ...]
    keys: tuple[SeriesKey, ...]
    start: datetime
    width: timedelta
    bins: int
    min_history: timedelta
    values: Floats
    totals: Floats | None


@dataclass(frozen=True, slots=True)
class Describe:
    """Say which signals and countries there are."""


@dataclass(frozen=True, slots=True)
class RunSpan:
    """Play the bins from `first` to before `last`, believing every signal."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Rerun:
    """Take the last stride back, play it to before `number`, and that bin with `faulty`."""

    first: int
    number: int
    faulty: Bools


@dataclass(frozen=True, slots=True)
class Predict:
    """Only say how far the signals of bin `number` are from ordinary."""

    number: int


@dataclass(frozen=True, slots=True)
class Update:
    """Judge the bin that was peeked at; `faulty` has shape (signals, countries)."""

    faulty: Bools


@dataclass(frozen=True, slots=True)
class Result:
    """Say what it all came to."""


Order = Describe | RunSpan | Rerun | Predict | Update | Result


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a parcel came to.

    Attributes:
        entities: the judged entities, in order.
        found: level, low, high and probability, each of shape (bins, entities).
        counts: how many values each entity's fullest series has, shape (entities,).
        ready: which entities were ever old enough to be judged, shape (entities,).
        incidents: newest revision of each incident, and the bin in which it was first told.
    """

    entities: tuple[Entity, ...]
    found: dict[str, Floats]
    counts: npt.NDArray[np.intp]
    ready: Bools
    incidents: tuple[tuple[int, Incident], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to an order.

    Attributes:
        shifts: how far signals are from ordinary, shape (bins, signals, countries).
        signals, countries: their names, in that order, to whom they introduce themselves.
        result: what it all came to.
    """

    shifts: Floats
    signals: tuple[str, ...] = ()
    countries: tuple[Entity, ...] = ()
    result: ShardResult | None = None


_NO_SHIFTS = np.zeros((0, 0, 0))


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a stride began."""

    detector: SeriesState
    tracker: bytes
    incidents: dict[str, tuple[int, Incident]]
    shown: RowArray


class Shard:
    """Judges one parcel, as told."""

    def __init__(self, parcel: Partition) -> None:
        """Lay out the rows of `parcel`."""
        atlas = EntityTree(parcel.places)
        self._parcel = parcel
        self._detector = BayesFilterDetector(
            atlas, width=parcel.width, min_history=parcel.min_history
        )
        self._tracker = Tracker(atlas, width=parcel.width, rules=Rules())
        self._detector.ensure_rows(parcel.keys, parcel.start)
        rows = self._detector.rows
        shares = np.zeros(len(rows), dtype=bool)
        if parcel.totals is not None:
            shares[: len(parcel.keys)] = np.isfinite(parcel.totals).any(axis=0)
        self._detector.set_shares(shares)
        self._entities = tuple(sorted({key.entity for key in rows}))
        self._numbers = {entity: number for number, entity in enumerate(self._entities)}
        self._entity_of_row = np.array([self._numbers[key.entity] for key in rows], np.intp)
        self._signal_of_row = np.array([key.signal for key in rows])
        self._steady = np.array([is_steady(key) for key in rows], dtype=bool)
        self._lead = _lead_rows(list(rows), self._entities)
        self._together = np.array(
            [self._numbers[key.entity] for key in self._detector.fused], np.intp
        )
        keys = list(rows)
        self._lead_keys: list[SeriesKey | None] = [
            keys[row] if signal_spec(keys[row].signal).trigger else None
            for row in self._lead.tolist()
        ]
        for place, key in zip(self._together.tolist(), self._detector.fused, strict=True):
            self._lead_keys[place] = key
        self._recent = max(int(_REMEMBERED / parcel.width), _LEAST_REMEMBERED) + 1
        self._shown = np.full(len(self._entities), -1, np.intp)
        self._below = _rows_below(list(rows), atlas)
        self._found = {
            name: np.full((parcel.bins, len(self._entities)), np.nan) for name in COLUMNS
        }
        self._incidents: dict[str, tuple[int, Incident]] = {}
        self._low: tuple[frozenset[Entity], frozenset[SeriesKey]] = _NOTHING
        self._held = np.zeros(len(rows), dtype=bool)
        self._mark: _Mark | None = None
        self._peeked: tuple[int, Residuals] | None = None

    def do(self, order: Order) -> Reply:
        """Do as told."""
        match order:
            case Describe():
                names = tuple(self._detector.signals), tuple(self._detector.countries)
                return Reply(_NO_SHIFTS, *names)
            case RunSpan(first, last):
                self._mark = _Mark(
                    self._detector.snapshot(),
                    self._tracker.save(),
                    dict(self._incidents),
                    self._shown.copy(),
                )
                return Reply(self._play(first, last))
            case Rerun(first, number, faulty):
                self._rewind()
                self._play(first, number)
                self._decide(number, self._look(number), faulty)
            case Predict(number):
                look = self._look(number)
                self._peeked = number, look
                return Reply(look.shifts[None])
            case Update(faulty):
                assert self._peeked is not None, "nothing was peeked at"
                self._decide(*self._peeked, faulty)
            case Result():
                return Reply(_NO_SHIFTS, result=self._result())
        return Reply(_NO_SHIFTS)

    def _play(self, first: int, last: int) -> Floats:
        """Judge bins in the belief that no signal is at fault; return the shifts of each."""
        detector = self._detector
        sound = np.zeros((len(detector.signals), len(detector.countries)), dtype=bool)
        shifts = np.full((last - first, *sound.shape), np.nan)
        for number in range(first, last):
            look = self._look(number)
            shifts[number - first] = look.shifts
            self._decide(number, look, sound)
        return shifts

    def _rewind(self) -> None:
        """Go back to where the last stride began."""
        assert self._mark is not None, "no stride to take back"
        self._detector.restore(self._mark.detector)
        self._tracker.load(self._mark.tracker)
        self._incidents, self._shown = dict(self._mark.incidents), self._mark.shown.copy()
        self._low = _NOTHING
        self._held = np.zeros(len(self._detector.rows), dtype=bool)

    def _look(self, number: int) -> Residuals:
        """Compare one bin with what is ordinary."""
        size = len(self._detector.rows)
        values, totals = np.full(size, np.nan), np.full(size, np.nan)
        count = len(self._parcel.keys)
        values[:count] = self._parcel.values[number]
        if self._parcel.totals is not None:
            totals[:count] = self._parcel.totals[number]
        return self._detector.predict(self._time(number), values, totals)

    def _decide(self, number: int, look: Residuals, faulty: Bools) -> None:
        """Judge one bin, and follow the incidents that it may matter to."""
        self._detector.expect_losses(self._tracker.expected(self._time(number)))
        judged = self._detector.update(look, faulty, self._frozen())
        if not judged.ready.any():
            return
        self._keep(number, judged)
        levels = self._interesting(number, judged)
        if levels:
            for revision in self._tracker.step(levels):
                told, _ = self._incidents.get(revision.id, (number, revision))
                self._incidents[revision.id] = told, revision

    def _frozen(self) -> Bools:
        """Return which rows may learn nothing: all that is part of a scope that is low."""
        scopes, series = self._tracker.low_scopes()
        low = frozenset(scopes), frozenset(series)
        if low != self._low:
            self._low = low
            self._held = np.zeros(len(self._detector.rows), dtype=bool)
            for scope in scopes:
                self._held[self._below[scope]] = True
            for key in series:
                below = self._below[key.entity]
                self._held[below[self._signal_of_row[below] == key.signal]] = True
        return self._held

    def _keep(self, number: int, judged: StepResult) -> None:
        """Keep the levels of one bin; what several signals say together where they do."""
        rows = self._lead.copy()
        seen = judged.fused.rows >= 0
        rows[self._together[seen]] = judged.fused.rows[seen]
        ready = judged.ready[rows]
        columns = (judged.ratio, judged.low, judged.high, judged.probability)
        for name, values in zip(COLUMNS, columns, strict=True):
            self._found[name][number] = np.where(ready, values[rows], np.nan)
        chance = self._found["probability"][number]
        chance[self._together[seen]] = judged.fused.probability[seen]

    def _interesting(self, number: int, judged: StepResult) -> list[Level]:
        """Return the levels that may matter to an incident; ordinary ones never do."""
        ratio, chance = judged.ratio, judged.probability
        with np.errstate(invalid="ignore"):
            known = (chance > NOISE_PROBABILITY) | (judged.networks >= MIN_NETWORKS) | self._steady
            reduced = (ratio < LOW) & known
            suspect = reduced | (chance > EVEN_PROBABILITY) | (ratio < LOST)
        odd = np.zeros(len(self._entities), dtype=bool)
        odd[self._entity_of_row[suspect & judged.ready]] = True
        odd[self._together[judged.fused.probability > EVEN_PROBABILITY]] = True
        watched = self._tracker.drop_quiet()
        if not watched and not odd.any():
            return []
        for entity in watched:
            odd[self._numbers[entity]] = True
        self._recall(number, np.flatnonzero(odd))
        time = self._time(number)
        rows = np.flatnonzero(odd[self._entity_of_row] & judged.ready)
        levels = self._detector.levels(judged, rows.tolist(), time)
        together = np.flatnonzero(odd[self._together])
        return levels + self._detector.fused_levels(judged, time, together.tolist())

    def _recall(self, number: int, places: RowArray) -> None:
        """Show the tracker what it missed of entities that it has not seen of late."""
        late = places[self._shown[places] < number - 1]
        for place in late.tolist():
            key = self._lead_keys[place]
            if key is not None:
                missed = np.arange(self._shown[place] + 1, number)
                if len(missed) > 2 * self._recent:
                    missed = np.concatenate([missed[: self._recent], missed[-self._recent :]])
                level, chance = self._found["level"], self._found["probability"]
                missed = missed[np.isfinite(level[missed, place])]
                values = level[missed, place].tolist(), chance[missed, place].tolist()
                for one, value, likely in zip(missed.tolist(), *values, strict=True):
                    past = Level(self._time(one), key, value, value, value, likely)
                    self._tracker.recall(past)
        self._shown[places] = number

    def _time(self, number: int) -> datetime:
        """Return the start of a bin."""
        return self._parcel.start + number * self._parcel.width

    def _result(self) -> ShardResult:
        """Return what it all came to."""
        count = np.zeros(len(self._detector.rows), np.intp)
        count[: len(self._parcel.keys)] = np.isfinite(self._parcel.values).sum(axis=0)
        values = np.zeros(len(self._entities), np.intp)
        np.maximum.at(values, self._entity_of_row, count)
        ready = np.isfinite(self._found["probability"]).any(axis=0)
        return ShardResult(
            self._entities, self._found, values, ready, tuple(self._incidents.values())
        )


def _lead_rows(keys: list[SeriesKey], entities: tuple[Entity, ...]) -> RowArray:
    """Return for every entity the row of its leading signal: active ones first."""
    order = {name: place for place, name in enumerate(ACTIVE_SIGNALS)}
    found: dict[Entity, int] = {}
    ranked = sorted(
        enumerate(keys), key=lambda one: (order.get(one[1].signal, len(order)), one[1].signal)
    )
    for row, key in ranked:
        found.setdefault(key.entity, row)
    return np.array([found[entity] for entity in entities], np.intp)


def _rows_below(keys: list[SeriesKey], atlas: EntityTree) -> dict[Entity, RowArray]:
    """Return for every entity the rows that are about it or about a part of it."""
    found: dict[Entity, list[int]] = {}
    for row, key in enumerate(keys):
        for scope in (key.entity, *atlas.ancestors(key.entity)):
            found.setdefault(scope, []).append(row)
    return {scope: np.array(rows, np.intp) for scope, rows in found.items()}
