"""Which series are about one place, which places belong together, and what each kind can vouch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, RowArray
from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.series import SeriesKey
from netwatch.model.signals import signal_spec


@dataclass(frozen=True, slots=True)
class RowIndex:
    """Where the rows of a detector belong; arrays with a value a row.

    Attributes:
        signal, entity: number of each row's signal and entity.
        above: number of the nearest scope above its entity, -1 for none.
        country: number of its country in `countries`, -1 for none.
        network: whether it is about a single network.
        user: whether its signal shows what users have, rather than routes or noise.
        active: whether its signal is answers to our own questions.
        people: whether its signal goes down when people rest, though their networks are up.
        countries: the countries, in the order of their numbers.
    """

    signal: RowArray
    entity: RowArray
    above: RowArray
    country: RowArray
    network: Bools
    user: Bools
    active: Bools
    people: Bools
    countries: tuple[Entity, ...]


_NONE = np.zeros(0, np.intp)
_NEVER = np.zeros(0, dtype=bool)
EMPTY = RowIndex(_NONE, _NONE, _NONE, _NONE, _NEVER, _NEVER, _NEVER, _NEVER, ())
"""That of no rows."""


def build_row_index(
    keys: Sequence[SeriesKey], atlas: EntityTree, wider: Collection[Entity]
) -> RowIndex:
    """Return where the rows of `keys` belong; `wider` entities are judged by their networks."""
    signals: dict[str, int] = {}
    entities: dict[Entity, int] = {}
    scopes: dict[Entity, int] = {}
    countries: dict[Entity, int] = {}
    found = []
    for key in keys:
        above = next(iter(atlas.ancestors(key.entity)), None)
        country = atlas.country(key.entity)
        found.append(
            (
                signals.setdefault(key.signal, len(signals)),
                entities.setdefault(key.entity, len(entities)),
                -1 if above is None else scopes.setdefault(above, len(scopes)),
                -1 if country is None else countries.setdefault(country, len(countries)),
            )
        )
    signal, entity, above_number, place = np.array(found, np.intp).reshape(-1, 4).T
    specs = [signal_spec(key.signal) for key in keys]
    network = [key.entity.kind is EntityKind.ASN and key.entity not in wider for key in keys]
    return RowIndex(
        signal=signal,
        entity=entity,
        above=above_number,
        country=place,
        network=np.array(network, dtype=bool),
        user=np.array([spec.user_facing for spec in specs], dtype=bool),
        active=np.array([spec.active for spec in specs], dtype=bool),
        people=np.array([spec.human_driven for spec in specs], dtype=bool),
        countries=tuple(countries),
    )
