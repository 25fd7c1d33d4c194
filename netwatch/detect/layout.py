"""What the rows of a detector are about, and which of them are combined with which."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, RowArray, number_keys
from netwatch.detect.aggregation import Composites, make_composites
from netwatch.detect.common_mode import Groups
from netwatch.detect.fusion import Fusion
from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import OUTAGE
from netwatch.model.series import SeriesKey
from netwatch.model.signals import CONNECTIVITY, signal_spec

NetworkWeights = Mapping[Entity, Mapping[Entity, float]]
"""The networks in each wider entity, and their weights."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the rows are about; it changes only when series are added.

    Attributes:
        signal, entity: number of each row's signal and entity.
        parent: number of the entity's parent, -1 for none.
        country: number of its country in `countries`, -1 for none.
        network: rows about a single network.
        user_facing, active, human_driven: as in `SignalSpec`.
        countries: the countries, in order of their numbers.
        rows_within: rows of each entity and of those within it.
        composites: rows that are weighted means of others.
        groups: signals and countries for the common-mode filter.
        shift_signals, shift_countries: what `groups` numbers: rows and columns of the shifts.
        fusion: entities with more than one signal.
        fused: their series, in the order of the results of `fusion`.
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
    rows_within: Mapping[Entity, Sequence[int]]
    composites: Composites
    groups: Groups
    shift_signals: tuple[str, ...]
    shift_countries: tuple[Entity, ...]
    fusion: Fusion
    fused: tuple[SeriesKey, ...]


def build_layout(keys: Sequence[SeriesKey], tree: EntityTree, networks: NetworkWeights) -> Layout:
    """Return the layout of the rows `keys`; entities in `networks` are evaluated by these."""
    specs = [signal_spec(key.signal) for key in keys]
    countries = [tree.country(key.entity) for key in keys]
    is_network = [key.entity.kind is EntityKind.ASN and key.entity not in networks for key in keys]
    is_site = [key.entity.kind is EntityKind.DOMAIN for key in keys]
    # The networks of a composite count already.
    counted = [
        None if key.entity in networks else country
        for key, country in zip(keys, countries, strict=True)
    ]
    signal = number_keys(key.signal for key in keys)
    entities = _fused_entities(keys)
    numbers = {entity: number for number, entity in enumerate(entities)}
    fused_entity = [numbers.get(key.entity, -1) if _is_outage(key) else -1 for key in keys]
    return Layout(
        signal=signal,
        entity=number_keys(key.entity for key in keys),
        parent=number_keys(next(iter(tree.ancestors(key.entity)), None) for key in keys),
        country=number_keys(countries),
        network=np.array(is_network, dtype=bool),
        user_facing=np.array([spec.user_facing for spec in specs], dtype=bool),
        active=np.array([spec.active for spec in specs], dtype=bool),
        human_driven=np.array([spec.human_driven for spec in specs], dtype=bool),
        countries=tuple(dict.fromkeys(filter(None, countries))),
        rows_within=_rows_within(keys, tree),
        composites=_composites(keys, networks),
        groups=Groups(signal, number_keys(counted), np.array(is_site, dtype=bool)),
        shift_signals=tuple(dict.fromkeys(key.signal for key in keys)),
        shift_countries=tuple(dict.fromkeys(filter(None, counted))),
        fusion=Fusion(np.array(fused_entity, np.intp), [key.signal for key in keys]),
        fused=tuple(SeriesKey(CONNECTIVITY, entity) for entity in entities),
    )


def is_composite(key: SeriesKey, networks: NetworkWeights) -> bool:
    """Return whether a series is the weighted mean of the series of its networks."""
    return key.entity in networks and signal_spec(key.signal).aggregated


def _rows_within(keys: Sequence[SeriesKey], tree: EntityTree) -> dict[Entity, list[int]]:
    rows: dict[Entity, list[int]] = {}
    for row, key in enumerate(keys):
        for scope in (key.entity, *tree.ancestors(key.entity)):
            rows.setdefault(scope, []).append(row)
    return rows


def _composites(keys: Sequence[SeriesKey], networks: NetworkWeights) -> Composites:
    rows = {key: row for row, key in enumerate(keys)}
    members = []
    for key, row in rows.items():
        if is_composite(key, networks):
            parts = {
                network: weight
                for entity, weight in networks[key.entity].items()
                if (network := rows.get(SeriesKey(key.signal, entity))) is not None
            }
            members.append((row, parts))
    return make_composites(members)


def _fused_entities(keys: Sequence[SeriesKey]) -> list[Entity]:
    """Return the entities with more than one signal of an outage."""
    count = Counter(key.entity for key in keys if _is_outage(key))
    return [entity for entity, signals in count.items() if signals > 1]


def _is_outage(key: SeriesKey) -> bool:
    """Return False of access to a domain from one place, which says nothing about the domain."""
    return signal_spec(key.signal).incident_kind == OUTAGE
