"""Levels of one entity, hour after hour, for tests of charts, pages and commands."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from netwatch.model.entities import Entity
from netwatch.model.series import Level, SeriesKey


def hourly_levels(
    entity: str,
    start: datetime,
    values: Sequence[float | None],
    *,
    margin: float = 0.0,
    networks: int = 1,
) -> list[Level]:
    """Return a level an hour; None is no data, `margin` the half width of the interval."""
    key = SeriesKey("reachability", Entity.parse(entity))
    return [
        Level(
            start + timedelta(hours=hour),
            key,
            value,
            None if value is None else max(0.0, value - margin),
            None if value is None else value + margin,
            networks=networks,
        )
        for hour, value in enumerate(values)
    ]
