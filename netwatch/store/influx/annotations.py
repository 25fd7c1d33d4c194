"""Lines of incidents as annotations, and of places for the variables of dashboards."""

from collections.abc import Callable
from datetime import datetime

from netwatch.model.entities import EntityInfo, EntityKind, EntityTree
from netwatch.model.incident import OPEN_STATES, Incident
from netwatch.model.percent import PublishedPercent
from netwatch.model.text import clean_line
from netwatch.store.influx.line_protocol import nanoseconds, render_fields, render_tags


def render_incident(
    incident: Incident,
    *,
    url: str,
    level_text: Callable[[PublishedPercent], str],
    current: bool = True,
) -> str:
    """Return the line of an incident's revision, at the incident's start.

    Args:
        incident: the revision.
        url: the page about the incident.
        level_text: returns a percentage in words.
        current: False if a later revision moved the start.

    Raises:
        InputError: a time that InfluxDB cannot hold.
    """
    level = level_text(incident.percent)
    end = incident.ended_at or incident.at
    fields = render_fields(
        {
            "id": incident.id,
            "revision": incident.revision,
            "state": str(incident.state),
            "open": incident.state in OPEN_STATES,
            "current": current,
            "evidence": incident.evidence_level,
            "level": level,
            "trough": level_text(incident.trough),
            "end_ms": nanoseconds(end) // 1_000_000,
            "title": f"{incident.id} {incident.entity}",
            "text": f"{incident.state}: {level} of ordinary. {url}",
            "url": url,
        }
    )
    tags = {"scope_id": incident.entity.code, "scope_type": str(incident.entity.kind)}
    return f"{render_tags('incident', tags)} {fields} {nanoseconds(incident.started_at)}"


def render_place(place: EntityInfo, *, atlas: EntityTree, at: datetime) -> str:
    """Return the line of `place` and its parents, as of `at`.

    Raises:
        InputError: a time or a weight that InfluxDB cannot hold.
    """
    line = (place.entity, *atlas.ancestors(place.entity))
    within = {entity.kind: entity.code for entity in reversed(line)}
    tags = {
        "country": within.get(EntityKind.COUNTRY, ""),
        "region": within.get(EntityKind.REGION, ""),
        "scope_id": place.entity.code,
        "scope_type": str(place.entity.kind),
    }
    fields = render_fields({"name": clean_line(place.name), "weight": float(place.weight)})
    return f"{render_tags('place', tags)} {fields} {nanoseconds(at)}"
