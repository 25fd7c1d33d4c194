"""Cuts a table into partitions of whole countries, the same ones for any executor."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from netwatch.arrays import Floats, RowArray
from netwatch.lab.backtest.executors import assign
from netwatch.lab.backtest.time_grid import Grid, Partition
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.errors import InputError
from netwatch.model.series import SeriesKey
from netwatch.model.signals import signal_spec
from netwatch.sources.long_table import SeriesTable

MIN_HISTORY = timedelta(days=2)
"""History that a series needs if no training time is given: each hour of the day twice."""
PARTITION_SERIES = 2_000
"""Series a partition: their state fits the processor's cache, and fixed costs are negligible."""
_TRAINING_SHARE = 4
"""A table shorter than eight days teaches with a quarter of its length."""


def make_grid(table: SeriesTable) -> Grid:
    """Return the intervals from the first to the last of `table`."""
    first, last = table.frame["time"].iloc[0], table.frame["time"].iloc[-1]
    bins = int((last - first) // pd.Timedelta(table.width)) + 1
    return Grid(first.to_pydatetime(), table.width, bins)


def min_history(grid: Grid, training_until: datetime | None) -> timedelta:
    """Return the history of a series that only teaches.

    Raises:
        InputError: `training_until` leaves nothing to learn from, or nothing to judge.
    """
    if training_until is None:
        return min(MIN_HISTORY, grid.bins * grid.width / _TRAINING_SHARE)
    if training_until <= grid.start:
        raise InputError(f"nothing before {training_until} to learn from")
    if training_until > grid.time(grid.bins - 1):
        raise InputError(f"nothing from {training_until} on to judge")
    return training_until - grid.start


def cut_partitions(
    table: SeriesTable, grid: Grid, *, history: timedelta, series: int | None = None
) -> list[Partition]:
    """Return `table` as partitions of about `series` series; a country is never cut.

    The cut follows from the table alone, so it does not depend on the number of workers, the
    order of rows or that of entities.
    """
    infos = sorted(table.places, key=lambda info: info.entity)
    tree = EntityTree(infos)
    keys, codes = _series(table.frame, tree)
    since = table.frame["time"] - grid.start
    lines: RowArray = (since // pd.Timedelta(grid.width)).to_numpy().astype(np.intp)
    values = table.frame["value"].to_numpy(dtype=float)
    totals = table.frame["total"].to_numpy(dtype=float)
    groups = _country_groups(keys, tree, series or PARTITION_SERIES)
    group_of_key = np.array([groups[_root(key.entity, tree)] for key in keys], np.intp)
    infos_of_group: dict[int, list[EntityInfo]] = defaultdict(list)
    for info in infos:
        infos_of_group[groups.get(_root(info.entity, tree), -1)].append(info)
    partitions = []
    for group in range(max(groups.values(), default=-1) + 1):
        columns = np.full(len(keys) + 1, -1)
        mine = np.flatnonzero(group_of_key == group)
        columns[mine] = np.arange(len(mine))
        here = columns[codes]
        use = np.flatnonzero(here >= 0)
        cells, shape = (lines[use], here[use]), (grid.bins, len(mine))
        has_totals = np.isfinite(totals[use]).any()
        partitions.append(
            Partition(
                infos=tuple(infos_of_group[group]),
                keys=tuple(keys[number] for number in mine.tolist()),
                grid=grid,
                min_history=history,
                values=_dense(shape, cells, values[use]),
                totals=_dense(shape, cells, totals[use]) if has_totals else None,
            )
        )
    return partitions


def _dense(shape: tuple[int, int], cells: tuple[RowArray, RowArray], values: Floats) -> Floats:
    table = np.full(shape, np.nan)
    table[cells] = values
    return table


def _series(frame: pd.DataFrame, tree: EntityTree) -> tuple[list[SeriesKey], RowArray]:
    """Return the series in order, and the number of each row's; -1 for rows that are not used.

    Composites do not use values of their own, except of signals without networks.
    """
    groups = frame.groupby(["signal", "entity"], observed=True, sort=False)
    # One object an entity: millions of look-ups compare by identity.
    entities = {str(info.entity): info.entity for info in tree}
    for name in map(str, frame["entity"].unique()):
        entities.setdefault(name, Entity.parse(name))
    all_keys = [SeriesKey(str(signal), entities[str(name)]) for signal, name in groups.size().index]
    composites = set(tree.parents())
    keys = sorted(
        key
        for key in all_keys
        if key.entity not in composites or not signal_spec(key.signal).aggregated
    )
    number = {key: number for number, key in enumerate(keys)}
    numbers = np.array([number.get(key, -1) for key in all_keys], np.intp)
    return keys, numbers[groups.ngroup().to_numpy()]


def _country_groups(keys: Sequence[SeriesKey], tree: EntityTree, series: int) -> dict[Entity, int]:
    """Return the group of each country, or other root; a group has about `series` series."""
    sizes = Counter(_root(key.entity, tree) for key in keys)
    roots = sorted(sizes, key=lambda root: (-sizes[root], root))
    groups = assign([sizes[root] for root in roots], round(len(keys) / series))
    return {roots[number]: group for group, numbers in enumerate(groups) for number in numbers}


def _root(entity: Entity, tree: EntityTree) -> Entity:
    return (entity, *tree.ancestors(entity))[-1]
