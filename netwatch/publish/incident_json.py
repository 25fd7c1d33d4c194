"""The public JSON object of an incident, the same on the web and on the command line."""

from dataclasses import fields, is_dataclass

from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.model.signals import signal_spec
from netwatch.publish.display_names import place_name
from netwatch.publish.language import ENGLISH
from netwatch.publish.summary import pattern_text


def incident_object(
    incident: Incident, tree: EntityTree, *, url: str = "", drill: bool = False
) -> dict[str, object]:
    """Return `incident` as values for msgspec's JSON, which writes times as RFC 3339.

    `url` is the root of the site, without a slash at its end; `drill` marks a drill.
    """
    return {
        "id": incident.id,
        "revision": incident.revision,
        "url": f"{url}/i/{incident.id}",
        "state": str(incident.state),
        "reason": str(incident.reason),
        "evidence_level": incident.evidence_level,
        "scope": scope_object(incident.entity, tree),
        "affected": _plain(incident.affected, tree),
        "started_at": incident.started_at,
        "started_at_low": incident.started_low,
        "started_at_high": incident.started_high,
        "ended_at": incident.ended_at,
        "progressive_hours": incident.progressive_hours,
        "percent": _percent(incident.percent),
        "trough": _percent(incident.trough),
        "trough_at": incident.trough_at,
        "networks": {"lost": incident.networks_lost, "measured": incident.networks_measured},
        "baseline": {"id": incident.baseline.encode()},
        "signals": [
            {"source": signal, "agrees": agrees}
            | ({"family": "active"} if signal_spec(signal).active else {})
            for signal, agrees in incident.signals
        ],
        "cause": None,
        "kind": incident.kind,
        "seen_from": incident.seen_from or None,
        "pattern": incident.details.pattern.name if incident.details.pattern else None,
        "details": _details(incident, tree),
        "merged_into": incident.merged_into,
        "test": drill,
        "updated_at": incident.at,
    }


def _details(incident: Incident, tree: EntityTree) -> dict[str, object]:
    details, zone = incident.details, tree.timezone(incident.entity)
    return {field.name: _plain(getattr(details, field.name), tree) for field in fields(details)} | {
        "pattern_text": pattern_text(details.pattern, zone) if details.pattern else None,
        "states_cause": False,
        "exhaustive": False,
    }


def _plain(value: object, tree: EntityTree) -> object:
    """Return a value as JSON has it: entities as scopes, shares with four decimals."""
    if isinstance(value, Entity):
        return scope_object(value, tree)
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, tuple):
        return [_plain(one, tree) for one in value]
    if not is_dataclass(value):
        return value
    plain = {field.name: _plain(getattr(value, field.name), tree) for field in fields(value)}
    # The scope of a record stands in the record itself.
    scope = plain.pop("entity", {})
    return {**scope, **plain} if isinstance(scope, dict) else plain


def scope_object(entity: Entity, tree: EntityTree) -> dict[str, object]:
    """Return an entity as plain values."""
    return {"type": str(entity.kind), "id": entity.code, "name": place_name(entity, tree)}


def _percent(percent: PublishedPercent) -> dict[str, object] | None:
    """Return the published text, and the estimate with its 95 % interval that it is read from.

    None if there are too few measurements for a number.
    """
    if percent.precision is Precision.NONE:
        return None
    return {
        "value": round(percent.value, 1),
        "low": round(percent.low, 1),
        "high": round(percent.high, 1),
        "text": ENGLISH.text("percent", percent),
    }
