"""Incidents: the public record of a loss, revision by revision, and the posts about it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from netwatch.model.baseline import Baseline
from netwatch.model.entities import Entity
from netwatch.model.incident_details import IncidentDetails

OUTAGE = "outage"
"""Kind of an incident that is no loss of one domain from one place."""


class IncidentState(StrEnum):
    """Where an incident is in its life."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    EASING = "easing"
    RESOLVED = "resolved"
    EXPIRED = "expired"
    MERGED = "merged"


class RevisionReason(StrEnum):
    """Why a revision was written."""

    OPENED = "opened"
    HELD = "held"
    CONFIRMED = "confirmed"
    MILESTONE = "milestone"
    MATERIAL = "material"
    PARTIAL = "partial"
    REDROP = "redrop"
    RESTORED = "restored"
    EXPIRED = "expired"
    MERGED = "merged"
    SERIES = "series"
    NIGHT = "night"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Percent:
    """A published number: shares of ordinary in percent, and the only text that may show it.

    `text` is None where there are too few measurements for a number.
    """

    value: float
    low: float
    high: float
    text: str | None


@dataclass(frozen=True, slots=True)
class Episode:
    """A run of low bins in one series.

    Attributes:
        entity: what is low.
        started_at: first low bin.
        started_low, started_high: between these two instants the loss began.
        ended_at: first bin back at ordinary, None while it lasts.
        lowest: lowest level seen, 1.0 = ordinary.
    """

    entity: Entity
    started_at: datetime
    started_low: datetime
    started_high: datetime
    ended_at: datetime | None
    lowest: float


@dataclass(frozen=True, slots=True)
class AffectedEntity:
    """A narrower scope that is part of an incident, with its weight in the incident's scope."""

    entity: Entity
    started_at: datetime
    ended_at: datetime | None
    weight: float


@dataclass(frozen=True, slots=True)
class Incident:
    """One immutable revision of an incident's record.

    Attributes:
        id: `NW-<country>-<year>-<number>`, never reused.
        revision: counts from 1.
        state, reason: where it is in its life, and why this revision was written.
        entity: the scope.
        started_at, started_low, started_high: onset, and the interval that holds it.
        ended_at: first bin of the lasting return, None while it goes on.
        provisional_at, confirmed_at: when a live system would have said it.
        at: the bin that this revision speaks of.
        percent: level at that bin; trough: the lowest so far; trough_at: its bin.
        progressive_hours: N of "after N hours of progressive disconnections", None
            where that may not be said.
        affected, measured: networks lost, networks seen.
        children: narrower scopes in the order in which they fell.
        signals: signal and whether it agrees (None: no data).
        evidence: 0 signal to 4 acknowledged.
        baseline: what the ordinary level stands on.
        parent: id of the incident that this one was merged into.
        pattern: name of the pattern that the scope's losses make, such as `daily-curfew`.
        findings: what else was found, none of it a cause.
        kind: `outage`; of a domain also `blocking` or `throttling`, as seen from `place`.
        place: from where a domain's loss is seen: a country's code, or `AS` and a number.
    """

    id: str
    revision: int
    state: IncidentState
    reason: RevisionReason
    entity: Entity
    started_at: datetime
    started_low: datetime
    started_high: datetime
    ended_at: datetime | None
    provisional_at: datetime
    confirmed_at: datetime | None
    at: datetime
    percent: Percent
    trough: Percent
    trough_at: datetime
    progressive_hours: int | None
    affected: int
    measured: int
    children: tuple[AffectedEntity, ...]
    signals: tuple[tuple[str, bool | None], ...]
    evidence: int
    baseline: Baseline
    parent: str | None = None
    pattern: str | None = None
    findings: IncidentDetails = field(default_factory=IncidentDetails)
    kind: str = OUTAGE
    place: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    """One text for one channel in one language; `key` makes sure it goes out once.

    Attributes:
        key: SHA-256 of incident, revision, channel and language, in hexadecimal.
        incident, revision, channel, language: what it is about and where it goes.
        kind: the template that made it, `confirmed`, `update`, `restored` …
        text: what is published.
        alternative: the picture in words.
        created_at: when it was written.
    """

    key: str
    incident: str
    revision: int
    channel: str
    language: str
    kind: str
    text: str
    alternative: str
    created_at: datetime
