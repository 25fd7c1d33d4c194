"""Relative speed of a domain as seen from a place; a detector learns its ordinary value.

The signal names the place: `speed:IR`, `speed:AS44244`; the entity is the domain. The value is
the median over vantages of

    slowness of the vantage's controls / slowness of the domain from there

so that a slow uplink cancels out; at 0.5 the domain came at half its ordinary rate. Slowness is
seconds per byte of a transfer, else the seconds of the last successful step. Without controls
in the target list, the numerator is 1.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from statistics import median

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import SPEED
from netwatch.signals.attribution.contingency import CONTROL_GROUP
from netwatch.signals.closed_bin import ClosedBin

_STEPS = frozenset({"connect", "tls_handshake", "http_round_trip", "dns_round_trip", "echo"})
"""Steps whose duration is a few round trips rather than the server's work alone."""


def slowness(measurement: Measurement) -> float | None:
    """Return how slow a measurement was, None if it failed or has no timed step."""
    if measurement.failure is not None:
        return None
    for step in reversed(measurement.observations):
        if step.operation == "transfer" and step.detail.isdecimal():
            size = int(step.detail)
            return step.seconds / size if size and step.seconds > 0 else None
        if step.operation in _STEPS:
            return step.seconds if step.seconds > 0 else None
    return None


def speed_bins(interval: ClosedBin) -> list[Bin]:
    """Return the speed series of one interval."""
    return count_speed(interval.time, interval.rows, interval.targets, trusted=interval.trusted)


def count_speed(
    time: datetime,
    rows: Iterable[tuple[Vantage, Measurement]],
    targets: Mapping[str, Target],
    *,
    trusted: Collection[Vantage],
) -> list[Bin]:
    """Return the speed series of one bin, from the trusted vantages."""
    samples: dict[tuple[Vantage, str], list[float]] = {}
    for vantage, measurement in rows:
        # A local scope includes a captive portal, whose speed is that of the portal.
        is_local = measurement.scope == FailureScope.LOCAL
        if vantage not in trusted or measurement.target not in targets or is_local:
            continue
        slow = slowness(measurement)
        if slow is not None:
            samples.setdefault((vantage, measurement.target), []).append(slow)
    medians = {pair: median(values) for pair, values in samples.items()}
    reference = _control_slowness(medians, targets)
    speeds: dict[tuple[str, str], list[float]] = {}
    for (vantage, name), value in medians.items():
        target = targets[name]
        if vantage not in reference or not target.domain or target.group == CONTROL_GROUP:
            continue
        for seen_from in filter(None, (vantage.country, f"AS{vantage.asn}" if vantage.asn else "")):
            speeds.setdefault((seen_from, target.domain), []).append(reference[vantage] / value)
    return [
        Bin(
            time,
            SeriesKey(f"{SPEED}:{seen_from}", Entity(EntityKind.DOMAIN, domain)),
            median(values),
        )
        for (seen_from, domain), values in sorted(speeds.items())
    ]


def _control_slowness(
    medians: Mapping[tuple[Vantage, str], float], targets: Mapping[str, Target]
) -> dict[Vantage, float]:
    """Return the median over each vantage's controls; 1 without controls in the target list."""
    if not any(target.group == CONTROL_GROUP for target in targets.values()):
        return dict.fromkeys((vantage for vantage, _ in medians), 1.0)
    by_vantage: dict[Vantage, list[float]] = {}
    for (vantage, name), value in medians.items():
        if targets[name].group == CONTROL_GROUP:
            by_vantage.setdefault(vantage, []).append(value)
    return {vantage: median(values) for vantage, values in by_vantage.items()}
