"""Cutting figures into parcels of whole countries, the same ones whoever judges them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from netwatch.arrays import Floats, RowArray
from netwatch.lab.backtest.shard import Partition
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.errors import InputError
from netwatch.model.series import SeriesKey
from netwatch.model.signals import signal_spec
from netwatch.sources.long_table import LongForm

LEAST_HISTORY = timedelta(days=2)
"""What a series must have behind it before it is judged, where no time is given."""
PARCEL_SERIES = 2_000
"""Series a parcel: their state stays in the processor's cache, and fixed costs do not count."""


_TAUGHT = 4


@dataclass(frozen=True, slots=True)
class Grid:
    """The intervals of a backtest, and how long they only teach."""

    start: datetime
    width: timedelta
    bins: int
    min_history: timedelta


def make_grid(figures: LongForm, training_until: datetime | None) -> Grid:
    """Return the intervals from the first to the last of `figures`.

    Raises:
        InputError: `training_until` leaves nothing to learn from, or nothing to judge.
    """
    first, last = figures.frame["time"].iloc[0], figures.frame["time"].iloc[-1]
    start, width = first.to_pydatetime(), figures.width
    bins = int((last - first) // pd.Timedelta(width)) + 1
    # A file of a day is all there is: a quarter of it must do to teach.
    history = min(LEAST_HISTORY, bins * width / _TAUGHT)
    if training_until is not None:
        history = training_until - start
        if history <= timedelta(0):
            raise InputError(f"nothing before {training_until} to learn from")
        if training_until > start + (bins - 1) * width:
            raise InputError(f"nothing from {training_until} on to judge")
    return Grid(start, width, bins, history)


def cut_partitions(figures: LongForm, grid: Grid, *, series: int | None = None) -> list[Partition]:
    """Return `figures` as parcels of about `series` series; a country is never cut.

    The cut follows from the figures alone, so that any number of workers judges the same
    parcels; neither the order of rows nor that of places matters.
    """
    places = sorted(figures.places, key=lambda place: place.entity)
    atlas = EntityTree(places)
    keys, codes = _series(figures.frame, atlas)
    since = figures.frame["time"] - grid.start
    lines: RowArray = (since // pd.Timedelta(grid.width)).to_numpy().astype(np.intp)
    values = figures.frame["value"].to_numpy(dtype=float)
    totals = figures.frame["total"].to_numpy(dtype=float)
    found = []
    for trees in _share_out(_trees(keys, places, atlas), series or PARCEL_SERIES):
        columns = np.full(len(keys) + 1, -1)
        mine = sorted(number for tree in trees for number in tree.series)
        columns[mine] = np.arange(len(mine))
        here = columns[codes]
        use = np.flatnonzero(here >= 0)
        shape, spots = (grid.bins, len(mine)), (lines[use], here[use])
        found.append(
            Partition(
                places=tuple(place for tree in trees for place in tree.places),
                keys=tuple(keys[number] for number in mine),
                start=grid.start,
                width=grid.width,
                bins=grid.bins,
                min_history=grid.min_history,
                values=_dense(shape, spots, values[use]),
                totals=_dense(shape, spots, totals[use])
                if np.isfinite(totals[use]).any()
                else None,
            )
        )
    return found


@dataclass(slots=True)
class _Tree:
    """A country, or what belongs to none, with its series and all that is known of its parts."""

    series: list[int]
    places: list[EntityInfo]


def _dense(shape: tuple[int, int], places: tuple[RowArray, RowArray], values: Floats) -> Floats:
    """Return values as a table with a row a bin, NaN where there is none."""
    found = np.full(shape, np.nan)
    found[places] = values
    return found


def _series(frame: pd.DataFrame, atlas: EntityTree) -> tuple[list[SeriesKey], RowArray]:
    """Return the series to judge, in order, and the number of each row's, -1 for the others.

    Wider places that are judged by their networks do not use figures of their own, signals
    aside that only they have.
    """
    signals, entities = frame["signal"].astype("category"), frame["entity"].astype("category")
    signal_names = list(signals.cat.categories)
    # One object an entity: what is looked up by millions is compared by identity.
    same = {place.entity: place.entity for place in atlas}
    parsed = map(Entity.parse, entities.cat.categories)
    known = [same.get(entity, entity) for entity in parsed]
    wider = set(atlas.parents())
    pairs = signals.cat.codes.to_numpy().astype(np.int64) * len(known)
    pairs += entities.cat.codes.to_numpy()
    seen = np.zeros(len(signal_names) * len(known), dtype=bool)
    seen[pairs] = True
    present = np.flatnonzero(seen)
    named = [SeriesKey(signal_names[pair // len(known)], known[pair % len(known)])
             for pair in present.tolist()]  # fmt: skip
    keys = sorted(
        key for key in named if key.entity not in wider or not signal_spec(key.signal).aggregated
    )
    place = {key: number for number, key in enumerate(keys)}
    numbers = np.full(len(seen), -1)
    numbers[present] = [place.get(key, -1) for key in named]
    return keys, numbers[pairs]


def _trees(
    keys: Sequence[SeriesKey], places: Sequence[EntityInfo], atlas: EntityTree
) -> list[_Tree]:
    """Return the trees that have series, the largest first."""
    found: dict[Entity, _Tree] = {}
    for number, key in enumerate(keys):
        found.setdefault(_root(key.entity, atlas), _Tree([], [])).series.append(number)
    for place in places:
        tree = found.get(_root(place.entity, atlas))
        if tree is not None:
            tree.places.append(place)
    return [found[root] for root in sorted(found, key=lambda one: (-len(found[one].series), one))]


def _root(entity: Entity, atlas: EntityTree) -> Entity:
    """Return the widest place that `entity` is a part of."""
    return (entity, *atlas.ancestors(entity))[-1]


def _share_out(trees: Sequence[_Tree], series: int) -> list[list[_Tree]]:
    """Return the trees in parcels of about the same size."""
    total = sum(len(tree.series) for tree in trees)
    count = min(len(trees), max(1, round(total / series)))
    found: list[list[_Tree]] = [[] for _ in range(count)]
    sizes = [0] * count
    for tree in trees:
        least = sizes.index(min(sizes))
        found[least].append(tree)
        sizes[least] += len(tree.series)
    return found
