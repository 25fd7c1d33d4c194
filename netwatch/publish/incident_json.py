"""The public JSON object of an incident, the same on the web and on the command line."""

from datetime import datetime

from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import Incident, Percent
from netwatch.model.incident_details import ShutdownLikelihood, SurvivingNetworks
from netwatch.model.signals import signal_spec
from netwatch.publish.display_names import place_name
from netwatch.publish.figure import figure
from netwatch.publish.language import ENGLISH

_OPEN = frozenset({"confirmed", "easing"})


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
        "evidence_level": incident.evidence,
        "scope": _scope(incident.entity, tree),
        "children": [
            _scope(child.entity, tree)
            | {"started_at": rfc3339(child.started_at), "ended_at": rfc3339(child.ended_at)}
            for child in incident.children
        ],
        "started_at": rfc3339(incident.started_at),
        "started_at_low": rfc3339(incident.started_low),
        "started_at_high": rfc3339(incident.started_high),
        "ended_at": rfc3339(incident.ended_at),
        "rollout_hours": incident.progressive_hours,
        "progressive": incident.progressive_hours is not None,
        "percent": _percent(incident.percent),
        "trough": _percent(incident.trough),
        "trough_at": rfc3339(incident.trough_at),
        "networks": {"affected": incident.affected, "measured": incident.measured},
        "baseline": {"id": incident.baseline.encode()},
        "signals": [
            {"family": "active", "source": signal, "agrees": agrees}
            if signal_spec(signal).active
            else {"source": signal, "agrees": agrees}
            for signal, agrees in incident.signals
        ],
        "cause": None,
        "kind": incident.kind,
        "seen_from": incident.place or None,
        "pattern": incident.pattern,
        "findings": _findings(incident, tree),
        "merged_into": incident.parent,
        "test": test,
        "updated_at": rfc3339(incident.at),
    }


def _findings(incident: Incident, tree: EntityTree) -> dict[str, object]:
    found = incident.findings
    return {
        "pattern_words": found.words or None,
        "timing": _timing(found.likelihood),
        "segments": [
            {
                "start": rfc3339(one.start), "end": rfc3339(one.end),
                "level": round(one.level, 4), "low": round(one.low, 4), "high": round(one.high, 4),
            }
            for one in found.segments
        ],
        "falls": [
            _scope(one.entity, tree)
            | {"at": rfc3339(one.at), "share": one.share, "lost_share": one.lost_share}
            for one in found.falls
        ],
        "access": _access(found.access, tree),
        "never_answer": [_scope(one, tree) for one in found.dead],
        "nights": [
            {"started_at": rfc3339(one.started_at), "ended_at": rfc3339(one.ended_at),
             "lowest": round(one.lowest, 4)}
            for one in found.nights
        ],
        "forecast": None if found.forecast is None else {
            "start": rfc3339(found.forecast.start), "end": rfc3339(found.forecast.end),
            "low": rfc3339(found.forecast.low), "high": rfc3339(found.forecast.high),
        },
    }  # fmt: skip


def _timing(likelihood: ShutdownLikelihood | None) -> dict[str, object] | None:
    if likelihood is None:
        return None
    return {
        "log_likelihood_ratio": round(likelihood.log_ratio, 3),
        "clues": [
            {"clue": str(clue), "present": there, "log_ratio": round(part, 3)}
            for clue, there, part in likelihood.parts
        ],
        "words": likelihood.words,
        "statement_of_cause": False,
    }


def _access(access: SurvivingNetworks | None, tree: EntityTree) -> dict[str, object] | None:
    if access is None:
        return None
    return {
        "kept": [
            _scope(one.entity, tree)
            | {"share": one.share, "level": one.level, "low": one.low, "high": one.high}
            for one in access.kept
        ],
        "kept_share": access.kept_share,
        "lost_share": access.lost_share,
        "unknown_share": access.unknown_share,
        "exhaustive": False,
    }


def _scope(entity: Entity, tree: EntityTree) -> dict[str, object]:
    return {"type": str(entity.kind), "id": entity.code, "name": place_name(entity, tree)}


def _percent(percent: Percent) -> dict[str, object] | None:
    """Return the percentage, None if there are too few measurements for a number."""
    if percent.text is None:
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
