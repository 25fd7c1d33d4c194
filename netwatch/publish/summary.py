"""Key facts of an incident in reading order, for its page and the terminal. No cause is stated."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import OUTAGE, Incident
from netwatch.model.incident_details import Pattern, SurvivingNetworks
from netwatch.model.percent import make_percent
from netwatch.model.signals import signal_spec
from netwatch.publish.display_names import origin_name, place_name
from netwatch.publish.language import ENGLISH, Language
from netwatch.publish.time_format import Moment, age, moment, moment_text, utc_text

_MOST_NAMED = 5


def key_facts(
    incident: Incident, tree: EntityTree, language: Language = ENGLISH
) -> list[tuple[str, str]]:
    """Return (name, text) of what is known of an incident."""
    found = [*_state(incident, tree, language), *_details(incident, tree, language)]
    return [(language.text(f"fact_{name}"), text) for name, text in found]


def _state(incident: Incident, tree: EntityTree, language: Language) -> Iterator[tuple[str, str]]:
    text, zone = language.text, tree.timezone(incident.entity)
    lasted = (incident.ended_at or incident.at) - incident.started_at
    onset = (utc_text(time, language) for time in (incident.started_low, incident.started_high))
    signals = ", ".join(text("signal", name, agrees) for name, agrees in incident.signals)
    if incident.kind != OUTAGE:
        origin = origin_name(incident.seen_from, tree, language)
        yield "what", text("site_only", incident.kind, origin)
    yield "level", text("level_at", incident.percent, utc_text(incident.at, language))
    at = utc_text(incident.trough_at, language)
    yield "lowest", text("level_at", incident.trough, at)
    yield "began", text("began_between", moment(incident.started_at, zone, language), *onset)
    if incident.ended_at:
        yield "ended", moment_text(incident.ended_at, zone, language)
    else:
        yield "ended", text("not_yet")
    yield "lasted" if incident.ended_at else "lasting", text("age", age(lasted))
    yield "networks", text("affected_of", incident.networks_lost, incident.networks_measured)
    yield "signals", signals or text("none_named")
    yield "evidence", text("evidence_of", incident.evidence_level)
    if incident.details.few_voices:
        yield "certainty", text("few_voices")
    yield "cause", text("not_established")


def _details(incident: Incident, tree: EntityTree, language: Language) -> Iterator[tuple[str, str]]:
    text, zone, details = language.text, tree.timezone(incident.entity), incident.details
    if details.likelihood is not None:
        consistent = details.likelihood.resembles_shutdown
        yield "timing", text("timing", consistent, details.likelihood.log_ratio)
    if details.pattern is not None:
        yield "pattern", pattern_text(details.pattern, zone, language)
    if details.occurrences:
        newest = moment(details.occurrences[-1].started_at, zone, language)
        yield "nights", text("nights", len(details.occurrences), newest)
    if details.forecast is not None:
        window = (details.forecast.start, details.forecast.end)
        yield "forecast", text("forecast", *(moment(time, zone, language) for time in window))
    if len(details.segments) > 1:
        yield "steps", _steps(incident, language)
    if details.survivors is not None:
        yield "access", _access_text(details.survivors, tree, language)
    if details.unresponsive:
        names = _names(details.unresponsive, tree, language)
        yield "never_answer", text("never_answer", len(details.unresponsive), names)
    frozen = incident.baseline.frozen_since
    since = utc_text(frozen, language) if frozen else None
    yield "ordinary", text("baseline", incident.baseline, since)


def pattern_text(pattern: Pattern, zone: str, language: Language = ENGLISH) -> str:
    """Return a pattern in words, with times of day in `zone` and in UTC."""

    def clock(time: datetime) -> Moment:
        return moment(time, zone, language, since=time)

    window = [clock(time) for time in (pattern.next_start, pattern.next_end) if time]
    measures = dict(pattern.measures)
    return language.text("pattern", str(pattern.name), measures, clock(pattern.since), window)


def _access_text(access: SurvivingNetworks, tree: EntityTree, language: Language) -> str:
    names = _names([one.entity for one in access.networks], tree, language)
    shares = (access.kept_share, access.lost_share, access.unknown_share)
    return language.text("access", names, *shares)


def _steps(incident: Incident, language: Language) -> str:
    measured = (name for name, agrees in incident.signals if agrees is not None)
    # Only active signals carry a published percentage.
    is_active = any(signal_spec(name).active for name in measured)
    networks, steps = incident.networks_measured if is_active else 0, []
    for segment in incident.details.segments:
        percent = make_percent(segment.level, segment.low, segment.high, networks=networks)
        start = utc_text(segment.start, language)
        steps.append(language.text("step", percent, start))
    return "; ".join(steps)


def _names(entities: Iterable[Entity], tree: EntityTree, language: Language) -> str:
    names = [place_name(entity, tree, language) for entity in entities]
    return language.text("and_more", names[:_MOST_NAMED], len(names) - _MOST_NAMED)
