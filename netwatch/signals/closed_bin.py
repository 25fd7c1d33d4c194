"""What a signal is counted from: the attributed measurements of one closed interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.arrays import Bools
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import SeriesKey
from netwatch.signals.attribution.contingency import TargetCounts
from netwatch.signals.attribution.model import Attribution
from netwatch.signals.places import PlaceCounts


@dataclass(frozen=True, slots=True)
class ClosedBin:
    """The argument of every producer of bins (`SignalSpec.producer`).

    Attributes:
        time, width: start and width of the interval.
        rows: every measurement of a listed target, with the vantage it is from; none is local.
        targets: the target list, by id.
        counts: trials and successes by vantage and target.
        attribution: what caused the failures.
        trusted: which of the vantages of `counts` vote and are not broken, (v,).
        places: what counts for the reachability of places, the widest first.
    """

    time: datetime
    width: timedelta
    rows: Sequence[tuple[Vantage, Measurement]]
    targets: Mapping[str, Target]
    counts: TargetCounts
    attribution: Attribution
    trusted: Bools
    places: Sequence[PlaceCounts]


def domain_series(signal: str, seen_from: Entity, domain: str) -> SeriesKey:
    """Return the series of a domain seen from a place: `blocking:IR`, `speed:AS44244`."""
    network = "AS" if seen_from.kind is EntityKind.ASN else ""
    return SeriesKey(f"{signal}:{network}{seen_from.code}", Entity(EntityKind.DOMAIN, domain))
