"""Runs the detector and the tracker over a table of past values, as a live system would."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from netwatch.arrays import Bools, Floats
from netwatch.detect.common_mode import faulty_signals
from netwatch.lab.backtest.executors import LocalExecutor, ProcessExecutor, ShardExecutor
from netwatch.lab.backtest.output import long_levels, plain_incident
from netwatch.lab.backtest.partition import cut_partitions, make_grid, min_history
from netwatch.lab.backtest.shard import Shard, ShardResult
from netwatch.lab.backtest.time_grid import COLUMNS, Grid, Levels, Partition
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident import Incident
from netwatch.sources.long_table import SeriesTable, make_series_table

_MAX_SPAN = 64
"""Bins that shards run without a barrier; they run again up to an unexpected fault."""
_KINDS = list(EntityKind)
_NO_COUNTRY = "NW-XX-"
"""Start of the ids of incidents without a country."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """Results of a backtest.

    Attributes:
        entities: the entities, in order.
        levels: their levels.
        incidents: newest revision of each incident, oldest onset first. A merged one has the
            end that its parent records; a live record leaves that to the parent.
        unjudged: entities that never had enough data, and why.
        grid: the intervals.
    """

    entities: tuple[Entity, ...]
    levels: Levels
    incidents: list[Incident]
    unjudged: dict[Entity, str]
    grid: Grid

    def long_levels(self) -> pd.DataFrame:
        """Return the table of `levels.parquet`."""
        return long_levels(self.levels, self.grid, self.entities)


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """How a backtest is run; the results do not depend on it.

    Attributes:
        workers: processes of this machine; 1 is this one alone.
        dask: address of a Dask scheduler whose workers are used instead.
        progress: called with the share done, 0 to 1.
        partition_series: about how many series a partition has.
    """

    workers: int = 1
    dask: str | None = None
    progress: Callable[[float], None] = lambda _share: None
    partition_series: int | None = None


def run_backtest(
    frame: pd.DataFrame, *, training_until: datetime | None = None, workers: int = 1
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Judge a long table: columns time, entity, signal, value[, total, parent, weight].

    Rows before `training_until` only teach; without it, the minimum history does. Returns the
    levels and the incidents as plain objects, the contents of `levels.parquet` and
    `incidents.json`.

    Raises:
        InputError: the table cannot be used.
        WorkerError: a worker is lost.
    """
    table = make_series_table(frame, Path("table"))
    found = backtest_series(table, training_until=training_until, options=BacktestOptions(workers))
    return found.long_levels(), [plain_incident(incident) for incident in found.incidents]


def backtest_series(
    table: SeriesTable,
    *,
    training_until: datetime | None = None,
    options: BacktestOptions | None = None,
) -> Backtest:
    """Judge every bin of `table` in order, as a live system would.

    Raises:
        InputError: `training_until` leaves nothing to learn from, or nothing to judge.
        WorkerError: a worker is lost.
    """
    options = options or BacktestOptions()
    grid = make_grid(table)
    history = min_history(grid, training_until)
    partitions = cut_partitions(table, grid, history=history, series=options.partition_series)
    executor = _make_executor(partitions, options)
    try:
        results = _Coordinator(executor, grid, len(partitions)).run(options.progress)
    finally:
        executor.close()
    options.progress(1.0)
    entities, levels = _join_levels(results)
    unjudged = _unjudged(table, partitions, results)
    return Backtest(entities, levels, _incidents(results), unjudged, grid)


def _make_executor(partitions: Sequence[Partition], options: BacktestOptions) -> ShardExecutor:
    if options.dask is not None:
        from netwatch.lab.backtest.dask_executor import DaskExecutor  # noqa: PLC0415 - an extra

        return DaskExecutor(partitions, options.dask)
    if options.workers > 1:
        return ProcessExecutor(partitions, options.workers)
    return LocalExecutor(partitions)


class _Coordinator:
    """Runs all shards through all bins; needs only the shifts of their signals."""

    def __init__(self, executor: ShardExecutor, grid: Grid, partitions: int) -> None:
        self._executor, self._grid = executor, grid
        self._shift_scale: Floats = np.zeros(0)
        layouts = executor.run([Shard.layout] * partitions)
        names = sorted({name for signals, _ in layouts for name in signals})
        rows = {name: row for row, name in enumerate(names)}
        first, self._parts = 0, []
        for signals, countries in layouts:
            last = first + len(countries)
            mine = np.array([rows[name] for name in signals], np.intp)
            self._parts.append((mine, slice(first, last)))
            first = last
        self._shape = len(names), first

    def run(self, progress: Callable[[float], None]) -> list[ShardResult]:
        first, span = 0, 1
        faulty = np.zeros(self._shape, dtype=bool)
        while first < self._grid.bins:
            last = min(first + span, self._grid.bins)
            expected = np.tile(faulty, (last - first, 1, 1))
            faults = self._run_span(first, expected)
            first, faulty = first + len(faults), faults[-1]
            span = min(2 * span, _MAX_SPAN) if faults is expected else 1
            progress(0.98 * first / self._grid.bins)
        return self._executor.run([Shard.result] * len(self._parts))

    def _run_span(self, first: int, expected: Bools) -> Bools:
        """Run bins with `expected` faults; return the faults of those that are complete.

        These are all bins, or those up to the first in which other signals were at fault.
        """
        for number, shifts in enumerate(self._run_shards(first, expected)):
            faulty, self._shift_scale = faulty_signals(shifts, self._shift_scale, self._grid.width)
            if (faulty != expected[number]).any():
                faults = np.concatenate([expected[:number], faulty[None]])
                self._run_shards(first, faults, undo=True)
                return faults
        return expected

    def _run_shards(self, first: int, faults: Bools, *, undo: bool = False) -> Floats:
        """Return the shifts of all partitions, shape (bins, signals, countries)."""
        results = self._executor.run(
            [
                partial(Shard.run_span, first=first, faults=faults[:, rows, columns], undo=undo)
                for rows, columns in self._parts
            ]
        )
        shifts = np.full(faults.shape, np.nan)
        for (rows, columns), result in zip(self._parts, results, strict=True):
            shifts[:, rows, columns] = result
        return shifts


def _join_levels(results: Sequence[ShardResult]) -> tuple[tuple[Entity, ...], Levels]:
    entities = [entity for result in results for entity in result.entities]
    order = sorted(range(len(entities)), key=lambda number: entities[number])
    columns = {
        name: np.hstack([result.columns[name] for result in results]).T[order] for name in COLUMNS
    }
    # Without data the detector still has a probability, which only decays.
    columns["probability"][np.isnan(columns["level"])] = np.nan
    return tuple(entities[number] for number in order), Levels(**columns)


def _incidents(results: Sequence[ShardResult]) -> list[Incident]:
    """Return the incidents of all partitions, oldest onset first.

    Incidents without a country are numbered in each partition by itself, and here anew in the
    order of their first revisions, as one tracker of all partitions would.
    """
    found = [
        (first, number, incident)
        for number, result in enumerate(results)
        for first, incident in result.incidents
    ]
    unnumbered = sorted(
        (one for one in found if one[2].id.startswith(_NO_COUNTRY)),
        key=lambda one: (one[0], _KINDS.index(one[2].entity.kind), one[2].entity.code),
    )
    count: Counter[str] = Counter()
    ids: dict[tuple[int, str | None], str] = {}
    for _, number, incident in unnumbered:
        prefix = incident.id.rpartition("-")[0]
        count[prefix] += 1
        ids[number, incident.id] = f"{prefix}-{count[prefix]:04d}"
    incidents = [
        replace(
            incident,
            id=ids.get((number, incident.id), incident.id),
            merged_into=ids.get((number, incident.merged_into), incident.merged_into),
        )
        for _, number, incident in found
    ]
    by_id: dict[str | None, Incident] = {incident.id: incident for incident in incidents}
    ended = [_with_end(incident, by_id.get(incident.merged_into)) for incident in incidents]
    return sorted(ended, key=lambda incident: (incident.started_at, incident.id))


def _with_end(incident: Incident, parent: Incident | None) -> Incident:
    """Return a merged incident with the end that its parent records."""
    if parent is None or incident.ended_at is not None:
        return incident
    ends = [child.ended_at for child in parent.affected if child.entity == incident.entity]
    return replace(incident, ended_at=ends[-1]) if ends else incident


def _unjudged(
    table: SeriesTable, partitions: Sequence[Partition], results: Sequence[ShardResult]
) -> dict[Entity, str]:
    """Return why entities have no level, which needs values in their fullest series."""
    entities = table.frame["entity"].astype("category").cat.categories
    counts = dict.fromkeys(map(Entity.parse, entities), 0)
    ready: set[Entity] = set()
    for result in results:
        counts |= dict.fromkeys(result.entities, 0)
    for partition, result in zip(partitions, results, strict=True):
        values = np.isfinite(partition.values).sum(axis=0).tolist()
        for key, count in zip(partition.keys, values, strict=True):
            counts[key.entity] = max(count, counts[key.entity])
        known: Bools = np.isfinite(result.columns["probability"])
        ready |= {
            entity for entity, bins in zip(result.entities, known.T, strict=True) if bins.any()
        }
    days = partitions[0].min_history.total_seconds() / 86_400
    return {
        entity: f"not enough data: {count} values; a level takes eight, and {days:.3g} days"
        for entity, count in sorted(counts.items())
        if entity not in ready
    }
