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

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import SPEED
from netwatch.signals.build_table import CONTROL

_Name = tuple[str, str, int]

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
    believed = {(one.id, one.country, one.asn) for one in trusted}
    times: dict[tuple[_Name, str], list[float]] = {}
    for vantage, measurement in rows:
        name = (vantage.id, vantage.country, vantage.asn)
        if name not in believed or measurement.target not in targets:
            continue
        if measurement.scope == FailureScope.LOCAL:
            # Behind a captive portal, say, where the pace is the portal's.
            continue
        slow = slowness(measurement)
        if slow is not None:
            times.setdefault((name, measurement.target), []).append(slow)
    middles = {pair: median(seen) for pair, seen in times.items()}
    pace = _control_pace(middles, targets)
    paces: dict[tuple[str, str], list[float]] = {}
    for (name, code), middle in middles.items():
        target, own = targets[code], pace.get(name)
        if own is None or not target.domain or target.group == CONTROL:
            continue
        for place in filter(None, (name[1], f"AS{name[2]}" if name[2] else "")):
            paces.setdefault((place, target.domain), []).append(own / middle)
    return [
        Bin(time, SeriesKey(f"{SPEED}:{place}", Entity(EntityKind.DOMAIN, domain)), median(found))
        for (place, domain), found in sorted(paces.items())
    ]


def _control_pace(
    middles: Mapping[tuple[_Name, str], float], targets: Mapping[str, Target]
) -> dict[_Name, float]:
    """Return for each vantage the median over its controls; 1 where the book has none."""
    if not any(target.group == CONTROL for target in targets.values()):
        return dict.fromkeys((name for name, _ in middles), 1.0)
    found: dict[_Name, list[float]] = {}
    for (name, code), middle in middles.items():
        if targets[code].group == CONTROL:
            found.setdefault(name, []).append(middle)
    return {name: median(paces) for name, paces in found.items()}
