"""Separates newcomers from established vantages, so that new keys move nothing.

The measurements of newcomers count in bins of their own, and only for places that nobody
established measures: the country of the target, or, for a target without one, the country that the
vantage claims. So they move no series that anybody established has measured.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from netwatch.collector.trust_weights import EarnedTrust, Key, provisional
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin
from netwatch.model.vantage_trust import Weights

COVERAGE = timedelta(days=14)
"""How long a place stays covered after somebody established measured it: in a real cut, newcomers
abroad must not become the only voice."""
Row = tuple[Vantage, Measurement]


@dataclass(frozen=True, slots=True)
class WeightedRows:
    """Measurements that are counted together, and the trust in their vantages."""

    rows: list[Row]
    weights: Weights


def place_of(vantage: Vantage, target: Target) -> str:
    """Return the country that a measurement is about, empty if it is unknown."""
    return target.country or target.region[:2] or vantage.country


def measured_places(rows: Iterable[Row], targets: Mapping[str, Target]) -> set[tuple[str, str]]:
    """Return each vantage's name with each place that it measures in `rows`."""
    return {
        (vantage.id, place_of(vantage, targets[row.target]))
        for vantage, row in rows
        if row.target in targets
    }


def divide(
    rows: Iterable[Row],
    targets: Mapping[str, Target],
    found: Mapping[Key, EarnedTrust],
    *,
    covered: Collection[str],
) -> tuple[WeightedRows, WeightedRows]:
    """Return the measurements of established vantages, and those of newcomers that count.

    `covered` are the places that somebody established measures. A vantage that is not in `found`
    is the observatory's own.
    """
    established: list[Row] = []
    newcomers: list[Row] = []
    for vantage, row in rows:
        one = found.get((vantage.id, vantage.country))
        if one is None or one.trust.is_established:
            established.append((vantage, row))
        elif row.target in targets and place_of(vantage, targets[row.target]) not in covered:
            newcomers.append((vantage, row))
    return (
        WeightedRows(established, {key: one.trust for key, one in found.items()}),
        WeightedRows(newcomers, {key: provisional(one) for key, one in found.items()}),
    )


def covered_places(
    measured: Iterable[tuple[str, str]], found: Mapping[Key, EarnedTrust], own: Collection[str]
) -> set[str]:
    """Return the places of `measured` (name and place) that somebody established measures.

    `own` are the names of the observatory's own vantages, which are.
    """
    established = {name for (name, _), one in found.items() if one.trust.is_established}
    return {place for name, place in measured if name in established or name in own}


def join(established: list[Bin], newcomers: list[Bin]) -> list[Bin]:
    """Return all bins; a series that both counted is that of the established vantages."""
    taken = {one.series for one in established}
    return sorted(
        [*established, *(one for one in newcomers if one.series not in taken)],
        key=lambda one: (one.time, one.series),
    )
