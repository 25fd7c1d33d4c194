"""Incidents: the public record of a loss, one immutable revision after another."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from netwatch.model.baseline_basis import Baseline
from netwatch.model.entities import Entity
from netwatch.model.incident_details import IncidentDetails
from netwatch.model.percent import PublishedPercent

OUTAGE = "outage"
"""Kind of every incident other than the loss of a domain from one country or network."""


class IncidentState(StrEnum):
    """State of an incident."""

    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    PARTIALLY_RESTORED = "partially-restored"
    RESOLVED = "resolved"
    EXPIRED = "expired"
    MERGED = "merged"


OPEN_STATES = frozenset({IncidentState.CONFIRMED, IncidentState.PARTIALLY_RESTORED})
"""States of a confirmed incident that lasts; it contains the losses of narrower entities."""
PUBLIC_STATES = OPEN_STATES | {IncidentState.RESOLVED}
"""States of the incidents that lists show."""
CORROBORATED = 2
"""Evidence level from which on an incident is published."""


class RevisionReason(StrEnum):
    """Why a revision was written."""

    OPENED = "opened"
    SUSTAINED = "sustained"
    CONFIRMED = "confirmed"
    MILESTONE = "milestone"
    MATERIAL = "material"
    PARTIALLY_RESTORED = "partially-restored"
    RELAPSED = "relapsed"
    RESTORED = "restored"
    EXPIRED = "expired"
    MERGED = "merged"
    RECURRING = "recurring"
    """A daily series: the first loss that came as forecast."""
    RECURRED = "recurred"
    """A later start or end of a loss in a daily series."""
    RECURRENCE_ENDED = "recurrence-ended"
    """A daily series: the forecast loss did not come."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A run of low bins in one series.

    Attributes:
        started_at: first low bin.
        started_low, started_high: interval that contains the onset.
        ended_at: first bin back at ordinary, None while it lasts.
        lowest: lowest level, 1.0 = ordinary.
    """

    entity: Entity
    started_at: datetime
    started_low: datetime
    started_high: datetime
    ended_at: datetime | None
    lowest: float


@dataclass(frozen=True, slots=True)
class AffectedEntity:
    """A narrower entity that is lost in an incident; `weight` is its share in the scope."""

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
        entity: the scope.
        started_at, started_low, started_high: onset, and the interval that contains it.
        ended_at: first bin of the lasting return, None while it lasts.
        provisional_at, confirmed_at: when a live system first holds it likely, and certain.
        at: newest bin of this revision.
        percent: level at that bin; trough: the lowest so far; trough_at: its bin.
        progressive_hours: N of "after N hours of progressive disconnections", None
            where the losses are not progressive.
        networks_lost, networks_measured: number of networks.
        affected: narrower entities that are lost, in the order of their onsets.
        signals: signals and whether each shows the loss (None: no data).
        evidence_level: 0 signal, 1 unconfirmed, 2 corroborated, 3 confirmed, 4 acknowledged.
        baseline: how the ordinary level was derived.
        merged_into: id of the wider incident that contains this one.
        kind: `OUTAGE`, or of a domain the kind that its signal names.
        seen_from: where a domain is lost from: a country's code, or `AS` and a number.
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
    percent: PublishedPercent
    trough: PublishedPercent
    trough_at: datetime
    progressive_hours: int | None
    networks_lost: int
    networks_measured: int
    affected: tuple[AffectedEntity, ...]
    signals: tuple[tuple[str, bool | None], ...]
    evidence_level: int
    baseline: Baseline
    merged_into: str | None = None
    details: IncidentDetails = field(default_factory=IncidentDetails)
    kind: str = OUTAGE
    seen_from: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    """One text for one channel in one language.

    Attributes:
        key: SHA-256 of incident, revision, channel and language, in hexadecimal; it makes
            delivery idempotent.
        kind: the template that rendered it, `confirmed`, `update`, `restored` …
        alternative: description of the picture.
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
