"""Reachability: how many of the measurements about an entity got through."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.model.time import floor_time

"""Name of the signal."""


def count_reachability(
    measurements: Iterable[Measurement], targets: Mapping[str, Target], *, width: timedelta
) -> list[Bin]:
    """Count `measurements` into bins of `width`, ordered by time, then series.

    A measurement counts for every entity that its target speaks for. For a country, region
    or network the question is whether the host is there at all, so any answer of its own
    succeeds; for a domain it is whether the service works, so only a full success does.
    A local failure says nothing about the target and counts for nothing; so does a
    measurement of a target that `targets` does not know.
    """
    counts: dict[tuple[datetime, Entity], list[int]] = {}
    entities = {name: target.entities() for name, target in targets.items()}
    for measurement in measurements:
        if measurement.scope == FailureScope.LOCAL:
            continue
        time = floor_time(measurement.time, width)
        for entity in entities.get(measurement.target, ()):
            count = counts.setdefault((time, entity), [0, 0])
            count[0] += _succeeded(measurement, entity) * measurement.weight
            count[1] += measurement.weight
    return [
        Bin(time, SeriesKey(REACHABILITY, entity), float(successes), float(trials))
        for (time, entity), (successes, trials) in sorted(counts.items())
    ]


def _succeeded(measurement: Measurement, entity: Entity) -> bool:
    """Tell whether a measurement counts as a success for `entity`."""
    if entity.kind is EntityKind.DOMAIN:
        return measurement.failure is None
    return measurement.host_responded
