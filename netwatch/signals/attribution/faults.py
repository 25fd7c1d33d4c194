"""Verdict: what is said of a bin in words, each with its probability.

A level is a matter of counts; to say that a thing is down takes more than one witness. The hard
rule of `detection.md` 5.1: two trusted vantages in two networks, where two asked, or one and
three rounds on end.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from netwatch.signals.attribution.contingency import Bools, Integers, VantageTargetTable
from netwatch.signals.attribution.model import Attribution
from netwatch.signals.attribution.trust import trust_vantages

_LIKELY = 0.5
_NETWORKS = 2
_ROUNDS = 3


class FaultKind(StrEnum):
    """Who is to blame for what fails."""

    VANTAGE = "vantage"
    NOISE = "noise"
    TARGET = "target"
    PATH = "path"
    NETWORK = "network"
    BORDER = "border"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is more likely wrong than not.

    Attributes:
        culprit: a broken vantage, one that talks noise, a dead target, a blocked path, a cut
            target network, or a target lost to the world and fine at home.
        probability: above 0.5.
        row: number of the vantage, for a path of the vantage network, else -1.
        column: number of the target, for `network` of the target network, else -1.
    """

    culprit: FaultKind
    probability: float
    row: int = -1
    column: int = -1


def list_faults(blame: Attribution) -> list[Fault]:
    """Return what is more likely wrong than not, by culprit, then the likeliest first.

    A target that goes with its network is not named besides it.
    """
    found = [
        Fault(culprit, float(chances[place]), row=int(place))
        for culprit, chances in ((FaultKind.VANTAGE, blame.broken), (FaultKind.NOISE, blame.noise))
        for place in np.flatnonzero(chances > _LIKELY)
    ]
    found += [
        Fault(culprit, float(chances[place]), column=int(place))
        for culprit, chances in (
            (FaultKind.TARGET, blame.dead * ~blame.with_network),
            (FaultKind.NETWORK, blame.cut),
            (FaultKind.BORDER, blame.disconnected),
        )
        for place in np.flatnonzero(chances > _LIKELY)
    ]
    found += [
        Fault(FaultKind.PATH, float(blame.blocked[row, column]), int(row), int(column))
        for row, column in np.argwhere(blame.blocked > _LIKELY)
    ]
    order = list(FaultKind)
    return sorted(found, key=lambda one: (order.index(one.culprit), -one.probability))


def confirm_down(
    table: VantageTargetTable, blame: Attribution, rounds: Integers
) -> tuple[Bools, Integers]:
    """Return which targets may be called down, (t,), and the rounds to hand in next time, (t,).

    Args:
        table: the bin.
        blame: its decomposition.
        rounds: on how many bins before this each target failed on end, 0 to begin with.
    """
    trusted = trust_vantages(table, blame)[table.cells.vantage]
    asked = table.by_network(trusted) > 0
    failing = asked & (table.by_network(trusted * table.cells.successes) == 0)
    witnesses, against = asked.sum(axis=0), failing.sum(axis=0)
    by_many = (witnesses >= _NETWORKS) & (against >= _NETWORKS) & (blame.dead > _LIKELY)
    by_one = (witnesses == 1) & (against == 1)
    counted = np.where(by_many | by_one, rounds + 1, np.where(witnesses > 0, 0, rounds))
    return np.asarray(by_many | (by_one & (counted >= _ROUNDS))), counted.astype(np.intp)
