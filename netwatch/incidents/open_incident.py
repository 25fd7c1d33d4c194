"""State of one incident that may still change."""

from datetime import datetime

import msgspec

from netwatch.incidents.excursion import BinRun
from netwatch.incidents.level_history import IncidentHistory
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident import OUTAGE, AffectedEntity, IncidentState
from netwatch.model.incident_details import DailyOccurrence, Forecast
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import signal_spec


class OpenIncident(msgspec.Struct):
    """An incident from its first revision until it can no longer reopen.

    Attributes:
        id, entity, state, revision, ended_at, merged_into: as in the record. The tracker
            assigns the id.
        started_at, started_low, started_high, provisional_at, confirmed_at: as in the record.
        signal: the signal whose level it follows.
        trough: deepest level so far.
        published: level of the newest revision.
        affected: narrower entities that were lost, by name.
        recovering: run of returned levels.
        recovered: run of levels that may resolve it.
        rising: run of levels clearly above the trough.
        recovery: while provisional, time and level of the bins that speak for its end.
        milestones: number of milestones reached.
        evidence_level: highest evidence so far; it stays when networks return.
        shown_by: signals that ever showed the loss.
        history: its levels and those of its networks.
        occurrences: the losses of the daily series that it covers, oldest first.
        forecast: when the next one is due.
        is_recurring: whether one came as forecast.
    """

    entity: Entity
    started_at: datetime
    started_low: datetime
    started_high: datetime
    provisional_at: datetime
    confirmed_at: datetime | None
    trough: Level
    published: Level
    signal: str
    id: str = ""
    state: IncidentState = IncidentState.CONFIRMED
    revision: int = 0
    ended_at: datetime | None = None
    merged_into: str | None = None
    affected: dict[str, AffectedEntity] = {}
    recovering: BinRun = BinRun()
    recovered: BinRun = BinRun()
    rising: BinRun = BinRun()
    recovery: list[tuple[datetime, float]] = []
    milestones: int = 0
    evidence_level: int = 0
    shown_by: list[str] = []
    history: IncidentHistory = msgspec.field(default_factory=IncidentHistory)
    occurrences: list[DailyOccurrence] = []
    forecast: Forecast | None = None
    is_recurring: bool = False

    @property
    def series(self) -> SeriesKey:
        """The series that the incident follows."""
        return SeriesKey(self.signal, self.entity)

    @property
    def kind(self) -> str:
        """Kind of the loss, as in the record."""
        return signal_spec(self.signal).incident_kind

    @property
    def is_followed_alone(self) -> bool:
        """Whether it follows one series, not the leading signal of its entity."""
        lead = signal_spec(self.signal).trigger or self.confirmed_at is not None
        return self.kind != OUTAGE or not lead


def is_domain_series(series: SeriesKey) -> bool:
    """Return whether a series is about access to a domain from one country or network."""
    at_domain = series.entity.kind is EntityKind.DOMAIN and ":" in series.signal
    return at_domain and signal_spec(series.signal).incident_kind != OUTAGE


def seen_from(signal: str) -> str:
    """Return where a domain is measured from: `IR` of `blocking:IR`; empty for other signals."""
    return signal.partition(":")[2]


def origin_network(series: SeriesKey) -> Entity | None:
    """Return the network that a domain is measured from; None for a country.

    `AS` alone is a country, American Samoa.
    """
    number = seen_from(series.signal).removeprefix("AS")
    return Entity(EntityKind.ASN, number) if number.isdigit() else None
