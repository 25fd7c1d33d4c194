"""One open incident as the tracker holds it, and how it becomes a revision of the record."""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from netwatch.incidents.excursion import Excursion, is_low
from netwatch.incidents.history import IncidentHistory
from netwatch.incidents.progressive import progressive_hours
from netwatch.model.entities import Entity
from netwatch.model.incident import (
    OUTAGE,
    AffectedEntity,
    Incident,
    IncidentState,
    RevisionReason,
)
from netwatch.model.incident_details import DailyOccurrence, Forecast, IncidentDetails
from netwatch.model.percent import PublishedPercent, make_percent
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import CONNECTIVITY, signal_spec
from netwatch.model.thresholds import LOW

_TELLABLE = 2
_SEPARATE = 3
"""Networks that must show a loss when one signal alone does: two may share a cable."""
_TOLD_LATER = (RevisionReason.MILESTONE, RevisionReason.MATERIAL)
"""Revisions that are the first a post may speak of, when the evidence only now allows it."""
_CONFIRMED = (IncidentState.CONFIRMED, IncidentState.PARTIALLY_RESTORED, IncidentState.RESOLVED)
_COUNTED = 0.02
"""A signal agrees when it, too, is at least this much below the edge of ordinary."""


@dataclass(frozen=True, slots=True)
class RevisionContext:
    """What a record says besides levels: see `netwatch.model.incident.Incident`."""

    findings: IncidentDetails = field(default_factory=IncidentDetails)
    kind: str = OUTAGE
    place: str = ""


class OpenIncident(msgspec.Struct):
    """An incident between its first word and the time when it can no longer reopen.

    Attributes:
        id, entity, state, revision: as in the record.
        started_at, started_low, started_high, provisional_at, confirmed_at: as in the record.
        trough: deepest level so far.
        lead: the signal whose level the incident follows.
        children: when each narrower entity fell and came back.
        back_from: first bin of the present run of returned levels (the end, if it lasts).
        good_from: first bin of the present run of levels that are good enough to close.
        rising: bins in a row that are clearly above the trough.
        told_at, told: newest revision that a post may quote, and its level.
        milestones: how many of them were told.
        evidence: the most that the evidence ever was; it does not wane as networks return.
        parent: the incident that this one was merged into.
        shown: the signals that ever showed it.
        notes: what was noted of it, bin by bin.
        nights: the losses of a daily series that it stands for, oldest first.
        expected: when the next of them is due, if it recurs.
        series: whether one came as expected.
        back: time and level of the bins since `back_from`, of a provisional incident.
    """

    id: str
    entity: Entity
    started_at: datetime
    started_low: datetime
    started_high: datetime
    provisional_at: datetime
    confirmed_at: datetime | None
    trough: Level
    told_at: datetime
    told: Level
    lead: str
    state: IncidentState = IncidentState.CONFIRMED
    revision: int = 0
    ended_at: datetime | None = None
    children: dict[str, AffectedEntity] = {}
    back_from: datetime | None = None
    good_from: datetime | None = None
    rising: int = 0
    milestones: int = 0
    evidence: int = 0
    parent: str | None = None
    shown: list[str] = []
    notes: IncidentHistory = msgspec.field(default_factory=IncidentHistory)
    nights: list[DailyOccurrence] = []
    expected: Forecast | None = None
    series: bool = False
    back: list[tuple[datetime, float]] = []

    @property
    def followed(self) -> SeriesKey:
        """The series that the incident follows."""
        return SeriesKey(self.lead, self.entity)


def write_revision(
    case: OpenIncident,
    reason: RevisionReason,
    networks: dict[Entity, tuple[Excursion, float]],
    signals: dict[str, Level],
    *,
    found: RevisionContext,
) -> Incident:
    """Return the next revision of `case`, counted up.

    Args:
        case: the open incident; its revision number is raised.
        reason: why the revision is written.
        networks: the networks of its scope, with their weights.
        signals: newest level of every signal of its entity; the lead signal is among them.
        found: what the scope's losses make together, and what else was found out.
    """
    case.revision += 1
    level = case.told
    seen = [watch.level for watch, _ in networks.values() if watch.level.time == level.time]
    affected, measured = sum(map(is_low, seen)), max(1, len(seen))
    losses = [(watch.lost_from, weight) for watch, weight in networks.values() if watch.lost_from]
    agreeing = _agreements(signals)
    case.shown = sorted({*case.shown, *(name for name, agrees in agreeing if agrees)})
    before = case.evidence
    if case.state in _CONFIRMED:
        case.evidence = max(before, _evidence(affected, agreeing))
    if reason in _TOLD_LATER and before < _TELLABLE <= case.evidence:
        reason = RevisionReason.CONFIRMED
    return Incident(
        id=case.id,
        revision=case.revision,
        state=case.state,
        reason=reason,
        entity=case.entity,
        started_at=case.started_at,
        started_low=case.started_low,
        started_high=case.started_high,
        ended_at=case.ended_at,
        provisional_at=case.provisional_at,
        confirmed_at=case.confirmed_at,
        at=level.time,
        percent=_percent(case, level),
        trough=_percent(case, case.trough),
        trough_at=case.trough.time,
        progressive_hours=progressive_hours(losses, level.time),
        networks_lost=affected if networks else 1,
        networks_measured=measured,
        affected=tuple(sorted(case.children.values(), key=lambda child: child.started_at)),
        signals=agreeing if case.ended_at is None else _ever(case, agreeing),
        evidence_level=case.evidence,
        baseline=level.baseline,
        merged_into=case.parent,
        details=found.findings,
        kind=found.kind,
        seen_from=found.place,
    )


def _percent(case: OpenIncident, level: Level) -> PublishedPercent:
    """Return the published form of a level; a number is published from active signals alone."""
    networks = level.networks if signal_spec(case.lead).trigger else 0
    return make_percent(*_shares(level), networks=networks, coverage=level.coverage)


def _shares(level: Level) -> tuple[float, float, float]:
    """Return value, low and high of a level that has them."""
    value = level.value if level.value is not None else 0.0
    low = level.low if level.low is not None else value
    high = level.high if level.high is not None else value
    return value, low, high


def _agreements(signals: dict[str, Level]) -> tuple[tuple[str, bool | None], ...]:
    """Return for every signal whether it shows the loss, None where it has no data."""
    return tuple(
        (name, None if level.value is None else level.value < LOW - _COUNTED)
        for name, level in sorted(signals.items())
        if name != CONNECTIVITY
    )


def _ever(
    case: OpenIncident, agreeing: tuple[tuple[str, bool | None], ...]
) -> tuple[tuple[str, bool | None], ...]:
    """Return for every signal whether it showed the loss while that went on."""
    return tuple((name, True if name in case.shown else agrees) for name, agrees in agreeing)


def _evidence(affected: int, agreeing: tuple[tuple[str, bool | None], ...]) -> int:
    """Return 2 where several networks or two signals show it, else 1; never more alone."""
    families = sum(agrees is True for _, agrees in agreeing)
    return 2 if affected >= _SEPARATE or families >= 2 else 1
