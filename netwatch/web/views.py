"""From the record and the store to what a page shows; nothing here knows HTTP or HTML."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from time import perf_counter

from markupsafe import Markup

from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.percent import percent_phrase
from netwatch.model.series import DEAD, Level
from netwatch.protocols import Clock, Ledger, Outbox, OutboxEntry, SeriesStore
from netwatch.publish.display_names import full_name, place_name
from netwatch.publish.incident_json import evidence_words, is_open
from netwatch.publish.level_queries import has_bins, lead_levels, listed_places
from netwatch.publish.plot_series import Trace, resample, trace
from netwatch.publish.posts import alternative_text, sentence
from netwatch.publish.summary import facts
from netwatch.publish.time_format import age_words, moment_text, utc_text
from netwatch.web.labels import (
    cell_text,
    depth_tone,
    headline,
    incident_label,
    level_tone,
    level_words,
    revision_line,
)
from netwatch.web.svg_charts import chart_svg, sparkline_svg

_STALE = timedelta(minutes=30)
_SPARK = timedelta(hours=48)
_SPARK_POINTS = 96
_CHART_POINTS = 480
_BEFORE = timedelta(hours=24)
_RECENT = timedelta(days=30)
_MOST_PLACES = 300
_HIDDEN = frozenset({IncidentState.PENDING, IncidentState.EXPIRED, IncidentState.MERGED})


@dataclass(frozen=True, slots=True)
class Health:
    """How fresh the data are.

    Attributes:
        until: up to when bins are complete, None before the first.
        age: how long ago that was.
        stale: whether the age must be said first.
    """

    until: datetime | None
    age: timedelta | None
    stale: bool

    @property
    def words(self) -> str:
        """The data's age in one sentence."""
        if self.until is None or self.age is None:
            return "No measurements have arrived yet."
        if not self.stale:
            return f"Data to {utc_text(self.until)}."
        return (
            f"Data to {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {age_words(self.age)} old."
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of places."""

    name: str
    href: str
    indent: bool
    level: str
    tone: str
    since: str
    networks: str
    evidence: str
    spark: Markup


@dataclass(frozen=True, slots=True)
class Front:
    """The front page."""

    headline: str
    health: Health
    open: list[Row]
    places: list[Row]
    recent: list[Row]
    learning: int


@dataclass(frozen=True, slots=True)
class PlaceView:
    """The page of one entity."""

    name: str
    headline: str
    chart: Markup
    alternative: str
    children: list[Row]
    hours: list[tuple[str, str, str]]
    health: Health


@dataclass(frozen=True, slots=True)
class IncidentView:
    """The page of one incident."""

    incident: Incident
    label: str
    headline: str
    chart: Markup
    alternative: str
    facts: list[tuple[str, str]]
    children: list[Row]
    revisions: list[tuple[int, str, str, str]]
    posts: list[OutboxEntry]
    hours: list[tuple[str, str, str]]
    health: Health


class _Kept:
    """The newest front page, and how long it may be shown; threads share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._page: Front | None = None
        self._version: tuple[object, ...] = ()
        self._good_until = 0.0

    def get(self, version: tuple[object, ...], make: Callable[[], Front]) -> Front:
        """Return the page of `version`; others wait while one makes it."""
        with self._lock:
            begun = perf_counter()
            fresh = version == self._version and begun < self._good_until
            if self._page is None or not fresh:
                self._page, self._version = make(), version
                ended = perf_counter()
                self._good_until = ended + max(1.0, 10 * (ended - begun))
            return self._page


class PageBuilder:
    """Reads what pages show. Its methods block: call them off the loop.

    Args:
        store: levels and bins.
        ledger: incidents.
        places: names, zones and weights.
        clock: the present.
        outbox: the posts, None where they are not shown.
    """

    def __init__(
        self,
        store: SeriesStore,
        ledger: Ledger,
        *,
        places: EntityTree,
        clock: Clock,
        outbox: Outbox | None = None,
    ) -> None:
        self.store, self.ledger, self.places = store, ledger, places
        self._clock, self._outbox = clock, outbox
        self._front = _Kept()

    def health(self) -> Health:
        """Return how fresh the data are."""
        until = self.store.closed_until()
        age = None if until is None else max(self._clock() - until, timedelta(0))
        return Health(until, age, stale=age is None or age > _STALE)

    def public_incidents(self) -> list[Incident]:
        """Return the newest revision of every incident that the public is told of."""
        return [found for found in self.ledger.incidents() if found.state not in _HIDDEN]

    def front(self) -> Front:
        """Return the front page.

        It is made anew when bins close or the record changes, and otherwise so seldom that
        making it takes a tenth of one core at most, however many readers there are.
        """
        health = self.health()
        incidents = self.public_incidents()
        version = (health.until, *((found.id, found.revision) for found in incidents))
        page = self._front.get(version, lambda: self._make_front(health, incidents))
        return replace(page, health=health)

    def _make_front(self, health: Health, incidents: list[Incident]) -> Front:
        until = health.until or self._clock()
        now_open = [incident for incident in incidents if is_open(incident)]
        recent = [
            incident
            for incident in incidents
            if not is_open(incident) and (incident.ended_at or incident.at) > until - _RECENT
        ]
        entities = listed_places(self.store, self.places, health.until)[:_MOST_PLACES]
        rows = [self._place_row(entity, until) for entity in entities]
        return Front(
            headline=headline(now_open, self.places),
            health=health,
            open=[self._incident_row(incident, until) for incident in now_open],
            places=rows,
            recent=[self._incident_row(incident, until) for incident in recent],
            learning=sum(row.tone == "learning" for row in rows),
        )

    def place(self, entity: Entity) -> PlaceView | None:
        """Return the page of `entity`, None where nothing is known of it."""
        health = self.health()
        until = health.until or self._clock()
        levels = lead_levels(self.store, entity, until - 7 * _BEFORE, until)
        if not levels and entity not in {place.entity for place in self.places}:
            return None
        name = full_name(entity, self.places)
        words = level_words(levels[-1]) if levels else "not known yet"
        chart = _few_points(levels, _CHART_POINTS)
        alternative = f"Line chart: internet connectivity, {name}, the last week; now {words}."
        return PlaceView(
            name=name,
            headline=f"{name}: {words}",
            chart=chart_svg(chart, label=alternative),
            alternative=alternative,
            children=[self._place_row(child, until) for child in self._parts(entity)],
            hours=_hours(levels),
            health=health,
        )

    def incident(self, number: str) -> IncidentView | None:
        """Return the page of the incident `number`, None where the public has none of it."""
        revisions = self.ledger.revisions(number)
        if not revisions or not _may_be_shown(revisions[-1]):
            return None
        incident = revisions[-1]
        health = self.health()
        end = max(incident.at, health.until or incident.at)
        if incident.ended_at is not None:
            end = min(end, incident.ended_at + _BEFORE)
        start = incident.started_at - _BEFORE
        levels = lead_levels(self.store, incident.entity, start, end)
        alternative = alternative_text(incident, self.places)
        line = _few_points(levels, _CHART_POINTS)
        return IncidentView(
            incident=incident,
            label=incident_label(incident),
            headline=sentence(incident, self.places),
            chart=chart_svg(line, label=alternative, onset=incident.started_at),
            alternative=alternative,
            facts=facts(incident, self.places),
            children=[
                self._child_row(child.entity, child.started_at, child.ended_at, end)
                for child in incident.children
            ],
            revisions=[revision_line(revision) for revision in reversed(revisions)],
            posts=self._outbox.posts(number) if self._outbox else [],
            hours=_hours(levels),
            health=health,
        )

    def _parts(self, entity: Entity) -> list[Entity]:
        """Return what `entity` consists of: the next places below it, by name."""
        below = [place.entity for place in self.places if place.parent == entity]
        return sorted(below, key=lambda part: self.places.info(part).name)[:_MOST_PLACES]

    def _spark(self, entity: Entity, until: datetime, name: str) -> tuple[Markup, Level | None]:
        """Return the sparkline of the last two days, and the newest level."""
        levels = lead_levels(self.store, entity, until - _SPARK, until)
        words = level_words(levels[-1]) if levels else "no data"
        label = f"{name}, the last two days; now {words}"
        drawing = sparkline_svg(_few_points(levels, _SPARK_POINTS), label=label)
        return drawing, levels[-1] if levels else None

    def _place_row(self, entity: Entity, until: datetime) -> Row:
        name = place_name(entity, self.places)
        spark, level = self._spark(entity, until, name)
        words, tone = ("no data", "nodata") if level is None else (level_words(level), "")
        if level is not None and level.value is None and level.baseline.startswith(DEAD):
            words = "never answers in ordinary times"
        if level is None and has_bins(self.store, entity, until):
            words, tone = "learning what is ordinary", "learning"
        return Row(
            name=name,
            href=f"/p/{entity.kind}/{entity.code}",
            indent=entity.kind is not EntityKind.COUNTRY,
            level=words,
            tone=tone or level_tone(level),
            since="",
            networks="",
            evidence="",
            spark=spark,
        )

    def _incident_row(self, incident: Incident, until: datetime) -> Row:
        name = full_name(incident.entity, self.places)
        end = min(until, incident.ended_at + _BEFORE) if incident.ended_at else until
        spark, _ = self._spark(incident.entity, max(end, incident.at), name)
        shown = incident.percent if is_open(incident) else incident.trough
        return Row(
            name=name,
            href=f"/i/{incident.id}",
            indent=False,
            level=percent_phrase(shown).removeprefix("at ").removesuffix(" of ordinary levels"),
            tone=depth_tone(shown.value),
            since=moment_text(incident.started_at, self.places.timezone(incident.entity)),
            networks=f"{incident.affected} of {incident.measured}" if incident.measured else "",
            evidence=evidence_words(incident.evidence),
            spark=spark,
        )

    def _child_row(
        self, entity: Entity, started: datetime, ended: datetime | None, until: datetime
    ) -> Row:
        name = place_name(entity, self.places)
        spark, level = self._spark(entity, until, name)
        zone = self.places.timezone(entity)
        return Row(
            name=name,
            href=f"/p/{entity.kind}/{entity.code}",
            indent=False,
            level=level_words(level) if level else "no data",
            tone=level_tone(level),
            since=moment_text(started, zone),
            networks=moment_text(ended, zone) if ended else "",
            evidence="",
            spark=spark,
        )


def _may_be_shown(incident: Incident) -> bool:
    """Return whether the public may read of an incident: of a merged one, if it ever was sure."""
    if incident.state is IncidentState.MERGED:
        return incident.confirmed_at is not None
    return incident.state not in _HIDDEN


def _few_points(levels: list[Level], most: int) -> Trace:
    """Return a line of at most `most` points, means where there are more."""
    line = trace(levels)
    if len(line.times) <= most:
        return line
    whole = line.times[-1] + line.step - line.times[0]
    step = line.step * -(-len(line.times) // most)
    start, end = line.times[0], line.times[0] + whole
    values = resample(levels, start, end, step)
    times = tuple(start + step * at for at in range(len(values)))
    nothing = (None,) * len(values)
    return Trace(step, times, tuple(values), nothing, nothing)


def _hours(levels: list[Level]) -> list[tuple[str, str, str]]:
    """Return hourly means, newest first, as UTC time, percent and what kind of cell it is."""
    line = trace(levels)
    if not line.times:
        return []
    short = line.times[-1] - line.times[0] < timedelta(hours=3)
    step = max(line.step, timedelta(0) if short else timedelta(hours=1))
    start = line.times[0] if short else line.times[0].replace(minute=0, second=0, microsecond=0)
    if step == line.step:
        start = line.times[0]
    values = resample(levels, start, line.times[-1] + line.step, step)
    form = "%Y-%m-%d %H:%M:%S" if step < timedelta(minutes=1) else "%Y-%m-%d %H:%M"
    rows = []
    for at, value in enumerate(values):
        kind = "nodata" if value is None else depth_tone(value)
        time = (start + step * at).astimezone(UTC)
        rows.append((time.strftime(form), cell_text(value), kind))
    return rows[:-1000:-1]
