"""Reachability: share of the measurements of an entity that succeeded."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.model.time import floor_time
from netwatch.signals.closed_bin import ClosedBin


def reachability_bins(interval: ClosedBin) -> list[Bin]:
    """Return the reachability series of one interval."""
    return count_reachability(interval.countable, interval.targets, width=interval.width)


def count_reachability(
    measurements: Iterable[Measurement], targets: Mapping[str, Target], *, width: timedelta
) -> list[Bin]:
    """Count `measurements` into bins of `width`, ordered by time, then series.

    A measurement counts for every entity of its target. For a country, region or network any
    answer of the host is a success; for a domain only a full success is. Local failures and
    targets that are not in `targets` do not count.
    """
    sums: dict[tuple[datetime, Entity], list[int]] = {}
    entities = {name: target.entities() for name, target in targets.items()}
    for measurement in measurements:
        if measurement.scope == FailureScope.LOCAL:
            continue
        time = floor_time(measurement.time, width)
        for entity in entities.get(measurement.target, ()):
            full = entity.kind is EntityKind.DOMAIN
            success = measurement.failure is None if full else measurement.host_responded
            total = sums.setdefault((time, entity), [0, 0])
            total[0] += success * measurement.weight
            total[1] += measurement.weight
    return [
        Bin(time, SeriesKey(REACHABILITY, entity), float(successes), float(trials))
        for (time, entity), (successes, trials) in sorted(sums.items())
    ]
