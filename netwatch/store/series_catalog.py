"""Ids of series. Series of one area have adjacent ids, so that an area is read in one range."""

import sqlite3
from collections.abc import Iterable

import numpy as np

from netwatch.arrays import Ints
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.series import SeriesKey
from netwatch.protocols import Area

AREA_IDS = 1 << 18
"""Ids in a range of one area: more than the series of any country, and 8,192 ranges fit 31 bits.
The first range holds the ids of stores that were migrated from version 1."""


def country_in_code(entity: Entity) -> str:
    """Return the country that a country's or region's code begins with, otherwise nothing."""
    if entity.kind in {EntityKind.COUNTRY, EntityKind.REGION}:
        return entity.code[:2]
    return ""


class SeriesCatalog:
    """The ids of all series, in memory.

    Attributes:
        ids: id by series.
        keys: series by id.
    """

    def __init__(self, area: Area = country_in_code) -> None:
        self.ids: dict[SeriesKey, int] = {}
        self.keys: dict[int, SeriesKey] = {}
        self._area = area
        self._registering: dict[SeriesKey, SeriesKey] = {}
        self._last_ordinal = 0
        self._ranks: tuple[Ints, Ints] | None = None

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Read the series that were registered since."""
        rows = connection.execute(
            "SELECT ordinal, id, signal, kind, code FROM series WHERE ordinal > ? ORDER BY ordinal",
            (self._last_ordinal,),
        )
        for ordinal, id_, signal, kind, code in rows:
            key = SeriesKey(signal, Entity(EntityKind(kind), code))
            # The writer's own objects are found by identity, which spares half of each lookup.
            key = self._registering.pop(key, key)
            self.ids[key] = id_
            self.keys[id_] = key
            self._last_ordinal = ordinal
            self._ranks = None

    def register(self, connection: sqlite3.Connection, keys: Iterable[SeriesKey]) -> None:
        """Give new series among `keys` their ids; call `refresh` after the commit."""
        self.refresh(connection)
        rows = connection.execute(
            "SELECT area, max(id) + 1 FROM series WHERE id >= ? GROUP BY area", (AREA_IDS,)
        )
        following: dict[str, int] = dict(rows.fetchall())
        free = -(-max(following.values(), default=AREA_IDS) // AREA_IDS) * AREA_IDS
        for key in sorted({key for key in keys if key not in self.ids}):
            area = self._area(key.entity)
            id_ = following.get(area, 0)
            if id_ % AREA_IDS == 0:
                id_, free = free, free + AREA_IDS
            following[area] = id_ + 1
            self._registering[key] = key
            connection.execute(
                "INSERT INTO series (id, area, signal, kind, code) VALUES (?, ?, ?, ?, ?)",
                (id_, area, key.signal, key.entity.kind.value, key.entity.code),
            )

    def ranks(self, ids: Ints) -> Ints:
        """Return for each id the position of its series in the order of all series."""
        if self._ranks is None:
            ordered = np.array([self.ids[key] for key in sorted(self.ids)], np.int64)
            by_id = np.argsort(ordered)
            self._ranks = ordered[by_id], by_id
        known, ranks = self._ranks
        return ranks[np.searchsorted(known, ids)]
