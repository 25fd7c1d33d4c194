"""Pages as values, read from the record and the store; independent of HTTP and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from netwatch.model.amendment import AmendedSpan, AmendmentState, by_hour
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident import (
    OPEN_STATES,
    PUBLIC_STATES,
    AffectedEntity,
    Incident,
    IncidentState,
)
from netwatch.model.series import Level
from netwatch.model.signals import ACTIVE_SIGNALS
from netwatch.model.steady_clock import as_steady
from netwatch.model.time import floor_time
from netwatch.protocols import DamageReport
from netwatch.publish.display_names import full_name, place_name
from netwatch.publish.language import Language
from netwatch.publish.level_queries import has_bins, lead_levels, listed_places
from netwatch.publish.plot_series import resample, trace
from netwatch.publish.posts import alternative_text, sentence
from netwatch.publish.summary import key_facts
from netwatch.publish.time_format import age, moment_text, utc_text
from netwatch.web.labels import colour_class, headline, incident_status, level_text
from netwatch.web.site_context import SiteContext
from netwatch.web.svg_charts import CHART, SPARKLINE, SvgChart

_STALE = timedelta(minutes=30)
_DAY = timedelta(hours=24)
_SPARKLINE_SPAN = timedelta(hours=48)
_SPARKLINE_POINTS = 96
_CHART_POINTS = 480
_RECENT = timedelta(days=30)
_MOST_PLACES = 300
_MOST_HOURS = 1000
_MOST_DAYS = 10


@dataclass(frozen=True, slots=True)
class Health:
    """Freshness of the data.

    Attributes:
        until: time up to which bins are complete, None before the first.
        age: time since then; None if that time is in the future, so that a clock was wrong.
        stale: whether pages warn of the age.
        clock: what is wrong with the observatory's clock, in one line; empty if nothing.
        missing: days whose data is missing because a file is damaged.
    """

    until: datetime | None
    age: timedelta | None
    stale: bool
    clock: str = ""
    missing: Sequence[date] = ()

    def text(self, language: Language) -> str:
        """Return the age of the data, and the days that are missing, in two sentences at most."""
        if not self.missing:
            return self._age_text(language)
        days = ", ".join(f"{day:%Y-%m-%d}" for day in self.missing[-_MOST_DAYS:])
        return f"{self._age_text(language)} {language.text('data_missing', days)}"

    def _age_text(self, language: Language) -> str:
        if self.until is None:
            return language.text("no_measurements")
        if not self.stale:
            return language.text("data_until", utc_text(self.until, language))
        until = f"{self.until.astimezone(UTC):%Y-%m-%d %H:%M}"
        if self.age is None:
            return language.text("data_in_future", until)
        return language.text("data_stale", until, age(self.age))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of places or incidents; cells that do not apply are empty."""

    name: str
    href: str
    spark: SvgChart
    level: str
    colour: str
    indent: bool = False
    since: str = ""
    returned: str = ""
    networks: str = ""
    evidence: str = ""


Page = dict[str, object]
"""Values of a page, by the names under which its template reads them."""


class PageBuilder:
    """Builds pages. Its methods block: call them off the event loop."""

    def __init__(self, context: SiteContext) -> None:
        self.context = context
        self.store, self.ledger, self.tree = context.store, context.ledger, context.tree
        self.language = context.language

    def health(self) -> Health:
        """Return the freshness of the data."""
        until = self.store.closed_until()
        clock = as_steady(self.context.clock)
        length = None if until is None else clock() - until
        if length is not None and length < timedelta(0):
            length = None
        missing = self.store.damaged_days() if isinstance(self.store, DamageReport) else ()
        is_stale = length is None or length > _STALE
        return Health(until, length, is_stale, clock.notice, missing)

    def public_incidents(self) -> list[Incident]:
        """Return the newest revision of every public incident, merged ones left out."""
        return [incident for incident in self.ledger.incidents() if incident.state in PUBLIC_STATES]

    def version(self) -> tuple[object, ...]:
        """Return a value that changes with the bins, the record, and the age that pages show."""
        health = self.health()
        return health.until, health.text(self.language), self.ledger.count_revisions()

    def place(self, entity: Entity) -> Page | None:
        """Return the page of `entity`, None if it is unknown."""
        health = self.health()
        until = health.until or self.context.clock()
        levels = lead_levels(self.store, entity, until - 7 * _DAY, until)
        if not levels and entity not in {info.entity for info in self.tree}:
            return None
        name = full_name(entity, self.tree, self.language)
        text = self.language.text
        now = level_text(levels[-1], self.language) if levels else text("not_known_yet")
        alternative = text("alt_week", name, now)
        return {
            "name": name,
            "headline": text("place_now", name, now),
            "chart": SvgChart(trace(levels, most=_CHART_POINTS), CHART, alternative),
            "alternative": alternative,
            "children": [self._place_row(child, until) for child in self._children(entity)],
            "hours": self._hours(levels),
            "review": self._review(entity, until - 7 * _DAY, until),
            "health": health,
        }

    def public_revisions(self, number: str) -> list[Incident]:
        """Return the revisions of an incident, oldest first; none if it is not public."""
        revisions = self.ledger.revisions(number)
        return revisions if revisions and _is_public(revisions[-1]) else []

    def incident(self, revisions: Sequence[Incident]) -> Page:
        """Return the page of the incident with these revisions, oldest first."""
        incident = revisions[-1]
        health = self.health()
        end = max(incident.at, health.until or incident.at)
        if incident.ended_at is not None:
            end = min(end, incident.ended_at + _DAY)
        levels = lead_levels(self.store, incident.entity, incident.started_at - _DAY, end)
        alternative = alternative_text(incident, self.tree, self.language)
        line, onset = trace(levels, most=_CHART_POINTS), incident.started_at
        return {
            "incident": incident,
            "status": incident_status(incident),
            "headline": sentence(incident, self.tree, self.language),
            "chart": SvgChart(line, CHART, alternative, onset),
            "alternative": alternative,
            "facts": key_facts(incident, self.tree, self.language),
            "children": [self._affected_row(child, end) for child in incident.affected],
            "revisions": revisions[::-1],
            "posts": self.ledger.outbox.posts(incident.id),
            "hours": self._hours(levels),
            "review": self._review(incident.entity, incident.started_at - _DAY, end),
            "health": health,
        }

    def front(self) -> Page:
        """Return the front page."""
        health, incidents = self.health(), self.public_incidents()
        until = health.until or self.context.clock()
        now_open = [incident for incident in incidents if incident.state in OPEN_STATES]
        recent = [
            incident
            for incident in incidents
            if incident.state not in OPEN_STATES
            and (incident.ended_at or incident.at) > until - _RECENT
        ]
        entities = listed_places(self.store, self.tree, health.until)[:_MOST_PLACES]
        rows = [self._place_row(entity, until) for entity in entities]
        return {
            "headline": headline(now_open, self.tree, self.language),
            "health": health,
            "open": [self._incident_row(incident, until) for incident in now_open],
            "places": rows,
            "recent": [self._incident_row(incident, until) for incident in recent],
            "learning": sum(row.colour == "learning" for row in rows),
        }

    def amended_hours(self, entity: Entity, start: datetime, end: datetime) -> list[AmendedSpan]:
        """Return the hours of an entity that wait for a person, of its leading signal, by time."""
        pending = {AmendmentState.PENDING}
        found = by_hour(self.ledger.amendments.read(pending, start=start, end=end, entity=entity))
        signals = {one.series.signal for one in found}
        leading = next((name for name in ACTIVE_SIGNALS if name in signals), None)
        return [one for one in found if one.series.signal == leading]

    def _review(self, entity: Entity, start: datetime, end: datetime) -> str:
        """Return which hours are under review, in one sentence; empty if none is."""
        hours = self.amended_hours(entity, start, end)
        if not hours:
            return ""
        first, last = hours[0].start, hours[-1].end
        then, now = (
            round(100 * sum(values) / len(hours))
            for values in ([one.then for one in hours], [one.now for one in hours])
        )
        times = (utc_text(first, self.language), utc_text(last, self.language))
        return self.language.text("under_review", *times, len(hours), then, now)

    def _children(self, entity: Entity) -> list[Entity]:
        children = [info for info in self.tree if info.parent == entity]
        children.sort(key=lambda info: info.name)
        return [info.entity for info in children[:_MOST_PLACES]]

    def _sparkline(
        self, entity: Entity, until: datetime, name: str
    ) -> tuple[SvgChart, Level | None]:
        levels = lead_levels(self.store, entity, until - _SPARKLINE_SPAN, until)
        newest = levels[-1] if levels else None
        label = self.language.text("alt_two_days", name, level_text(newest, self.language))
        return SvgChart(trace(levels, most=_SPARKLINE_POINTS), SPARKLINE, label), newest

    def _place_row(self, entity: Entity, until: datetime) -> Row:
        name = place_name(entity, self.tree, self.language)
        spark, level = self._sparkline(entity, until, name)
        row = Row(
            name=name,
            href=f"/p/{entity.kind}/{entity.code}",
            spark=spark,
            level=level_text(level, self.language),
            colour=_level_colour(level),
            indent=entity.kind is not EntityKind.COUNTRY,
        )
        if level is None and has_bins(self.store, entity, until):
            return replace(row, level=self.language.text("learning"), colour="learning")
        if level is not None and not level.usable:
            return replace(row, level=self.language.text("never_answers"))
        return row

    def _affected_row(self, child: AffectedEntity, until: datetime) -> Row:
        zone = self.tree.timezone(child.entity)
        return replace(
            self._place_row(child.entity, until),
            indent=False,
            since=moment_text(child.started_at, zone, self.language),
            returned=moment_text(child.ended_at, zone, self.language) if child.ended_at else "",
        )

    def _incident_row(self, incident: Incident, until: datetime) -> Row:
        text, zone = self.language.text, self.tree.timezone(incident.entity)
        name = full_name(incident.entity, self.tree, self.language)
        end = min(until, incident.ended_at + _DAY) if incident.ended_at else until
        spark, _ = self._sparkline(incident.entity, max(end, incident.at), name)
        shown = incident.percent if incident.state in OPEN_STATES else incident.trough
        networks = text("count_of", incident.networks_lost, incident.networks_measured)
        return Row(
            name=name,
            href=f"/i/{incident.id}",
            spark=spark,
            level=text("percent", shown),
            colour=colour_class(shown.value),
            since=moment_text(incident.started_at, zone, self.language),
            networks=networks if incident.networks_measured else "",
            evidence=text("evidence", incident.evidence_level),
        )

    def _hours(self, levels: Sequence[Level]) -> list[dict[str, str]]:
        """Return hourly means, newest first; of less than three hours every interval."""
        line = trace(levels)
        if not line.times:
            return []
        step, start = line.step, line.times[0]
        if line.times[-1] - start >= timedelta(hours=3) and step < timedelta(hours=1):
            step = timedelta(hours=1)
            start = floor_time(start, step)
        values = resample(levels, start, line.times[-1] + line.step, step)
        form = "%Y-%m-%d %H:%M:%S" if step < timedelta(minutes=1) else "%Y-%m-%d %H:%M"
        no_data = self.language.text("no_data")
        hours = [
            {
                "time": (start + step * slot).astimezone(UTC).strftime(form),
                "level": no_data if value is None else f"{value:.1f}",
                "colour": colour_class(value),
            }
            for slot, value in enumerate(values)
        ]
        return hours[::-1][:_MOST_HOURS]


def _is_public(incident: Incident) -> bool:
    """Return whether an incident may be shown; a merged one if it was ever confirmed."""
    if incident.state is IncidentState.MERGED:
        return incident.confirmed_at is not None
    return incident.state in PUBLIC_STATES


def _level_colour(level: Level | None) -> str:
    share = level.value if level else None
    return colour_class(None if share is None else share * 100)
