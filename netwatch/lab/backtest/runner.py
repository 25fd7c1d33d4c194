"""Runs the detector and the tracker over a table of past values, as a live system would."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from netwatch.arrays import Floats
from netwatch.detect.common_mode import CommonModeFilter
from netwatch.lab.backtest.executors import LocalExecutor, ProcessExecutor, ShardExecutor
from netwatch.lab.backtest.output import plain_incident
from netwatch.lab.backtest.partition import Grid, cut_partitions, make_grid
from netwatch.lab.backtest.shard import (
    COLUMNS,
    Describe,
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
from netwatch.sources.long_table import SeriesTable, make_series_table

_MAX_SPAN = 64
"""Bins that shards run without a barrier; all of them are run again after a signal's fault."""
_KINDS = list(EntityKind)
_NO_COUNTRY = "NW-XX-"
"""Start of the ids of incidents without a country."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """Results of a backtest.

    Attributes:
        levels: columns time, entity, level, low, high, probability; level 1.0 = ordinary.
        incidents: newest revision of each incident, oldest onset first. A merged one has the
            end that its parent records; a live record leaves that to the parent.
        unjudged: entities that never had enough data, and why.
        grid: the intervals.
    """

    levels: pd.DataFrame
    incidents: list[Incident]
    unjudged: dict[Entity, str]
    grid: Grid


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
    return found.levels, [plain_incident(incident) for incident in found.incidents]


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
    grid = make_grid(table, training_until)
    partitions = cut_partitions(table, grid, series=options.partition_series)
    executor = _make_executor(partitions, options)
    try:
        results = _Coordinator(executor, grid, len(partitions)).run(options.progress)
    finally:
        executor.close()
    options.progress(1.0)
    return Backtest(
        _levels(results, grid), _incidents(results), _unjudged(table, results, grid), grid
    )


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
        self._executor, self._grid, self._partitions = executor, grid, partitions
        self._filter = CommonModeFilter(grid.width)
        replies = executor.run([Describe()] * partitions)
        names = sorted({name for reply in replies for name in reply.signals})
        rows = {name: row for row, name in enumerate(names)}
        first, self._parts = 0, []
        for reply in replies:
            last = first + len(reply.countries)
            mine = np.array([rows[name] for name in reply.signals], np.intp)
            self._parts.append((mine, slice(first, last)))
            first = last
        self._shape = len(names), first

    def run(self, progress: Callable[[float], None]) -> list[ShardResult]:
        first, span = 0, 1
        while first < self._grid.bins:
            last = min(first + span, self._grid.bins)
            if span == 1:
                fault, first = self._run_bin(first), last
            else:
                fault, first = self._run_span(first, last)
            span = 1 if fault else min(2 * span, _MAX_SPAN)
            progress(0.98 * first / self._grid.bins)
        replies = self._executor.run([Result()] * self._partitions)
        return [reply.result for reply in replies if reply.result is not None]

    def _run_bin(self, number: int) -> bool:
        """Run one bin in two phases; return whether a signal was at fault in it."""
        replies = self._executor.run([Predict(number)] * self._partitions)
        faulty = self._filter.faulty_signals(self._all_shifts(replies)[0])
        self._executor.run([Update(faulty[rows, columns]) for rows, columns in self._parts])
        return bool(faulty.any())

    def _run_span(self, first: int, last: int) -> tuple[bool, int]:
        """Run bins without a barrier; return whether a signal was at fault, and the next bin."""
        replies = self._executor.run([RunSpan(first, last)] * self._partitions)
        for number, shifts in enumerate(self._all_shifts(replies), first):
            faulty = self._filter.faulty_signals(shifts)
            if faulty.any():
                self._executor.run(
                    [Rerun(first, number, faulty[rows, columns]) for rows, columns in self._parts]
                )
                return True, number + 1
        return False, last

    def _all_shifts(self, replies: Sequence[Reply]) -> Floats:
        """Return the shifts of all partitions, shape (bins, signals, countries)."""
        bins = max(len(reply.shifts) for reply in replies)
        shifts = np.full((bins, *self._shape), np.nan)
        for (rows, columns), reply in zip(self._parts, replies, strict=True):
            shifts[:, rows, columns] = reply.shifts
        return shifts


def _levels(results: Sequence[ShardResult], grid: Grid) -> pd.DataFrame:
    entities = [entity for result in results for entity in result.entities]
    order = np.array(sorted(range(len(entities)), key=lambda number: entities[number]), np.intp)
    names = pd.Index([str(entities[number]) for number in order])
    columns = {
        name: np.hstack([result.columns[name] for result in results])[:, order] for name in COLUMNS
    }
    known = np.isfinite(columns["level"])
    bins, places = np.nonzero(known)
    start, width = pd.Timestamp(grid.start), pd.Timedelta(grid.width)
    times = pd.date_range(start, periods=grid.bins, freq=width)
    table = {"time": times[bins], "entity": names[places]}
    return pd.DataFrame(table | {name: column[known] for name, column in columns.items()})


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


def _unjudged(table: SeriesTable, results: Sequence[ShardResult], grid: Grid) -> dict[Entity, str]:
    days = grid.min_history.total_seconds() / 86_400
    entities = table.frame["entity"].astype("category").cat.categories
    counts = dict.fromkeys(map(Entity.parse, entities), 0)
    for result in results:
        counts |= zip(result.entities, result.counts.tolist(), strict=True)
    ready = {
        entity
        for result in results
        for entity, judged in zip(result.entities, result.ready, strict=True)
        if judged
    }
    return {
        entity: f"not enough data: {count} values; a level takes eight, and {days:.3g} days"
        for entity, count in sorted(counts.items())
        if entity not in ready
    }
