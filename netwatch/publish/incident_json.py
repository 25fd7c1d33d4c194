"""An incident as the public JSON object, the same for the web and the command line."""

from datetime import datetime

from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import Incident, Percent
from netwatch.model.incident_details import ShutdownLikelihood, SurvivingNetworks
from netwatch.model.signals import signal_spec
from netwatch.publish.display_names import place_name

_EVIDENCE = {
    0: "signal only",
    1: "unconfirmed",
    2: "corroborated, not yet reviewed",
    3: "confirmed",
    4: "acknowledged",
}
_OPEN = frozenset({"confirmed", "easing"})


def is_open(incident: Incident) -> bool:
    """Tell whether the public is told that `incident` goes on."""
    return incident.state in _OPEN


def evidence_words(level: int) -> str:
    """Return an evidence level, 0 to 4, in words."""
    return _EVIDENCE.get(level, "unknown")


def incident_object(
    incident: Incident, places: EntityTree, *, url: str = "", test: bool = False
) -> dict[str, object]:
    """Return `incident` as plain values for JSON; times are RFC 3339 in UTC.

    Args:
        incident: the revision to show.
        places: names of entities.
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
        "scope": _scope(incident.entity, places),
        "children": [
            _scope(child.entity, places)
            | {"started_at": _text(child.started_at), "ended_at": _text(child.ended_at)}
            for child in incident.children
        ],
        "started_at": _text(incident.started_at),
        "started_at_low": _text(incident.started_low),
        "started_at_high": _text(incident.started_high),
        "ended_at": _text(incident.ended_at),
        "rollout_hours": incident.progressive_hours,
        "progressive": incident.progressive_hours is not None,
        "percent": _percent(incident.percent),
        "trough": _percent(incident.trough),
        "trough_at": _text(incident.trough_at),
        "networks": {"affected": incident.affected, "measured": incident.measured},
        "baseline": {"id": incident.baseline},
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
        "findings": _findings(incident, places),
        "merged_into": incident.parent,
        "test": test,
        "updated_at": _text(incident.at),
    }


def _findings(incident: Incident, places: EntityTree) -> dict[str, object]:
    """Return what was found out besides the level; none of it is a statement of cause."""
    found = incident.findings
    return {
        "pattern_words": found.words or None,
        "timing": _timing(found.likelihood),
        "segments": [
            {
                "start": _text(one.start), "end": _text(one.end),
                "level": round(one.level, 4), "low": round(one.low, 4), "high": round(one.high, 4),
            }
            for one in found.segments
        ],
        "falls": [
            _scope(one.entity, places)
            | {"at": _text(one.at), "share": one.share, "lost_share": one.lost_share}
            for one in found.falls
        ],
        "access": _access(found.access, places),
        "never_answer": [_scope(one, places) for one in found.dead],
        "nights": [
            {"started_at": _text(one.started_at), "ended_at": _text(one.ended_at),
             "lowest": round(one.lowest, 4)}
            for one in found.nights
        ],
        "forecast": None if found.forecast is None else {
            "start": _text(found.forecast.start), "end": _text(found.forecast.end),
            "low": _text(found.forecast.low), "high": _text(found.forecast.high),
        },
    }  # fmt: skip


def _timing(likelihood: ShutdownLikelihood | None) -> dict[str, object] | None:
    """Return how the timing resembles directed shutdowns, with a word that it is no cause."""
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


def _access(access: SurvivingNetworks | None, places: EntityTree) -> dict[str, object] | None:
    """Return who kept access; the list is not exhaustive."""
    if access is None:
        return None
    return {
        "kept": [
            _scope(one.entity, places)
            | {"share": one.share, "level": one.level, "low": one.low, "high": one.high}
            for one in access.kept
        ],
        "kept_share": access.kept_share,
        "lost_share": access.lost_share,
        "unknown_share": access.unknown_share,
        "exhaustive": False,
    }


def _scope(entity: Entity, places: EntityTree) -> dict[str, object]:
    return {"type": str(entity.kind), "id": entity.code, "name": place_name(entity, places)}


def _percent(percent: Percent) -> dict[str, object] | None:
    """Return null where there are too few measurements to state a number."""
    if percent.text is None:
        return None
    return {
        "value": round(percent.value, 1),
        "low": round(percent.low, 1),
        "high": round(percent.high, 1),
        "text": percent.text,
    }


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")
