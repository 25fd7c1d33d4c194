"""Reachability: share of the measurements of an entity that succeeded."""

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.signals.closed_bin import ClosedBin


def reachability_bins(interval: ClosedBin) -> list[Bin]:
    """Return the reachability series of one interval, in order.

    A measurement counts for every entity of its target. For a country, region or network any
    answer of the host is a success; for a domain only a full success is.
    """
    sums: dict[Entity, list[int]] = {}
    entities = {name: target.entities() for name, target in interval.targets.items()}
    for measurement in interval.countable:
        for entity in entities[measurement.target]:
            full = entity.kind is EntityKind.DOMAIN
            success = measurement.failure is None if full else measurement.host_responded
            total = sums.setdefault(entity, [0, 0])
            total[0] += success * measurement.weight
            total[1] += measurement.weight
    return [
        Bin(interval.time, SeriesKey(REACHABILITY, entity), float(successes), float(trials))
        for entity, (successes, trials) in sorted(sums.items())
    ]
