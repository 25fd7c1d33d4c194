"""Speed: series from which a detector learns what pace is ordinary, and sees a throttle.

The signal is named `speed:` and from where, `speed:IR`, `speed:AS44244`; the entity is the
domain. The value is a plain quantity, the median over vantages of

    slowness of the vantage's controls / slowness of the domain from there

so that a slow line cancels out: halved, the domain came at half its rate. Slowness is seconds a
byte of a transfer, else the seconds of the last step that succeeded. Where the target book has
no controls, the numerator is 1.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from statistics import median

from netwatch.model.entity import Entity, EntityKind
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin, SeriesKey
from netwatch.signals.tabulate import CONTROL

__all__ = ["SPEED", "count_speed", "slowness"]

SPEED = "speed"
"""First part of the signal's name."""
_STEPS = frozenset({"connect", "tls_handshake", "http_round_trip", "dns_round_trip", "icmp"})
"""Steps whose length is that of a round trip or a few, and not that of a server's work alone."""


def slowness(measurement: Measurement) -> float | None:
    """Return how slow a measurement was, None where it failed or says nothing about pace."""
    if measurement.failure is not None:
        return None
    for step in reversed(measurement.observations):
        if step.operation == "transfer" and step.detail.isdecimal():
            size = int(step.detail)
            return step.seconds / size if size and step.seconds > 0 else None
        if step.operation in _STEPS:
            return step.seconds if step.seconds > 0 else None
    return None


def count_speed(
    time: datetime,
    rows: Iterable[tuple[Vantage, Measurement]],
    targets: Mapping[str, Target],
    *,
    trusted: Collection[Vantage],
) -> list[Bin]:
    """Return the speed series of one bin, from the vantages that bear witness in it."""
    times: dict[tuple[Vantage, Target], list[float]] = {}
    for vantage, measurement in rows:
        target, slow = targets.get(measurement.target), slowness(measurement)
        if target is not None and slow is not None and vantage in trusted:
            times.setdefault((vantage, target), []).append(slow)
    controlled = any(target.group == CONTROL for target in targets.values())
    pace = _control_pace(times)
    paces: dict[SeriesKey, list[float]] = {}
    for (vantage, target), seen in times.items():
        own = pace.get(vantage) if controlled else 1.0
        if own is None or not target.domain or target.group == CONTROL:
            continue
        for place in filter(None, (vantage.country, f"AS{vantage.asn}" if vantage.asn else "")):
            key = SeriesKey(f"{SPEED}:{place}", Entity(EntityKind.DOMAIN, target.domain))
            paces.setdefault(key, []).append(own / median(seen))
    return [Bin(time, key, median(found)) for key, found in sorted(paces.items())]


def _control_pace(times: Mapping[tuple[Vantage, Target], list[float]]) -> dict[Vantage, float]:
    """Return for each vantage the median over its controls."""
    found: dict[Vantage, list[float]] = {}
    for (vantage, target), seen in times.items():
        if target.group == CONTROL:
            found.setdefault(vantage, []).append(median(seen))
    return {vantage: median(paces) for vantage, paces in found.items()}
