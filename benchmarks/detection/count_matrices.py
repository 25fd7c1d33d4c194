"""Conversion between count matrices and the sparse tables that attribution works on."""

import numpy as np
import numpy.typing as npt

from netwatch.signals.attribution.contingency import (
    VantageTargetCells,
    VantageTargetLabels,
    VantageTargetTable,
    make_table,
)


def table_from_matrix(
    trials: npt.ArrayLike,
    successes: npt.ArrayLike,
    networks: npt.ArrayLike,
    labels: VantageTargetLabels | None = None,
    *,
    abroad: npt.ArrayLike = False,
) -> VantageTargetTable:
    """Return the table of counts given as matrices, (v, t).

    Raises:
        ValueError: shapes do not match, or counts are impossible.
    """
    tried, got = np.asarray(trials, float), np.asarray(successes, float)
    if got.shape != tried.shape or len(np.asarray(networks)) != len(tried):
        raise ValueError("networks: want one a row of trials, and successes of the same shape")
    vantage, target = np.nonzero(tried)
    cells = VantageTargetCells(
        vantage=vantage,
        target=target,
        trials=tried[vantage, target],
        successes=got[vantage, target],
        abroad=np.broadcast_to(np.asarray(abroad, bool), tried.shape)[vantage, target],
    )
    return make_table(cells, networks, labels or VantageTargetLabels(), targets=tried.shape[1])


def matrix(table: VantageTargetTable, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return cell values as a matrix, zero where nothing was measured, (v, t)."""
    found = np.zeros((len(table.networks), len(table.controls)), values.dtype)
    found[table.cells.vantage, table.cells.target] = values
    return found
