"""From what was noted of an incident to what its record says of it, at any time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.incidents.episodes import EpisodeHistory
from netwatch.incidents.open_incident import OpenIncident, RevisionContext
from netwatch.incidents.patterns import (
    PatternContext,
    find_patterns,
    lead_pattern,
    partial_pattern,
    progressive_pattern,
)
from netwatch.incidents.timing_likelihood import TimingFeatures, shutdown_likelihood
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident_details import IncidentDetails, Pattern, ShutdownLikelihood
from netwatch.model.series import Level
from netwatch.model.signals import CONNECTIVITY

_LEAST_SIGNALS = 3


@dataclass(frozen=True, slots=True)
class IncidentContext:
    """What is known around an incident.

    Attributes:
        atlas: which scope is a part of which.
        log: the episodes of the incident's scope.
        signals: newest level of each signal of the scope.
        dead: what never answers, anywhere.
        width: bin width.
    """

    atlas: EntityTree
    log: EpisodeHistory
    signals: Mapping[str, Level]
    dead: Collection[Entity]
    width: timedelta


def analyse(case: OpenIncident, scene: IncidentContext) -> RevisionContext:
    """Return what can be told of `case` at its newest bin; nothing of it is a cause."""
    atlas, width = scene.atlas, scene.width
    now, zone = case.told.time + width, atlas.timezone(case.entity)
    weights = atlas.leaf_weights(case.entity)
    segments, falls = case.notes.segments(width), case.notes.falls(weights)
    losses = [(fall.started_at, weights[fall.entity]) for fall in falls]
    shapes: list[Pattern | None] = [
        *find_patterns(scene.log.episodes, PatternContext(now, zone, width)),
        progressive_pattern(losses, case.told.time, networks=len(weights)),
        partial_pattern(segments) if case.ended_at is None else None,
    ]
    lead = lead_pattern(shape for shape in shapes if shape is not None)
    findings = IncidentDetails(
        pattern=lead,
        likelihood=_likelihood(case, scene, zone) if case.confirmed_at else None,
        segments=segments,
        losses=falls,
        survivors=case.notes.access(weights),
        unresponsive=tuple(
            sorted(one for one in scene.dead if case.entity in atlas.ancestors(one))
        ),
        occurrences=tuple(case.nights),
        forecast=case.expected,
    )
    return RevisionContext(findings)


def _likelihood(case: OpenIncident, scene: IncidentContext, zone: str) -> ShutdownLikelihood:
    """Return how much the timing of the newest loss of a case resembles directed ones."""
    started = case.nights[-1].started_at if case.nights else case.started_at
    earlier = (one.started_at for one in scene.log.episodes if one.started_at < started)
    clues = TimingFeatures(
        started_at=started,
        zone=zone,
        width=scene.width,
        earlier=tuple(earlier),
        ended_at=case.ended_at,
        all_signals=_all_show(case, scene.signals, case.told.time),
    )
    return shutdown_likelihood(clues)


def _all_show(case: OpenIncident, signals: Mapping[str, Level], now: datetime) -> bool | None:
    """Return whether every signal with data showed the loss; None with fewer than three."""
    names = [
        name
        for name, level in signals.items()
        if name != CONNECTIVITY
        and (name in case.shown or (level.time == now and level.value is not None))
    ]
    if len(names) < _LEAST_SIGNALS:
        return None
    return all(name in case.shown for name in names)
