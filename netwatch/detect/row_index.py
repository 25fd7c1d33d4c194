"""Integer indices of each series' signal, entity, parent and country, and flags of its signal."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, RowArray, number_keys
from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.series import SeriesKey
from netwatch.model.signals import signal_spec


@dataclass(frozen=True, slots=True)
class RowIndex:
    """Properties of the rows of a detector; arrays with one value a row.

    Attributes:
        signal, entity: number of each row's signal and entity.
        parent: number of the entity's parent, -1 for none.
        country: number of its country in `countries`, -1 for none.
        network: whether it is about a single network.
        user_facing, active, human_driven: as in `SignalSpec`.
        countries: the countries, in order of their numbers.
    """

    signal: RowArray
    entity: RowArray
    parent: RowArray
    country: RowArray
    network: Bools
    user_facing: Bools
    active: Bools
    human_driven: Bools
    countries: tuple[Entity, ...]


def build_row_index(
    keys: Sequence[SeriesKey], tree: EntityTree, composites: Collection[Entity]
) -> RowIndex:
    """Return the index of the rows `keys`; `composites` are evaluated by their networks."""
    countries = [tree.country(key.entity) for key in keys]
    specs = [signal_spec(key.signal) for key in keys]
    network = [key.entity.kind is EntityKind.ASN and key.entity not in composites for key in keys]
    return RowIndex(
        signal=number_keys(key.signal for key in keys),
        entity=number_keys(key.entity for key in keys),
        parent=number_keys(next(iter(tree.ancestors(key.entity)), None) for key in keys),
        country=number_keys(countries),
        network=np.array(network, dtype=bool),
        user_facing=np.array([spec.user_facing for spec in specs], dtype=bool),
        active=np.array([spec.active for spec in specs], dtype=bool),
        human_driven=np.array([spec.human_driven for spec in specs], dtype=bool),
        countries=tuple(dict.fromkeys(filter(None, countries))),
    )


EMPTY = build_row_index([], EntityTree(), ())
"""Index of no rows."""
