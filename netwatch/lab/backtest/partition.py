"""Cuts a table into partitions of whole countries, the same ones for any executor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from netwatch.arrays import Floats, RowArray
from netwatch.lab.backtest.executors import assign
from netwatch.lab.backtest.grid import Grid, Partition
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


def make_grid(table: SeriesTable, training_until: datetime | None) -> Grid:
    """Return the intervals from the first to the last of `table`.

    Raises:
        InputError: `training_until` leaves nothing to learn from, or nothing to judge.
    """
    first, last = table.frame["time"].iloc[0], table.frame["time"].iloc[-1]
    start, width = first.to_pydatetime(), table.width
    bins = int((last - first) // pd.Timedelta(width)) + 1
    history = min(MIN_HISTORY, bins * width / _TRAINING_SHARE)
    if training_until is not None:
        history = training_until - start
        if history <= timedelta(0):
            raise InputError(f"nothing before {training_until} to learn from")
        if training_until > start + (bins - 1) * width:
            raise InputError(f"nothing from {training_until} on to judge")
    return Grid(start, width, bins, history)


def cut_partitions(table: SeriesTable, grid: Grid, *, series: int | None = None) -> list[Partition]:
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
    partitions = []
    for parts in _groups(_country_parts(keys, infos, tree), series or PARTITION_SERIES):
        columns = np.full(len(keys) + 1, -1)
        mine = sorted(number for part in parts for number in part.series)
        columns[mine] = np.arange(len(mine))
        here = columns[codes]
        use = np.flatnonzero(here >= 0)
        cells, shape = (lines[use], here[use]), (grid.bins, len(mine))
        has_totals = np.isfinite(totals[use]).any()
        partitions.append(
            Partition(
                infos=tuple(info for part in parts for info in part.infos),
                keys=tuple(keys[number] for number in mine),
                grid=grid,
                values=_dense(shape, cells, values[use]),
                totals=_dense(shape, cells, totals[use]) if has_totals else None,
            )
        )
    return partitions


@dataclass(slots=True)
class _CountryPart:
    series: list[int] = field(default_factory=list)
    infos: list[EntityInfo] = field(default_factory=list)


def _dense(shape: tuple[int, int], cells: tuple[RowArray, RowArray], values: Floats) -> Floats:
    table = np.full(shape, np.nan)
    table[cells] = values
    return table


def _series(frame: pd.DataFrame, tree: EntityTree) -> tuple[list[SeriesKey], RowArray]:
    """Return the series in order, and the number of each row's; -1 for rows that are not used.

    Composites do not use values of their own, except of signals without networks.
    """
    signals, entities = frame["signal"].astype("category"), frame["entity"].astype("category")
    names = list(signals.cat.categories)
    # One object an entity: millions of look-ups compare by identity.
    same = {info.entity: info.entity for info in tree}
    known = [same.get(entity, entity) for entity in map(Entity.parse, entities.cat.categories)]
    composites = set(tree.parents())
    pairs = signals.cat.codes.to_numpy().astype(np.int64) * len(known)
    pairs += entities.cat.codes.to_numpy()
    seen = np.zeros(len(names) * len(known), dtype=bool)
    seen[pairs] = True
    present = np.flatnonzero(seen)
    all_keys = [SeriesKey(names[pair // len(known)], known[pair % len(known)])
                for pair in present.tolist()]  # fmt: skip
    keys = sorted(
        key
        for key in all_keys
        if key.entity not in composites or not signal_spec(key.signal).aggregated
    )
    number = {key: number for number, key in enumerate(keys)}
    numbers = np.full(len(seen), -1)
    numbers[present] = [number.get(key, -1) for key in all_keys]
    return keys, numbers[pairs]


def _country_parts(
    keys: Sequence[SeriesKey], infos: Sequence[EntityInfo], tree: EntityTree
) -> list[_CountryPart]:
    def root(entity: Entity) -> Entity:
        return (entity, *tree.ancestors(entity))[-1]

    parts: dict[Entity, _CountryPart] = {}
    for number, key in enumerate(keys):
        parts.setdefault(root(key.entity), _CountryPart()).series.append(number)
    for info in infos:
        part = parts.get(root(info.entity))
        if part is not None:
            part.infos.append(info)
    return [parts[one] for one in sorted(parts, key=lambda one: (-len(parts[one].series), one))]


def _groups(parts: Sequence[_CountryPart], series: int) -> list[list[_CountryPart]]:
    """Return the parts in groups of about `series` series."""
    sizes = [len(part.series) for part in parts]
    groups = assign(sizes, round(sum(sizes) / series))
    return [[parts[number] for number in group] for group in groups if group]
