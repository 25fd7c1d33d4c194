"""Lists the faulty vantages, targets and paths of a bin.

A target is confirmed down only if trusted vantages in two networks find it down, or, if a single
network measures it, if that network fails in three consecutive bins (`detection.md` 5.1).
"""

from enum import StrEnum

import numpy as np

from netwatch.arrays import Bools, RowArray
from netwatch.signals.attribution.contingency import VantageTargetTable
from netwatch.signals.attribution.countable import trust_vantages
from netwatch.signals.attribution.model import LIKELY, Attribution

_MIN_NETWORKS = 2
_MIN_CONSECUTIVE_BINS = 3


class FaultKind(StrEnum):
    """What is faulty."""

    DEAD_TARGET = "dead_target"
    BROKEN_VANTAGE = "broken_vantage"
    NOISY_VANTAGE = "noisy_vantage"
    BLOCKED_PATH = "blocked_path"


def list_faults(attribution: Attribution, down: Bools) -> dict[FaultKind, RowArray]:
    """Return the numbers of faulty vantages and targets by kind.

    Vantages for `BROKEN_VANTAGE` and `NOISY_VANTAGE`, else targets; a target that is down with
    its network is not listed. `down` is the first value of `confirm_down`.
    """
    return {
        FaultKind.DEAD_TARGET: np.flatnonzero(down & ~attribution.with_network),
        FaultKind.BROKEN_VANTAGE: np.flatnonzero(attribution.broken > LIKELY),
        FaultKind.NOISY_VANTAGE: np.flatnonzero(attribution.noise > LIKELY),
        FaultKind.BLOCKED_PATH: np.flatnonzero((attribution.blocked > LIKELY).any(axis=0)),
    }


def confirm_down(
    table: VantageTargetTable, attribution: Attribution, failed_bins: RowArray
) -> tuple[Bools, RowArray]:
    """Return which targets are confirmed down, (t,), and `failed_bins` for the next bin, (t,).

    `failed_bins` is in how many consecutive bins before this each target failed. A bin in which
    nobody measures a target leaves its number as it is.
    """
    trusted = trust_vantages(table, attribution)[table.cells.vantage]
    measured = table.sum_by_path(trusted) > 0
    failing = measured & (table.sum_by_path(trusted * table.cells.successes) == 0)
    networks, failing_networks = measured.sum(axis=0), failing.sum(axis=0)
    by_several = (
        (networks >= _MIN_NETWORKS)
        & (failing_networks >= _MIN_NETWORKS)
        & (attribution.dead > LIKELY)
    )
    by_one = (networks == 1) & (failing_networks == 1)
    failed_bins = np.where(
        by_several | by_one, failed_bins + 1, np.where(networks > 0, 0, failed_bins)
    )
    down = by_several | (by_one & (failed_bins >= _MIN_CONSECUTIVE_BINS))
    return np.asarray(down), failed_bins.astype(np.intp)
