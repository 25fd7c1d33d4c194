"""A researcher's own series through the detector: levels and incidents, as a live system's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from netwatch.arrays import Bools, Floats
from netwatch.detect.common_mode import CommonModeFilter
from netwatch.lab.backtest.executors import LocalExecutor, ProcessExecutor, ShardExecutor
from netwatch.lab.backtest.output import plain_incident
from netwatch.lab.backtest.partition import Grid, cut_partitions, make_grid
from netwatch.lab.backtest.shard import (
    COLUMNS,
    Describe,
    Order,
    Partition,
    Predict,
    Reply,
    Rerun,
    Result,
    RunSpan,
    ShardResult,
    Update,
)
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident import Incident
from netwatch.sources.long_table import LongForm, make_longform

_LONGEST_STRIDE = 64
_KINDS = list(EntityKind)
_NOWHERE = "NW-XX-"


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a backtest came to.

    Attributes:
        levels: columns time, entity, level, low, high, probability; level 1.0 = ordinary.
        incidents: newest revision of each incident, oldest onset first. One that was merged has
            the end that its parent knows of; a live record leaves that to the parent.
        unjudged: entities that never had enough data, and why.
        grid: the intervals that were judged.
    """

    levels: pd.DataFrame
    incidents: list[Incident]
    unjudged: dict[Entity, str]
    grid: Grid


def _no_progress(_share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """How a backtest is run; none of it changes what comes out.

    Attributes:
        workers: processes of this machine; 1 is this one alone.
        dask: address of a Dask scheduler, whose workers judge instead.
        progress: is told the share done, 0 to 1.
        parcel: series a parcel, about.
    """

    workers: int = 1
    dask: str | None = None
    progress: Callable[[float], None] = field(default=_no_progress)
    parcel: int | None = None


def run_backtest(
    frame: pd.DataFrame, *, training_until: datetime | None = None, workers: int = 1
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Judge a long table: columns time, entity, signal, value[, total, parent, weight].

    Rows before `training_until` only teach; without it, the least history does. Returns the
    levels and the incidents as plain objects, the contents of `levels.parquet` and
    `incidents.json`.

    Raises:
        InputError: the table cannot be used.
        WorkerError: a worker went away.
    """
    figures = make_longform(frame, Path("table"))
    found = backtest_figures(
        figures, training_until=training_until, manner=BacktestOptions(workers)
    )
    return found.levels, [plain_incident(incident) for incident in found.incidents]


def backtest_figures(
    figures: LongForm,
    *,
    training_until: datetime | None = None,
    manner: BacktestOptions | None = None,
) -> Backtest:
    """Judge every bin of `figures` in order, as a live system would have.

    Raises:
        InputError: `training_until` leaves nothing to learn from, or nothing to judge.
        WorkerError: a worker went away.
    """
    manner = manner or BacktestOptions()
    grid = make_grid(figures, training_until)
    parcels = cut_partitions(figures, grid, series=manner.parcel)
    crew = _make_crew(parcels, manner)
    try:
        results = _Run(crew, grid, len(parcels)).play(manner.progress)
    finally:
        crew.close()
    manner.progress(1.0)
    return Backtest(
        _levels(results, grid), _incidents(results), _unjudged(figures, results, grid), grid
    )


def _make_crew(parcels: Sequence[Partition], manner: BacktestOptions) -> ShardExecutor:
    """Return who judges the parcels."""
    if manner.dask is not None:
        from netwatch.lab.backtest.dask_executor import DaskExecutor  # noqa: PLC0415 - an extra

        return DaskExecutor(parcels, manner.dask)
    if manner.workers > 1:
        return ProcessExecutor(parcels, manner.workers)
    return LocalExecutor(parcels)


class _Run:
    """Leads a crew through all bins; knows of them only how far signals are from ordinary."""

    def __init__(self, crew: ShardExecutor, grid: Grid, parcels: int) -> None:
        self._crew, self._grid, self._parcels = crew, grid, parcels
        self._test = CommonModeFilter(grid.width)
        replies = crew.ask([Describe()] * parcels)
        names = sorted({name for reply in replies for name in reply.signals})
        rows = {name: row for row, name in enumerate(names)}
        first, self._parts = 0, []
        for reply in replies:
            last = first + len(reply.countries)
            mine = np.array([rows[name] for name in reply.signals], np.intp)
            self._parts.append((mine, slice(first, last)))
            first = last
        self._shape = len(names), first

    def play(self, progress: Callable[[float], None]) -> list[ShardResult]:
        """Judge all bins; return what the parcels came to."""
        position, span = 0, 1
        while position < self._grid.bins:
            last = min(position + span, self._grid.bins)
            if span == 1:
                fault, position = self._step(position), last
            else:
                fault, position = self._stride(position, last)
            span = 1 if fault else min(2 * span, _LONGEST_STRIDE)
            progress(0.98 * position / self._grid.bins)
        replies = self._crew.ask([Result()] * self._parcels)
        return [reply.result for reply in replies if reply.result is not None]

    def _step(self, number: int) -> bool:
        """Judge one bin in two phases; return whether a signal was at fault in it."""
        replies = self._crew.ask([Predict(number)] * self._parcels)
        faulty = self._test.faulty_signals(self._together(replies)[0])
        self._crew.ask([Update(faulty[rows, columns]) for rows, columns in self._parts])
        return bool(faulty.any())

    def _stride(self, first: int, last: int) -> tuple[bool, int]:
        """Judge bins as if no signal were at fault; return whether one was, and where to go on."""
        replies = self._crew.ask([RunSpan(first, last)] * self._parcels)
        for number, shifts in enumerate(self._together(replies), first):
            faulty = self._test.faulty_signals(shifts)
            if faulty.any():
                orders: list[Order] = [
                    Rerun(first, number, faulty[rows, columns]) for rows, columns in self._parts
                ]
                self._crew.ask(orders)
                return True, number + 1
        return False, last

    def _together(self, replies: Sequence[Reply]) -> Floats:
        """Return the shifts of all parcels, shape (bins, signals, countries)."""
        bins = max(len(reply.shifts) for reply in replies)
        found = np.full((bins, *self._shape), np.nan)
        for (rows, columns), reply in zip(self._parts, replies, strict=True):
            found[:, rows, columns] = reply.shifts
        return found


def _levels(results: Sequence[ShardResult], grid: Grid) -> pd.DataFrame:
    """Return the levels as a table, in order of time and entity; rows without one left out."""
    entities = [entity for result in results for entity in result.entities]
    order = np.array(sorted(range(len(entities)), key=lambda number: entities[number]), np.intp)
    names = pd.Index([str(entities[number]) for number in order])

    def column(name: str) -> Floats:
        return np.hstack([result.found[name] for result in results])[:, order]

    level = column("level")
    known: Bools = np.isfinite(level)
    lines, places = np.nonzero(known)
    start, width = pd.Timestamp(grid.start), pd.Timedelta(grid.width)
    times = pd.date_range(start, periods=grid.bins, freq=width)
    table = {"time": times[lines], "entity": names[places]}
    return pd.DataFrame(table | {name: column(name)[known] for name in COLUMNS})


def _incidents(results: Sequence[ShardResult]) -> list[Incident]:
    """Return the incidents of all parcels, oldest onset first.

    Those of no country are numbered in each parcel by itself, and here anew in the order in
    which they were first told, as one tracker of all of them would have.
    """
    told = [
        (bin_, number, incident)
        for number, result in enumerate(results)
        for bin_, incident in result.incidents
    ]
    nowhere = sorted(
        (one for one in told if one[2].id.startswith(_NOWHERE)),
        key=lambda one: (one[0], _KINDS.index(one[2].entity.kind), one[2].entity.code),
    )
    count: dict[str, int] = {}
    names: dict[tuple[int, str], str] = {}
    for _, number, incident in nowhere:
        prefix = incident.id.rpartition("-")[0]
        count[prefix] = count.get(prefix, 0) + 1
        names[number, incident.id] = f"{prefix}-{count[prefix]:04d}"
    found = [
        replace(
            incident,
            id=names.get((number, incident.id), incident.id),
            merged_into=names.get((number, incident.merged_into or ""), incident.merged_into),
        )
        for _, number, incident in told
    ]
    by_name = {one.id: one for one in found}
    found = [_ended(one, by_name.get(one.merged_into or "")) for one in found]
    return sorted(found, key=lambda one: (one.started_at, one.id))


def _ended(incident: Incident, parent: Incident | None) -> Incident:
    """Return an incident that was merged with the end that its parent knows of it."""
    if parent is None or incident.ended_at is not None:
        return incident
    ends = [child.ended_at for child in parent.affected if child.entity == incident.entity]
    return replace(incident, ended_at=ends[-1]) if ends else incident


def _unjudged(figures: LongForm, results: Sequence[ShardResult], grid: Grid) -> dict[Entity, str]:
    """Return the entities without any level, and what they lack."""
    days = grid.min_history.total_seconds() / 86_400
    entities = figures.frame["entity"].astype("category").cat.categories
    values = dict.fromkeys(map(Entity.parse, entities), 0)
    for result in results:
        columns = zip(result.entities, result.counts.tolist(), result.ready, strict=True)
        for entity, count, ready in columns:
            values[entity] = -1 if ready else count
    return {
        entity: f"not enough data: {count} values; a level takes eight, and {days:.3g} days"
        for entity, count in sorted(values.items())
        if count >= 0
    }
