"""What the arithmetic of the detector shares: kinds of arrays, and a division that knows gaps."""

from collections.abc import Hashable, Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
RowArray = npt.NDArray[np.intp]


def divide(left: Floats, right: Floats, *, empty: float = np.nan) -> Floats:
    """Return left / right, `empty` where right is zero or missing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(right > 0, left / right, empty))


def number_keys(keys: Iterable[Hashable]) -> RowArray:
    """Return the number of each key in order of appearance, -1 for None."""
    numbers: dict[Hashable, int] = {}
    return np.array(
        [-1 if key is None else numbers.setdefault(key, len(numbers)) for key in keys], np.intp
    )
