"""Tables of arrays with one row a series: each is declared once, and the rest follows from that."""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Scalar = TypeVar("_Scalar", bound=np.generic)
AnyArray = npt.NDArray[np.generic]


def array_field(
    dtype: type[_Scalar], *shape: int, new_row: npt.ArrayLike | None = 0
) -> npt.NDArray[_Scalar]:
    """Declare an array of a `RowTable`, shape (n, *shape), and what a new row of it holds.

    With `new_row` None, the array is not one value a row, and does not grow.
    """
    return field(
        default_factory=lambda: np.zeros((0, *shape), dtype), metadata={"new_row": new_row}
    )


class RowTable:
    """Base of a dataclass whose fields by `array_field` grow, are saved and are loaded together."""

    __slots__ = ()

    def arrays(self) -> dict[str, AnyArray]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in self._new_rows()}

    def set_arrays(self, arrays: Mapping[str, AnyArray]) -> None:
        """Replace every array by that of its name; raises KeyError if one is missing."""
        for name in self._new_rows():
            setattr(self, name, arrays[name])

    def grow(self, count: int) -> None:
        """Add `count` rows for new series."""
        for name, new_row in self._new_rows().items():
            if new_row is not None:
                old = getattr(self, name)
                new = np.full((count, *old.shape[1:]), new_row, old.dtype)
                setattr(self, name, np.concatenate([old, new]))

    @classmethod
    def _new_rows(cls) -> dict[str, npt.ArrayLike | None]:
        declared = fields(cls)  # type: ignore[arg-type] # Every subclass is a dataclass.
        return {
            entry.name: entry.metadata["new_row"]
            for entry in declared
            if "new_row" in entry.metadata
        }
