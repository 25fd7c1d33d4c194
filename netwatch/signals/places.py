"""Counts of places in one interval: countries, regions, networks and domains of the targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.model.entities import Entity, EntityKind
from netwatch.signals.attribution.capped_shares import capped
from netwatch.signals.attribution.contingency import TargetCounts, VantageTargetTable
from netwatch.signals.attribution.model import Attribution
from netwatch.signals.attribution.votes import Ballot, Outcome, settle

_KINDS = (EntityKind.COUNTRY, EntityKind.REGION, EntityKind.ASN, EntityKind.DOMAIN)
"""Kinds of places that measurements count for, the widest first."""


@dataclass(frozen=True, slots=True)
class PlaceCounts:
    """Counts of the places of one kind.

    Attributes:
        places: in order.
        successes, trials: what the measurements that count are worth, (p,); see `weigh_cells`.
        undecided, doubted: places of which vantages say the opposite, (p,); see `votes.py`.
        voices: number of independent vantages that count, (p,): that of their networks or of
            their owners, whichever is less; of networks, if the fleet has one owner.
    """

    places: Sequence[Entity]
    successes: Floats
    trials: Floats
    undecided: Bools
    doubted: Bools
    voices: RowArray


def count_places(counts: TargetCounts, attribution: Attribution) -> list[PlaceCounts]:
    """Return the counts of every place, the widest kind first.

    For a country, region or network any answer of the host is a success; for a domain only a full
    success is.
    """
    found = [counts.number_places(kind) for kind in _KINDS]
    ballots = [
        Ballot(counts.succeeded, series, len(places), is_blockable=True)
        if kind is EntityKind.DOMAIN
        else Ballot(counts.responded, series, len(places))
        for kind, (places, series) in zip(_KINDS, found, strict=True)
    ]
    outcomes = settle(ballots, attribution)
    return [
        _count(places, ballot, outcome, one_owner=counts.one_owner)
        for (places, _), ballot, outcome in zip(found, ballots, outcomes, strict=True)
        if places
    ]


def _count(
    places: Sequence[Entity], ballot: Ballot, outcome: Outcome, *, one_owner: bool
) -> PlaceCounts:
    cells = np.flatnonzero(outcome.kept)
    sums = weigh_cells(ballot.table, cells, ballot.series[cells], ballot.size)
    voices = outcome.voices[0] if one_owner else outcome.voices.min(axis=0)
    return PlaceCounts(places, *sums, outcome.undecided, outcome.doubted, voices)


def weigh_cells(
    table: VantageTargetTable, cells: RowArray, series: RowArray, size: int
) -> tuple[Floats, Floats]:
    """Return the successes and the trials of each series, (size,) each.

    `cells` are numbers of cells, each with the `series` that it counts for, (m,). Measurements
    are weighted by trust, with capped shares of every vantage, network and owner. They are worth
    as many trials of equal weight as have the same variance (Kish 1965), (sum of weights)^2 /
    sum of squared weights: where all weigh the same, the counts as they are.
    """
    vantage, trials = table.vantage[cells], table.trials[cells]
    mass = capped(trials * table.prior_trust[vantage], series, vantage, table.holders)
    weight = divide(mass, trials, empty=0.0)
    total = np.bincount(series, mass, size).astype(float)
    scale = divide(total, np.bincount(series, mass * weight, size).astype(float), empty=0.0)
    return np.bincount(series, table.successes[cells] * weight, size) * scale, total * scale
