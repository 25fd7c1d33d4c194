"""What the arithmetic of the detector shares: kinds of arrays, and a division that knows gaps."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
RowArray = npt.NDArray[np.intp]


def divide(left: Floats, right: Floats, *, empty: float = np.nan) -> Floats:
    """Return left / right, `empty` where right is zero or missing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(right > 0, left / right, empty))
