"""Verdict: what is said of a bin in words, each with its probability.

A level is a matter of counts; to say that a thing is down takes more than one witness. The hard
rule of `detection.md` 5.1: two trusted vantages in two networks, where two asked, or one and
three rounds on end.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from netwatch.signals.blame import Blame
from netwatch.signals.table import Bools, Integers, Table
from netwatch.signals.witness import trust_vantages

__all__ = ["Culprit", "Finding", "confirm_down", "name_culprits"]

_LIKELY = 0.5
_NETWORKS = 2
_ROUNDS = 3


class Culprit(StrEnum):
    """Who is to blame for what fails."""

    VANTAGE = "vantage"
    NOISE = "noise"
    TARGET = "target"
    PATH = "path"
    NETWORK = "network"
    BORDER = "border"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is more likely wrong than not.

    Attributes:
        culprit: a broken vantage, one that talks noise, a dead target, a blocked path, a cut
            target network, or a target lost to the world and fine at home.
        probability: above 0.5.
        row: number of the vantage, for a path of the vantage network, else -1.
        column: number of the target, for `network` of the target network, else -1.
    """

    culprit: Culprit
    probability: float
    row: int = -1
    column: int = -1


def name_culprits(blame: Blame) -> list[Finding]:
    """Return what is more likely wrong than not, by culprit, then the likeliest first.

    A target that goes with its network is not named besides it.
    """
    found = [
        Finding(culprit, float(chances[place]), row=int(place))
        for culprit, chances in ((Culprit.VANTAGE, blame.broken), (Culprit.NOISE, blame.noise))
        for place in np.flatnonzero(chances > _LIKELY)
    ]
    found += [
        Finding(culprit, float(chances[place]), column=int(place))
        for culprit, chances in (
            (Culprit.TARGET, blame.dead * ~blame.with_network),
            (Culprit.NETWORK, blame.cut),
            (Culprit.BORDER, blame.disconnected),
        )
        for place in np.flatnonzero(chances > _LIKELY)
    ]
    found += [
        Finding(Culprit.PATH, float(blame.blocked[row, column]), int(row), int(column))
        for row, column in np.argwhere(blame.blocked > _LIKELY)
    ]
    order = list(Culprit)
    return sorted(found, key=lambda one: (order.index(one.culprit), -one.probability))


def confirm_down(table: Table, blame: Blame, rounds: Integers) -> tuple[Bools, Integers]:
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
