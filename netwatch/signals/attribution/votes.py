"""Which measurements of a place count where vantages contradict each other.

A claim that something is down and a claim that it is up are worth the same; neither costs a liar
anything. What decides is the weight of those who agree, by trust, with the shares of every vantage,
network and owner capped (`capped_shares.py`).

1. Vantages vote that can: those of `countable.voters`. One that reaches no control has no vote.
2. A vantage strays if its share of successes at a place differs from the median of the votes on
   the same targets by more than chance explains. It does not count there and at every place
   within it if at most a third of the weight strays. If more does, the place is undecided:
   both sides count, and nobody is believed. It is undecided, too, if five independent networks
   and owners with a fifth of the weight say the same against the others, and doubted if two do,
   with whatever weight: so many do not err alike by accident.
3. Of the others, what the model holds faulty does not count, unless that is most of them.
4. A place where most of the weight does not count is undecided, unless a third of it is left and
   includes three independent networks and owners that reach controls.

A domain is often blocked for some networks, so that a contradiction is no lie: it is counted as
it is if more than a third strays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.signals.attribution.capped_shares import capped
from netwatch.signals.attribution.contingency import VantageTargetTable, split_by_side
from netwatch.signals.attribution.countable import answered_controls, countable_cells, voters
from netwatch.signals.attribution.likelihoods import lower_median
from netwatch.signals.attribution.model import Attribution

_MINORITY = 1 / 3
"""Share of the weight at a place up to which it can be outvoted."""
_MIN_VOICES = 3
"""Independent networks, and owners, that may call a majority broken."""
_DOUBTERS = 2
"""Independent networks, and owners, that are outvoted and that an operator should hear of."""
_MANY_VOICES, _MANY_SHARE = 5, 0.2
"""Independent networks, and owners, and their weight, that may call a majority liars."""
_MIN_DEVIATION = 0.25
"""Share of measurements by which a vantage may differ from the others: its line, its schedule."""
_CHANCE = 2.0
"""Standard deviations of chance that are added to it, and half a measurement."""
_FULL_VOTE = 1 / 3
"""Targets that give a vantage a whole vote at a place, over the number of the median vantage."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Ballot:
    """The places of one kind that cells count for.

    Attributes:
        table: successes as the places count them.
        series: number of the place of each cell, -1 for none, (n,).
        size: number of places, p.
        is_blockable: a contradiction is blocking, no doubt.
    """

    table: VantageTargetTable
    series: RowArray
    size: int
    is_blockable: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which cells count for the places of a ballot.

    Attributes:
        kept: cells that count, (n,).
        undecided: places of which nobody can say how they are, (p,).
        doubted: places of which several independent vantages say the opposite, (p,).
        voices: number of networks and of owners of the vantages that count, (2, p).
    """

    kept: Bools
    undecided: Bools
    doubted: Bools
    voices: RowArray


def settle(ballots: Sequence[Ballot], attribution: Attribution) -> list[Outcome]:
    """Return the outcome of each ballot, the widest places first, over the same cells."""
    table = ballots[0].table
    able = voters(table)[table.vantage]
    counted = countable_cells(table, attribution)
    stray, doubted = np.zeros_like(able), np.zeros_like(able)
    outcomes = []
    for ballot in ballots:
        measured = ballot.series >= 0
        contest = _contest(ballot, measured & able & ~stray)
        stray = stray | contest.discarded
        kept = _without_faulty(ballot, measured & able & ~stray, counted)
        undecided = contest.undecided | _outnumbered(ballot, kept)
        undecided |= _any(ballot, measured & doubted)
        if not ballot.is_blockable:
            doubted = doubted | np.append(undecided, False)[ballot.series]
        undecided &= _any(ballot, kept)
        places, vantage = ballot.series[kept], table.vantage[kept]
        voices = np.array(
            [
                _count_distinct(places, holder[vantage], ballot.size)
                for holder in (table.networks, table.owners)
            ]
        )
        outcomes.append(Outcome(kept, undecided, contest.doubted & ~undecided, voices))
    return outcomes


def _any(ballot: Ballot, cells: Bools) -> Bools:
    """Return which places have one of the cells, (p,)."""
    return np.bincount(ballot.series[cells], minlength=ballot.size) > 0


def _count_distinct(series: RowArray, holder: RowArray, size: int) -> RowArray:
    """Return the number of distinct holders in each series, (size,)."""
    width = int(holder.max(initial=0)) + 1
    seen = np.zeros((size, width), bool)
    seen[series, holder] = True
    return np.asarray(seen.sum(axis=1))


class _Pairs:
    """Vantages at places: the sums of some cells by both.

    Attributes:
        of_cell: pair of each of the cells, (m,).
        series, vantage: place and vantage of each pair, (k,).
        trials: number of measurements, (k,).
        cells: number of targets, (k,).
        votes: weight at each target, (k,): a vantage that measures more targets than others has
            less at each.
        mass: capped weight, (k,). A vantage has one vote, however much it measures, and less than
            one only if it measures few of the usual number of targets.
    """

    def __init__(self, ballot: Ballot, cells: Bools) -> None:
        table = ballot.table
        size = len(table.networks)
        keys, self.of_cell = np.unique(
            ballot.series[cells] * size + table.vantage[cells], return_inverse=True
        )
        self.series, self.vantage = keys // size, keys % size
        self.trials = self.sum(table.trials[cells])
        self.cells = self.sum(np.ones(len(self.of_cell)))
        trust = table.prior_trust[self.vantage]
        usual = lower_median(self.cells, trust, self.series, ballot.size)[self.series]
        self.votes = trust * np.fmin(usual / self.cells, 1)
        mass = trust * np.fmin(self.cells / (_FULL_VOTE * usual), 1)
        self.mass = capped(mass, self.series, self.vantage, table.holders)
        self._places = ballot.size

    def sum(self, values: Floats) -> Floats:
        """Return the sums of cell values over each pair, (k,)."""
        return np.bincount(self.of_cell, values, len(self.series)).astype(float)

    def weigh(self, chosen: Bools) -> Floats:
        """Return the weight of the chosen pairs at each place, (p,)."""
        return np.bincount(self.series, self.mass * chosen, self._places).astype(float)

    def count_voices(self, table: VantageTargetTable, chosen: Bools) -> RowArray:
        """Return the number of independent voices among the chosen pairs of each place, (p,).

        That of their networks or of their owners, whichever is less; of their networks, if
        all vantages have the same owner.
        """
        holders = [table.networks, table.owners] if table.owners.any() else [table.networks]
        series, vantage = self.series[chosen], self.vantage[chosen]
        counts = [_count_distinct(series, holder[vantage], self._places) for holder in holders]
        return np.asarray(np.minimum.reduce(counts))


@dataclass(frozen=True, slots=True)
class _Contest:
    """Cells that do not count, (n,), and what is not sure all the same: rule 2."""

    discarded: Bools
    undecided: Bools
    doubted: Bools


def _contest(ballot: Ballot, cells: Bools) -> _Contest:
    pairs = _Pairs(ballot, cells)
    deviation = _deviation(ballot, cells, pairs)
    everybody = pairs.weigh(np.ones(len(deviation), bool))
    undecided = pairs.weigh(deviation != 0) > (_MINORITY + _ROUNDING) * everybody
    discarded = np.zeros_like(cells)
    discarded[cells] = ((deviation != 0) & ~undecided[pairs.series])[pairs.of_cell]
    doubted = np.zeros_like(undecided)
    for side in (deviation > 0, deviation < 0):
        voices = pairs.count_voices(ballot.table, side)
        doubted |= voices >= _DOUBTERS
        undecided |= (voices >= _MANY_VOICES) & (pairs.weigh(side) >= _MANY_SHARE * everybody)
    if ballot.is_blockable:
        undecided, doubted = np.zeros_like(undecided), np.zeros_like(doubted)
    return _Contest(discarded, undecided, doubted)


def _deviation(ballot: Ballot, cells: Bools, pairs: _Pairs) -> Floats:
    """Return how far pairs are from the median of their targets, 0 within chance, (k,).

    Without controls, nobody knows on which side of a border a loss is: views from home and from
    abroad are not compared. With controls, both sides have shown that they reach the other one.
    """
    is_open = ballot.table.controls.any() and not ballot.is_blockable
    table = ballot.table if is_open else split_by_side(ballot.table)
    vantage, target = table.vantage[cells], table.target[cells]
    size, share = len(table.controls), table.successes[cells] / table.trials[cells]
    votes = capped(pairs.votes[pairs.of_cell], target, vantage, table.holders)
    lower = lower_median(share, votes, target, size)[target]
    upper = -lower_median(-share, votes, target, size)[target]
    others = _others_share(votes, share, target, size)
    variance = pairs.sum(others * (1 - others) / table.trials[cells]) / pairs.cells**2
    # Where the votes are even, both sides stray from each other.
    above, below = (pairs.sum(share - one) / pairs.cells for one in (lower, upper))
    deviation = np.where(np.abs(above) > np.abs(below), above, below)
    chance = _CHANCE * np.sqrt(variance) + 0.5 / pairs.trials
    return np.where(np.abs(deviation) > _MIN_DEVIATION + chance, deviation, 0.0)


def _others_share(votes: Floats, share: Floats, target: RowArray, size: int) -> Floats:
    """Return the share of successes of all others at the same target, (m,).

    With half a success in one more vote where there is one other, and in less of one, the more
    others there are. Capped votes stand for as many equal ones as have the same variance.
    """
    parts = (votes * share, votes, votes**2)
    good, sum_, squares = (np.bincount(target, part, size)[target] - part for part in parts)
    count = divide(sum_**2, squares, empty=0.0)
    added = 1 / np.maximum(count, 1)
    mean = divide(good, sum_, empty=0.0)
    return np.asarray(np.clip((mean * count + 0.5 * added) / (count + added), 0, 1))


def _without_faulty(ballot: Ballot, cells: Bools, counted: Bools) -> Bools:
    """Return those of the cells that the model counts, and all where it counts few: rule 3."""
    if counted[cells].all():
        return cells
    pairs = _Pairs(ballot, cells)
    share = pairs.sum(counted[cells].astype(float)) / pairs.cells
    left = np.bincount(pairs.series, pairs.mass * share, ballot.size)
    most = 2 * left >= pairs.weigh(np.ones(len(share), bool))
    return cells & (counted | ~most[ballot.series])


def _outnumbered(ballot: Ballot, kept: Bools) -> Bools:
    """Return the places whose majority does not count, without the proof of rule 4, (p,)."""
    measured = ballot.series >= 0
    if (kept == measured).all():
        return np.zeros(ballot.size, bool)
    table, pairs = ballot.table, _Pairs(ballot, measured)
    share = pairs.sum(kept[measured].astype(float)) / pairs.cells
    left = np.bincount(pairs.series, pairs.mass * share, ballot.size)
    whole = pairs.weigh(np.ones(len(share), bool))
    proven = (share > 0) & (answered_controls(table)[pairs.vantage] | ~table.controls.any())
    voices = pairs.count_voices(table, proven)
    shown = (voices >= _MIN_VOICES) & (left >= _MINORITY * whole)
    return np.asarray((2 * left < (1 - _ROUNDING) * whole) & ~shown)
