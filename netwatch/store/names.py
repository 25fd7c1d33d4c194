"""Numbers for series: those of one area stand together, so that an area is few blocks."""

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.series import SeriesKey
from netwatch.protocols import Area
from netwatch.store.blocks import SIZE
from netwatch.store.rows import Ints

_HELD = 10_000  # objects recognized, beyond a few for every series, before starting afresh


def home_area(entity: Entity) -> str:
    """Return the country that stands in the code itself, empty where none does."""
    if entity.kind in {EntityKind.COUNTRY, EntityKind.REGION}:
        return entity.code[:2]
    return ""


class Names:
    """The numbers of all series, as far as this process has heard of them.

    Each area fills blocks of its own, so that what comes later still stands beside its like.
    """

    def __init__(self, area: Area = home_area) -> None:
        self.ids: dict[SeriesKey, int] = {}
        self.keys: dict[int, SeriesKey] = {}
        self._area = area
        self._kinds = {kind.value: kind for kind in EntityKind}
        self._last = 0
        self._next: dict[str, int] = {}
        self._free = 0
        self._rank: Ints | None = None
        self._objects: dict[int, int] = {}
        self._held: list[SeriesKey] = []

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Take up what other processes have named since."""
        found = connection.execute(
            "select ordinal, id, area, signal, kind, code from series where ordinal > ?"
            " order by ordinal",
            (self._last,),
        )
        for ordinal, number, area, signal, kind, code in found:
            self._learn(number, area, SeriesKey(signal, Entity(self._kinds[kind], code)))
            self._last = ordinal

    def claim(self, connection: sqlite3.Connection, keys: Iterable[SeriesKey]) -> None:
        """Number those of `keys` that have no number yet; `refresh` once that is committed."""
        self.refresh(connection)
        following, free = dict(self._next), self._free
        for place, key in enumerate(sorted({key for key in keys if key not in self.ids})):
            area = self._area(key.entity)
            number = following.get(area, 0)
            if number % SIZE == 0:
                number, free = free, free + SIZE
            connection.execute(
                "insert into series (ordinal, id, area, signal, kind, code)"
                " values (?, ?, ?, ?, ?, ?)",
                (
                    self._last + 1 + place,
                    number,
                    area,
                    key.signal,
                    key.entity.kind.value,
                    key.entity.code,
                ),
            )
            following[area] = number + 1

    def numbers(self, keys: Sequence[SeriesKey]) -> Ints | None:
        """Return the numbers of `keys`, one by one; None where some have none yet.

        Whoever measures keeps his keys, so most are found by what object they are: comparing
        and hashing a key takes longer than all else that is done for a bin.
        """
        found = list(map(self._objects.get, map(id, keys)))
        if None in found:
            found = [self._recognize(key) for key in keys]
            if None in found:
                return None
        return np.array(found, np.int64)

    def rank(self) -> Ints:
        """Return, by number, the place of each series in the order of keys."""
        if self._rank is None:
            rank = np.zeros(self._free + 1, np.int64)
            ordered = [self.ids[key] for key in sorted(self.ids)]
            rank[np.array(ordered, np.int64)] = np.arange(len(ordered))
            self._rank = rank
        return self._rank

    def _recognize(self, key: SeriesKey) -> int | None:
        number = self.ids.get(key)
        if number is None:
            return None
        if len(self._held) > _HELD + 4 * len(self.ids):
            self._objects.clear()
            self._held.clear()
        if id(key) not in self._objects:
            self._objects[id(key)] = number
            self._held.append(key)  # while it is held, no other object can be at its place
        return number

    def _learn(self, number: int, area: str, key: SeriesKey) -> None:
        self.ids[key] = number
        self.keys[number] = key
        self._next[area] = max(self._next.get(area, 0), number + 1)
        self._free = max(self._free, (number // SIZE + 1) * SIZE)
        self._rank = None
