"""Levels: a missing bound is the value itself, and no data has no interval."""

from datetime import UTC, datetime

import pytest

from netwatch.model.entities import Entity
from netwatch.model.series import Level, SeriesKey

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY = SeriesKey("probing", Entity.parse("asn:64496"))


@pytest.mark.parametrize(
    ("value", "low", "high", "interval"),
    [
        (0.5, 0.4, 0.6, (0.5, 0.4, 0.6)),
        (0.5, None, None, (0.5, 0.5, 0.5)),
        (0.0, None, 0.1, (0.0, 0.0, 0.1)),
        (None, None, None, None),
    ],
)
def test_an_interval_falls_back_to_the_value(
    value: float | None,
    low: float | None,
    high: float | None,
    interval: tuple[float, float, float] | None,
) -> None:
    assert Level(NOON, KEY, value, low, high).interval == interval
