"""Analyses an open incident and writes the next revision of its record."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from netwatch.incidents.episode_history import EpisodeHistory
from netwatch.incidents.excursion import Excursion, is_low
from netwatch.incidents.open_incident import OpenIncident, seen_from
from netwatch.incidents.patterns import (
    find_patterns,
    lead_pattern,
    partial_pattern,
    progressive_hours,
    progressive_pattern,
)
from netwatch.incidents.recurrence import PatternContext
from netwatch.incidents.shutdown_likelihood import shutdown_likelihood
from netwatch.model.entities import Entity
from netwatch.model.incident import CORROBORATED, OPEN_STATES, OUTAGE, Incident, RevisionReason
from netwatch.model.incident_details import IncidentDetails, Pattern, ShutdownLikelihood
from netwatch.model.percent import PublishedPercent, make_percent
from netwatch.model.series import Level
from netwatch.model.signals import CONNECTIVITY, signal_spec
from netwatch.model.thresholds import LOW

_MIN_NETWORKS = 3
"""Lost networks that corroborate a loss seen by one signal: two may share a cable."""
_MIN_NETWORKS_DOMAIN = 2
"""Networks that corroborate the loss of a domain: its filters are their own."""
_FIRST_PUBLISHED = {
    RevisionReason.MILESTONE: RevisionReason.CONFIRMED,
    RevisionReason.MATERIAL: RevisionReason.CONFIRMED,
    RevisionReason.PARTIALLY_RESTORED: RevisionReason.CONFIRMED,
    RevisionReason.RELAPSED: RevisionReason.CONFIRMED,
    RevisionReason.RECURRED: RevisionReason.RECURRING,
}
"""Reason of a revision to the one it has if it is the first that is published: the first post of an
incident is about its beginning."""
_AGREEMENT_MARGIN = 0.02
"""How far below the edge of ordinary another signal must be to corroborate a loss."""
_MIN_SIGNALS = 3
"""Signals with data before their agreement is a feature of timing."""


@dataclass(frozen=True, slots=True)
class IncidentContext:
    """What surrounds an incident.

    Attributes:
        weights: weights of the networks of its entity.
        excursions: excursions of those that are measured.
        episodes: past losses of the entity.
        signals: newest level of every signal of the entity.
        unresponsive: entities of its scope that never answered.
        timezone: IANA time zone of the entity.
        width: bin width.
        few_voices: whether few independent vantages are behind its level.
    """

    weights: Mapping[Entity, float]
    excursions: Mapping[Entity, Excursion]
    episodes: EpisodeHistory
    signals: Mapping[str, Level]
    unresponsive: Collection[Entity]
    timezone: str
    width: timedelta
    few_voices: bool = False


def analyse(incident: OpenIncident, context: IncidentContext) -> IncidentDetails:
    """Return the details of an outage at its newest published bin; none states a cause."""
    if incident.kind != OUTAGE:
        return IncidentDetails()
    width, weights = context.width, context.weights
    segments, losses = incident.history.segments(width), incident.history.losses(weights)
    onsets = [(loss.started_at, weights[loss.entity]) for loss in losses]
    now = PatternContext(incident.published.time + width, context.timezone, width)
    patterns: list[Pattern | None] = [
        *find_patterns(context.episodes.episodes, now),
        progressive_pattern(onsets, incident.published.time, networks=len(weights)),
        partial_pattern(segments) if incident.ended_at is None else None,
    ]
    return IncidentDetails(
        pattern=lead_pattern(one for one in patterns if one is not None),
        likelihood=_likelihood(incident, context) if incident.confirmed_at else None,
        segments=segments,
        losses=losses,
        survivors=incident.history.survivors(weights),
        unresponsive=tuple(sorted(context.unresponsive)),
        occurrences=tuple(incident.occurrences),
        forecast=incident.forecast,
        few_voices=context.few_voices,
    )


def write_revision(
    incident: OpenIncident, reason: RevisionReason, context: IncidentContext
) -> Incident:
    """Return the next revision of an incident; raises its revision number and evidence."""
    incident.revision += 1
    level = incident.published
    current = [one.level for one in context.excursions.values() if one.level.time == level.time]
    lost = sum(map(is_low, current))
    onsets = [
        (one.lost.since, context.weights[entity])
        for entity, one in context.excursions.items()
        if one.lost.since
    ]
    agreements = _agreements(context.signals)
    shown_by = {name for name, agrees in agreements if agrees}
    incident.shown_by = sorted({*incident.shown_by, *shown_by})
    before = incident.evidence_level
    # What is low after the end does not corroborate the loss.
    if incident.state in OPEN_STATES:
        incident.evidence_level = max(before, _evidence(incident, lost, len(shown_by)))
    if before < CORROBORATED <= incident.evidence_level:
        reason = _FIRST_PUBLISHED.get(reason, reason)
    if incident.ended_at is not None:
        # An ended incident names every signal that showed it while it lasted.
        agreements = tuple((name, name in incident.shown_by or one) for name, one in agreements)
    return Incident(
        id=incident.id,
        revision=incident.revision,
        state=incident.state,
        reason=reason,
        entity=incident.entity,
        started_at=incident.started_at,
        started_low=incident.started_low,
        started_high=incident.started_high,
        ended_at=incident.ended_at,
        provisional_at=incident.provisional_at,
        confirmed_at=incident.confirmed_at,
        at=level.time,
        percent=_percent(incident, level),
        trough=_percent(incident, incident.trough),
        trough_at=incident.trough.time,
        progressive_hours=progressive_hours(onsets, level.time),
        networks_lost=lost if context.excursions else 1,
        networks_measured=max(1, len(current)),
        affected=tuple(sorted(incident.affected.values(), key=lambda one: one.started_at)),
        signals=agreements,
        evidence_level=incident.evidence_level,
        baseline=level.baseline,
        merged_into=incident.merged_into,
        details=analyse(incident, context),
        kind=incident.kind,
        seen_from=seen_from(incident.signal),
    )


def _percent(incident: OpenIncident, level: Level) -> PublishedPercent:
    """Return a level as published; signals that open no incident get no number."""
    value, low, high = level.interval or (0.0, 0.0, 0.0)
    networks = level.networks if signal_spec(incident.signal).trigger else 0
    return make_percent(value, low, high, networks=networks, coverage=level.coverage)


def _agreements(signals: Mapping[str, Level]) -> tuple[tuple[str, bool | None], ...]:
    """Return for every signal whether it shows the loss, None without data."""
    return tuple(
        (name, None if level.value is None else level.value < LOW - _AGREEMENT_MARGIN)
        for name, level in sorted(signals.items())
        if name != CONNECTIVITY
    )


def _evidence(incident: OpenIncident, lost: int, signals: int) -> int:
    """Return `CORROBORATED` if several networks or two signals show the loss, else 1."""
    enough = _MIN_NETWORKS if incident.kind == OUTAGE else _MIN_NETWORKS_DOMAIN
    return CORROBORATED if lost >= enough or signals >= 2 else 1


def _likelihood(incident: OpenIncident, context: IncidentContext) -> ShutdownLikelihood:
    occurrences = incident.occurrences
    started_at = occurrences[-1].started_at if occurrences else incident.started_at
    onsets = (one.started_at for one in context.episodes.episodes)
    return shutdown_likelihood(
        started_at.astimezone(ZoneInfo(context.timezone)),
        width=context.width,
        earlier=tuple(onset for onset in onsets if onset < started_at),
        ended_at=incident.ended_at,
        all_signals=_all_signals_show(incident, context.signals),
    )


def _all_signals_show(incident: OpenIncident, signals: Mapping[str, Level]) -> bool | None:
    """Return whether every signal with data showed the loss; None with fewer than three."""
    now = incident.published.time
    names = [
        name
        for name, level in signals.items()
        if name != CONNECTIVITY
        and (name in incident.shown_by or (level.time == now and level.value is not None))
    ]
    if len(names) < _MIN_SIGNALS:
        return None
    return all(name in incident.shown_by for name in names)
