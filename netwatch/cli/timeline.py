"""`netwatch timeline`: levels of an entity and its parts, as one line of characters each."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from netwatch.app.wall_clock import now
from netwatch.cli.data_access import ObservatoryData, open_data, parse_time
from netwatch.cli.options import (
    AsciiOption,
    ConfigPathOption,
    DataOption,
    JsonLinesOption,
    SinceOption,
    UntilOption,
    ZoneOption,
)
from netwatch.cli.outage_tables import TimelineRow, percent_text, timeline_lines
from netwatch.cli.outages import parse_scope
from netwatch.cli.output import emit_each
from netwatch.cli.time_parsing import parse_duration
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import InputError
from netwatch.publish.display_names import place_name
from netwatch.publish.level_queries import lead_levels, level_percent, seen_entities
from netwatch.publish.plot_series import fitting_step, resample

app = typer.Typer()
_MAX_COLUMNS = 56
"""Characters of a line that leave room for name, lowest and newest level in 100 columns."""


@app.command()
def timeline(
    scope: Annotated[str, typer.Argument(help="IR, IR-23, AS44244 or a domain.")],
    since: SinceOption = None,
    until: UntilOption = None,
    zone: ZoneOption = "UTC",
    step: Annotated[
        str | None, typer.Option(help="Duration of one character: 10m, 1h, 3h.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Also draw its parts: region or asn.")] = None,
    as_json: JsonLinesOption = False,
    plain: AsciiOption = False,
    data: DataOption = None,
    config: ConfigPathOption = None,
) -> None:
    """Draw the level of a place, from 0 to ordinary; `·` is no data.

    Example: netwatch timeline IR --since 2019-11-15 --step 3h --by region
    """
    entity = parse_scope(scope)
    kind = _part_kind(by)
    first, last = parse_time(since, zone), parse_time(until, zone)
    wanted_step = None if step is None else parse_duration(step, "--step")
    with open_data(data, config=config) as opened:
        window = _window(opened, entity, first, last)
        width = wanted_step or fitting_step(window[1] - window[0], _MAX_COLUMNS)
        entities = [entity, *(_parts(opened, entity, kind) if kind else ())]
        rows = [_timeline_row(opened, part, window, width) for part in entities]
    objects = [
        {
            "scope": {"type": part.kind, "id": part.code, "name": row.name},
            "start": window[0],
            "step_seconds": width.total_seconds(),
            "unit": "percent_of_ordinary",
            "pct": [None if value is None else round(value, 2) for value in row.values],
        }
        for part, row in zip(entities, rows, strict=True)
    ]
    lines = timeline_lines(rows, window[0], width, plain=plain)
    emit_each(objects, (line.rstrip() for line in lines), as_json=as_json)


def _part_kind(by: str | None) -> EntityKind | None:
    if by is None:
        return None
    if by not in {"region", "asn"}:
        raise InputError(f"--by: want region or asn, not {by[:40]!r}")
    return EntityKind(by)


def _window(
    opened: ObservatoryData, entity: Entity, first: datetime | None, last: datetime | None
) -> tuple[datetime, datetime]:
    """Return the requested span; by default the newest two days that have levels."""
    end = last or opened.store.closed_until() or now()
    start = first or end - timedelta(hours=48)
    if start >= end:
        raise InputError(f"--since {start:%Y-%m-%dT%H:%MZ} is not before {end:%Y-%m-%dT%H:%MZ}")
    if first is None:
        levels = lead_levels(opened.store, entity, start, end)
        start = levels[0].time if levels else start
    return start, end


def _parts(opened: ObservatoryData, entity: Entity, kind: EntityKind) -> list[Entity]:
    tree = opened.tree
    known = {info.entity for info in tree}
    closed = opened.store.closed_until()
    if closed is not None:
        known |= seen_entities(opened.store, closed)
    parts = {part for part in known if part.kind is kind and entity in tree.ancestors(part)}
    for incident in opened.ledger.incidents():
        if incident.entity == entity:
            parts |= {child.entity for child in incident.affected if child.entity.kind is kind}
    parts.discard(entity)
    return sorted(parts, key=lambda part: (-tree.info(part).weight, tree.info(part).name))


def _timeline_row(
    opened: ObservatoryData, entity: Entity, window: tuple[datetime, datetime], step: timedelta
) -> TimelineRow:
    levels = lead_levels(opened.store, entity, *window)
    measured = [level for level in levels if level.value is not None]
    lowest = min(measured, key=lambda level: level.value or 0.0, default=None)
    return TimelineRow(
        name=place_name(entity, opened.tree),
        values=tuple(resample(levels, window[0], window[1], step)),
        lowest=percent_text(level_percent(lowest) if lowest else None),
        now=percent_text(level_percent(levels[-1]) if levels else None),
    )
