"""What stands in InfluxDB: measurements, tags and fields, and how values become lines.

Tags are few: what is judged and by which signal. No vantage and no address is ever one.

A point that is written again merges its fields with the old ones on 1.x and 2.x, so a
field that may be missing has a partner that is always there and says whether it counts:
`trials` for `total`, `measured` and `bounds` for the three ratios. What the detector's
baseline stands on changes between two judgements of the same bin, so it is a field: as a
tag, both judgements would stand side by side.

`pct`, `low` and `high` are percent, rounded for people and charts; `ratio`, `ratio_low`
and `ratio_high` are the same numbers as they were computed, bit for bit.
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
    """One measurement: the tags that name a row, and the fields with their types."""

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
        # Up to here bins are complete; the point's time says it, the field is a formality.
        "watermark": InfluxMeasurement((), {"closed": bool}),
        # Which weeks hold anything: a reader that may ask for little at once skips the rest.
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
                "pending": int,
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
    """Return the tags that name `series`."""
    return {
        "scope_id": series.entity.code,
        "scope_type": str(series.entity.kind),
        "signal": series.signal,
    }


@lru_cache(maxsize=262_144)
def _head(measurement: str, series: SeriesKey) -> str:
    """Return a line's head; the same few series come again in every bin."""
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
    """Return percent with four decimals, which is finer than any interval we state.

    A ratio that is too large to be told in percent is told as a ratio alone.
    """
    if ratio is None or not math.isfinite(100.0 * ratio):
        return None
    return round(100.0 * ratio, 4)
