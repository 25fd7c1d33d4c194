"""Rows of numbers: what bins and levels become once their names are numbers."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind, column by column.

    Attributes:
        times: shape (n,), microseconds since 1970 UTC.
        ids: shape (n,), numbers of series.
        cells: shape (width, n), one line a column.
    """

    times: Ints
    ids: Ints
    cells: Floats

    @classmethod
    def empty(cls, width: int) -> Self:
        """Return no rows of `width` columns."""
        none = np.empty(0, np.int64)
        return cls(none, none, np.empty((width, 0)))

    @classmethod
    def joined(cls, parts: list[Self], width: int) -> Self:
        """Return the rows of all `parts`, one after another."""
        parts = [part for part in parts if len(part)]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty(width)
        return cls(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.cells for part in parts], axis=1),
        )

    def __len__(self) -> int:
        return len(self.times)

    def take(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> "Rows":
        """Return the rows at `places`."""
        return Rows(self.times[places], self.ids[places], self.cells[:, places])

    def settled(self) -> "Rows":
        """Return the rows by time, then id; of several with both equal, the last stands."""
        if _is_settled(self.times, self.ids):
            return self
        order = np.lexsort((self.ids, self.times))
        times, ids = self.times[order], self.ids[order]
        last = np.ones(len(order), np.bool_)
        last[:-1] = (times[1:] != times[:-1]) | (ids[1:] != ids[:-1])
        return self.take(order[last])


def _is_settled(times: Ints, ids: Ints) -> bool:
    later = times[1:] > times[:-1]
    return bool(np.all(later | ((times[1:] == times[:-1]) & (ids[1:] > ids[:-1]))))
