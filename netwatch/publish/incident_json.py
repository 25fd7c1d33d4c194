"""The public JSON object of an incident, the same on the web and on the command line."""

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING

from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.incident_details import ShutdownLikelihood, SurvivingNetworks
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.model.signals import signal_spec
from netwatch.publish.display_names import place_name
from netwatch.publish.figure import figure
from netwatch.publish.language import ENGLISH
from netwatch.publish.pattern_text import pattern_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_OPEN = frozenset({IncidentState.CONFIRMED, IncidentState.PARTIALLY_RESTORED})


def is_open(incident: Incident) -> bool:
    """Return whether `incident` is public and has not ended."""
    return incident.state in _OPEN


def incident_object(
    incident: Incident, tree: EntityTree, *, url: str = "", test: bool = False
) -> dict[str, object]:
    """Return `incident` as plain values for JSON; times are RFC 3339 in UTC.

    Args:
        incident: the revision.
        tree: names of entities.
        url: root of the site, without a slash at its end.
        test: whether this observatory runs a drill.
    """
    return {
        "id": incident.id,
        "revision": incident.revision,
        "url": f"{url}/i/{incident.id}",
        "state": str(incident.state),
        "reason": str(incident.reason),
        "evidence_level": incident.evidence_level,
        "scope": _scope(incident.entity, tree),
        "children": [_plain(child, tree) for child in incident.affected],
        "started_at": rfc3339(incident.started_at),
        "started_at_low": rfc3339(incident.started_low),
        "started_at_high": rfc3339(incident.started_high),
        "ended_at": rfc3339(incident.ended_at),
        "rollout_hours": incident.progressive_hours,
        "progressive": incident.progressive_hours is not None,
        "percent": _percent(incident.percent),
        "trough": _percent(incident.trough),
        "trough_at": rfc3339(incident.trough_at),
        "networks": {"affected": incident.networks_lost, "measured": incident.networks_measured},
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
        "findings": _details(incident, tree),
        "merged_into": incident.merged_into,
        "test": test,
        "updated_at": rfc3339(incident.at),
    }


def _details(incident: Incident, tree: EntityTree) -> dict[str, object]:
    """Return everything besides the level; none of it states a cause."""
    details, zone = incident.details, tree.timezone(incident.entity)
    return {
        "pattern_words": pattern_text(details.pattern, zone) if details.pattern else None,
        "timing": _timing(details.likelihood),
        "segments": [_plain(one, tree) for one in details.segments],
        "falls": [_plain(one, tree) for one in details.losses],
        "access": _access(details.survivors, tree),
        "never_answer": [_scope(one, tree) for one in details.unresponsive],
        "nights": [_plain(one, tree) for one in details.occurrences],
        "forecast": _plain(details.forecast, tree) if details.forecast else None,
    }


def _timing(likelihood: ShutdownLikelihood | None) -> dict[str, object] | None:
    if likelihood is None:
        return None
    return {
        "log_likelihood_ratio": round(likelihood.log_ratio, 3),
        "clues": [
            {
                "clue": str(one.feature),
                "present": one.present,
                "log_ratio": round(one.log_ratio, 3),
            }
            for one in likelihood.evidence
        ],
        "words": ENGLISH.text("resembles_shutdown") if likelihood.resembles_shutdown else None,
        "statement_of_cause": False,
    }


def _access(access: SurvivingNetworks | None, tree: EntityTree) -> dict[str, object] | None:
    if access is None:
        return None
    shares = ("kept_share", "lost_share", "unknown_share")
    return {
        "kept": [_plain(one, tree) for one in access.networks],
        **{name: round(getattr(access, name), 4) for name in shares},
        "exhaustive": False,
    }


def _plain(record: "DataclassInstance", tree: EntityTree) -> dict[str, object]:
    """Return a record as plain values: an entity as its scope, shares with four decimals."""
    plain: dict[str, object] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Entity):
            plain |= _scope(value, tree)
        elif isinstance(value, datetime):
            plain[field.name] = rfc3339(value)
        else:
            plain[field.name] = round(value, 4) if isinstance(value, float) else value
    return plain


def _scope(entity: Entity, tree: EntityTree) -> dict[str, object]:
    return {"type": str(entity.kind), "id": entity.code, "name": place_name(entity, tree)}


def _percent(percent: PublishedPercent) -> dict[str, object] | None:
    """Return the percentage, None if there are too few measurements for a number."""
    if percent.precision is Precision.NONE:
        return None
    return {
        "value": round(percent.value, 1),
        "low": round(percent.low, 1),
        "high": round(percent.high, 1),
        "text": ENGLISH.text("percent", figure(percent)),
    }


def rfc3339(time: datetime | None) -> str | None:
    """Return an aware UTC time as RFC 3339, None for None."""
    return None if time is None else time.isoformat().replace("+00:00", "Z")
