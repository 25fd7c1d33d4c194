"""Conversion between count matrices and the sparse tables that attribution works on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netwatch.signals.attribution.contingency import VantageTargetTable


@dataclass(frozen=True, slots=True)
class VantageTargetLabels:
    """Optional properties of vantages and targets.

    Attributes:
        prior_trust: trust in each vantage from its past, 0 to 1, (v,); default 1.
        controls: targets that nobody has a reason to cut, (t,); default none.
        owners: number of each vantage's owner, (v,); default one for all.
        target_asn: number of each target's network, -1 if unknown, (t,); default unknown.
        target_country: number of each target's country, (t,); default one for all.
    """

    prior_trust: npt.ArrayLike | None = None
    controls: npt.ArrayLike | None = None
    owners: npt.ArrayLike | None = None
    target_asn: npt.ArrayLike | None = None
    target_country: npt.ArrayLike | None = None


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
    if (got > tried).any():
        raise ValueError("successes: more than trials")
    labels, (vantages, targets) = labels or VantageTargetLabels(), tried.shape
    return VantageTargetTable(
        vantage=vantage,
        target=target,
        trials=tried[vantage, target],
        successes=got[vantage, target],
        abroad=np.broadcast_to(np.asarray(abroad, bool), tried.shape)[vantage, target],
        networks=np.asarray(networks).astype(np.intp),
        owners=_column(labels.owners, 0, vantages).astype(np.intp),
        prior_trust=_column(labels.prior_trust, 1.0, vantages).astype(float),
        controls=_column(labels.controls, 0, targets).astype(bool),
        target_asn=_column(labels.target_asn, -1, targets).astype(np.intp),
        target_country=_column(labels.target_country, 0, targets).astype(np.intp),
    )


def matrix(table: VantageTargetTable, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return cell values as a matrix, zero where nothing was measured, (v, t)."""
    found = np.zeros((len(table.networks), len(table.controls)), values.dtype)
    found[table.vantage, table.target] = values
    return found


def _column(values: npt.ArrayLike | None, default: float, size: int) -> npt.NDArray[np.generic]:
    column = np.full(size, default) if values is None else np.asarray(values)
    if column.shape != (size,):
        raise ValueError(f"labels: want {size} values, got shape {column.shape}")
    return column
