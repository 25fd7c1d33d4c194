"""Points about netwatch's own health, as the dashboards read them.

No point names a vantage or an address, and networks with few vantages are merged before
anything is written.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from netwatch.store.influx.line_protocol import nanoseconds, render_fields, render_tags
from netwatch.store.influx.schema import SCHEMA

_MIN_VANTAGES = 3
"""Vantages of a network that has points of its own; one or two volunteers could be recognized."""
_MERGED = "withheld"


@dataclass(frozen=True, slots=True)
class HealthPoint:
    """A point of `pipeline`, `fleet`, `outbox`, `channel` or `review`.

    Attributes:
        measurement: one of these, whose tags and fields `SCHEMA` lists.
        time: when it was counted.
        fields: values by name; a value that is None or absent is unknown, not zero.
        tags: texts by name.
    """

    measurement: str
    time: datetime
    fields: Mapping[str, float | None]
    tags: Mapping[str, str]


def render_health(point: HealthPoint) -> str:
    """Return the line of `point`, with the types and the order of `SCHEMA`.

    Raises:
        InputError: a number or a time that InfluxDB cannot hold.
    """
    schema = SCHEMA[point.measurement]
    unknown = {*point.fields, *point.tags} - {*schema.fields, *schema.tags}
    assert not unknown, f"{point.measurement} has no {', '.join(sorted(unknown))}"
    values = {name: point.fields.get(name) for name in schema.fields}
    fields = {
        name: None if value is None else schema.fields[name](value)
        for name, value in values.items()
    }
    head = render_tags(point.measurement, point.tags)
    return f"{head} {render_fields(fields)} {nanoseconds(point.time)}"


def merge_small_networks(points: Iterable[HealthPoint]) -> Sequence[HealthPoint]:
    """Return `points` with all fleets of small networks merged, one for each software version.

    A network is small if it has fewer than three vantages over all versions.
    """
    points = list(points)
    enrolled: Counter[tuple[datetime, str]] = Counter()
    for point in points:
        if point.measurement == "fleet":
            enrolled[point.time, point.tags["asn"]] += int(point.fields["enrolled"] or 0)
    small: dict[tuple[datetime, str], list[HealthPoint]] = {}
    others: list[HealthPoint] = []
    for point in points:
        is_fleet = point.measurement == "fleet"
        if is_fleet and enrolled[point.time, point.tags["asn"]] < _MIN_VANTAGES:
            small.setdefault((point.time, point.tags["version"]), []).append(point)
        else:
            others.append(point)
    return others + [_merge(group) for group in small.values()]


def _merge(points: Sequence[HealthPoint]) -> HealthPoint:
    """Return one point for several small networks."""
    fields: dict[str, float | None] = {}
    for name in SCHEMA["fleet"].fields:
        values = [value for point in points if (value := point.fields.get(name)) is not None]
        if name in {"silent_seconds", "clock_offset_ms"}:
            fields[name] = max(values, key=abs, default=None)
        else:
            fields[name] = sum(values) if values else None
    tags = {"asn": _MERGED, "version": points[0].tags["version"]}
    return HealthPoint("fleet", points[0].time, fields, tags)
