"""Measurements, tags and fields in InfluxDB, and lines of bins and levels.

Tags are few: the entity and the signal, never a vantage or an address.

A point that is written again merges its fields with the old ones on 1.x and 2.x, so a
field that may be missing has a flag that is always present: `trials` for `total`, `measured`
and `bounds` for the three ratios. The baseline is a field, since it may change between two
levels of the same bin; as a tag it would make two points of them.

`pct`, `low` and `high` are percent, rounded for people and charts; `ratio`, `ratio_low`
and `ratio_high` are the same numbers as computed, bit for bit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.influx.line_protocol import (
    nanoseconds,
    render_fields,
    render_float,
    render_tags,
)

_SERIES = ("scope_id", "scope_type", "signal")


@dataclass(frozen=True, slots=True)
class InfluxMeasurement:
    """Tags of a measurement, and its fields with their types."""

    tags: tuple[str, ...]
    fields: Mapping[str, type]


BIN = "counts"
LEVEL = "connectivity"

SCHEMA: Mapping[str, InfluxMeasurement] = MappingProxyType(
    {
        BIN: InfluxMeasurement(_SERIES, {"value": float, "total": float, "trials": bool}),
        LEVEL: InfluxMeasurement(
            _SERIES,
            {
                "pct": float,
                "low": float,
                "high": float,
                "ratio": float,
                "ratio_low": float,
                "ratio_high": float,
                "measured": bool,
                "bounds": int,
                "probability": float,
                "coverage": float,
                "networks": int,
                "baseline": str,
            },
        ),
        # Bins are complete up to the time of the newest point; a point needs a field.
        "watermark": InfluxMeasurement((), {"closed": bool}),
        # Weeks with points: readers of servers with short queries skip the others.
        "calendar": InfluxMeasurement(("measurement",), {"present": bool}),
        "incident": InfluxMeasurement(
            ("scope_id", "scope_type"),
            {
                "id": str,
                "revision": int,
                "state": str,
                "open": bool,
                "current": bool,
                "evidence": int,
                "level": str,
                "trough": str,
                "end_ms": int,
                "title": str,
                "text": str,
                "url": str,
            },
        ),
        "place": InfluxMeasurement(
            ("country", "region", "scope_id", "scope_type"), {"name": str, "weight": float}
        ),
        "fleet": InfluxMeasurement(
            ("asn", "version"),
            {
                "online": int,
                "enrolled": int,
                "networks": int,
                "silent_seconds": float,
                "queue": int,
                "clock_offset_ms": float,
                "rejected": int,
            },
        ),
        "pipeline": InfluxMeasurement(
            ("stage",),
            {
                "messages": int,
                "delay_seconds": float,
                "backlog": int,
                "write_errors": int,
                "refused": int,
                "detector_seconds": float,
                "provisional": int,
                "suppressed": int,
                "breaker_open": int,
            },
        ),
        "outbox": InfluxMeasurement(("channel", "state"), {"posts": int, "oldest_seconds": float}),
        "channel": InfluxMeasurement(("channel",), {"headroom": float}),
        "review": InfluxMeasurement(
            (),
            {
                "waiting": int,
                "oldest_seconds": float,
                "onset_to_post_seconds": float,
                "corrections": int,
            },
        ),
    }
)


def series_tags(series: SeriesKey) -> dict[str, str]:
    """Return the tags of `series`."""
    return {
        "scope_id": series.entity.code,
        "scope_type": str(series.entity.kind),
        "signal": series.signal,
    }


@lru_cache(maxsize=262_144)
def _head(measurement: str, series: SeriesKey) -> str:
    """Return a line's head; every bin repeats the same series."""
    return render_tags(measurement, series_tags(series))


def render_bin(row: Bin, *, revision: int = 0) -> str:
    """Return the line of `row`; `revision` nanoseconds later than it where it is rewritten.

    Raises:
        InputError: a number or a time that InfluxDB cannot hold.
    """
    total = "trials=false" if row.total is None else f"total={render_float(row.total)},trials=true"
    stamp = nanoseconds(row.time) + revision
    return f"{_head(BIN, row.series)} value={render_float(row.value)},{total} {stamp}"


def render_level(row: Level, *, revision: int = 0) -> str:
    """Return the line of `row`; `revision` nanoseconds later than it where it is rewritten.

    Raises:
        InputError: a number or a time that InfluxDB cannot hold.
    """
    fields = render_fields(
        {
            "pct": _percent(row.value),
            "low": _percent(row.low),
            "high": _percent(row.high),
            "ratio": row.value,
            "ratio_low": row.low,
            "ratio_high": row.high,
            "measured": row.value is not None,
            "bounds": (row.low is not None) + 2 * (row.high is not None),
            "probability": float(row.probability),
            "coverage": float(row.coverage),
            "networks": int(row.networks),
            "baseline": row.baseline.encode(),
        }
    )
    return f"{_head(LEVEL, row.series)} {fields} {nanoseconds(row.time) + revision}"


def _percent(ratio: float | None) -> float | None:
    """Return percent with four decimals, finer than any interval; None if it overflows."""
    if ratio is None or not math.isfinite(100.0 * ratio):
        return None
    return round(100.0 * ratio, 4)
