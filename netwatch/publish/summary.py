"""The key facts of an incident in reading order, the same words on the page and the terminal.

What was found out besides the level is observation and likelihood; a cause is never stated.
"""

from collections.abc import Iterator

from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.incident_details import IncidentDetails, ShutdownLikelihood, SurvivingNetworks
from netwatch.model.percent import depth_words, make_percent, percent_phrase
from netwatch.publish.display_names import origin_name, place_name
from netwatch.publish.incident_json import evidence_words
from netwatch.publish.time_format import age_words, moment_text, utc_text

_MOST_NAMED = 5
_NO_CAUSE = "a likelihood from timing alone, not a statement of cause"


def facts(incident: Incident, places: EntityTree) -> list[tuple[str, str]]:
    """Return (name, words) of what is known of an incident."""
    zone = places.timezone(incident.entity)
    lasted = (incident.ended_at or incident.at) - incident.started_at
    signals = ", ".join(
        f"{name}: {'no data' if agrees is None else 'agrees' if agrees else 'no change'}"
        for name, agrees in incident.signals
    )
    newest = _capital(percent_phrase(incident.percent))
    lowest = _capital(percent_phrase(incident.trough))
    between = f"between {utc_text(incident.started_low)} and {utc_text(incident.started_high)}"
    return [
        *_what(incident, places),
        ("Level", f"{newest}, {utc_text(incident.at)}"),
        ("Lowest", f"{lowest}, {utc_text(incident.trough_at)}"),
        ("Began", f"{moment_text(incident.started_at, zone)}; {between}"),
        ("Ended", moment_text(incident.ended_at, zone) if incident.ended_at else "not yet"),
        ("Lasted" if incident.ended_at else "Lasting", age_words(lasted)),
        ("Networks affected", f"{incident.affected} of {incident.measured} measured"),
        ("Signals", signals or "none named"),
        ("Evidence", f"level {incident.evidence} of 4: {evidence_words(incident.evidence)}"),
        ("Cause", "not established"),
        *_found(incident, places),
        ("Ordinary levels", incident.baseline or "not named"),
    ]


def _what(incident: Incident, places: EntityTree) -> Iterator[tuple[str, str]]:
    """Yield what is lost, where it is no outage."""
    if incident.kind == "outage":
        return
    origin = origin_name(incident.place, places)
    yield "What", f"{incident.kind} of this site as seen from {origin}; no loss of connectivity"


def likelihood_words(likelihood: ShutdownLikelihood) -> str:
    """Return what the timing of a loss resembles, as a likelihood and nothing more."""
    ratio = f"log likelihood ratio {likelihood.log_ratio:.1f}"
    if likelihood.words is None:
        return f"does not tell by itself ({ratio}; {_NO_CAUSE})"
    return f"{likelihood.words} ({ratio}; {_NO_CAUSE})"


def access_words(access: SurvivingNetworks, places: EntityTree) -> str:
    """Return who kept access, and which shares of the weight were lost or not measured."""
    names = _names([one.entity for one in access.kept], places)
    return (
        f"{names or 'none of those measured'}; {access.kept_share:.0%} of the weight kept access, "
        f"{access.lost_share:.0%} was lost, {access.unknown_share:.0%} was not measured. "
        "Not exhaustive."
    )


def _found(incident: Incident, places: EntityTree) -> Iterator[tuple[str, str]]:
    """Yield what was found out besides the level."""
    findings, zone = incident.findings, places.timezone(incident.entity)
    if findings.likelihood is not None:
        yield "Timing", likelihood_words(findings.likelihood)
    if findings.words:
        yield "Pattern", findings.words
    if findings.nights:
        count = len(findings.nights)
        newest = moment_text(findings.nights[-1].started_at, zone)
        yield "Nights", f"{count} in the log, the newest {newest}"
    if findings.forecast is not None:
        start, end = findings.forecast.start, findings.forecast.end
        span = f"{moment_text(start, zone)} to {moment_text(end, zone)}"
        yield "If it recurs", f"{span}; a forecast is no measurement"
    if len(findings.segments) > 1:
        yield "Steps", _steps(findings, incident)
    if findings.access is not None:
        yield "Who kept access", access_words(findings.access, places)
    if findings.dead:
        names = _names(list(findings.dead), places)
        yield "Never answer", f"{len(findings.dead)}: {names}; they tell nothing, and are no loss"


def _steps(findings: IncidentDetails, incident: Incident) -> str:
    """Return the staircase, with numbers only where there is enough behind them."""
    words = []
    for segment in findings.segments:
        percent = make_percent(segment.level, segment.low, segment.high, networks=incident.measured)
        text = percent.text or depth_words(percent.value)
        words.append(f"{text} from {utc_text(segment.start)}")
    return "; ".join(words)


def _names(entities: list[Entity], places: EntityTree) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(place_name(entity, places) for entity in entities[:_MOST_NAMED])
    more = len(entities) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _capital(text: str) -> str:
    """Return `text` with a capital letter first."""
    return text[:1].upper() + text[1:]
