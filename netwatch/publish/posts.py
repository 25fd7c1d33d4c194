"""From an incident to posts: the text is made from the record, never typed.

Templates stand in `templates/`, one file a language, one macro a kind.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from netwatch.config import PublishConfig
from netwatch.model.entities import EntityKind, EntityTree
from netwatch.model.errors import WordingError
from netwatch.model.incident import OUTAGE, Incident, Percent, Post, RevisionReason
from netwatch.model.percent import BELOW_ONE, NO_SUCCESS, ORDINARY, depth_words
from netwatch.publish.display_names import full_name, hashtag, origin_name, place_name
from netwatch.publish.time_format import clock_text, elapsed, interval_is_wide, moment

LOCAL_CHANNELS = frozenset({"console", "file"})
"""Channels that only the operator sees; these alone get posts that nobody has signed."""

_CONFIRMED = 3
_ACKNOWLEDGED = 4
_CORROBORATED = 2
_KINDS = {
    RevisionReason.CONFIRMED: "confirmed",
    RevisionReason.MILESTONE: "update",
    RevisionReason.MATERIAL: "update",
    RevisionReason.PARTIAL: "partial",
    RevisionReason.REDROP: "redrop",
    RevisionReason.RESTORED: "restored",
    RevisionReason.SERIES: "series",
    RevisionReason.LAPSED: "lapsed",
}
_PATH_KINDS = {
    RevisionReason.CONFIRMED: "path_lost",
    RevisionReason.RESTORED: "path_restored",
}
"""What is posted of a site that is lost from one place alone."""
_BEFORE = timedelta(hours=24)
_ZERO = re.compile(r"(?<![\d.,])0+(?:[.,]0+)?\s?%")
_DOWN = re.compile(r"\bdown\b", re.IGNORECASE)
_SHUTDOWN = re.compile(r"\bshut[\s-]?downs?\b", re.IGNORECASE)


def compose_posts(
    incident: Incident,
    places: EntityTree,
    config: PublishConfig,
    *,
    test: bool,
    created_at: datetime,
) -> list[Post]:
    """Return the posts that this revision of `incident` calls for, one a channel and language.

    None below evidence 2 and for revisions that the public is not told of. Below evidence 3,
    unless the configuration lets a machine post alone, only channels that the operator alone
    sees get any. A language without a template is left out. The same revision always gives
    the same keys.

    Raises:
        WordingError: the text breaks a rule of wording.
    """
    kind = post_kind(incident)
    if kind is None:
        return []
    channels = [
        channel
        for channel in config.channels
        if config.automatic or incident.evidence >= _CONFIRMED or channel in LOCAL_CHANNELS
    ]
    posts = []
    for language in [name for name in config.languages if name in languages()]:
        link = f"{config.url.rstrip('/')}/i/{incident.id}"
        text = render_post(incident, places, language=language, link=link, test=test)
        alternative = alternative_text(incident, places, language=language)
        check_post(text, alternative, incident.evidence, ignore=_names(incident, places, language))
        posts += [
            Post(
                key=post_key(incident, channel, language),
                incident=incident.id,
                revision=incident.revision,
                channel=channel,
                language=language,
                kind=kind,
                text=text,
                alternative=alternative,
                created_at=created_at,
            )
            for channel in channels
        ]
    return posts


def post_kind(incident: Incident) -> str | None:
    """Return the template that this revision calls for, None where the public is told nothing."""
    if incident.kind != OUTAGE:
        kind = _PATH_KINDS.get(incident.reason)
        return kind if incident.evidence >= _CORROBORATED else None
    kind = _KINDS.get(incident.reason)
    if kind is None or incident.evidence < _CORROBORATED:
        return None
    return "confirmed_words" if kind == "confirmed" and incident.percent.text is None else kind


def post_key(incident: Incident, channel: str, language: str) -> str:
    """Return the key under which a post goes out once: the same at every attempt."""
    name = f"{incident.id}|{incident.revision}|{channel}|{language}"
    return hashlib.sha256(name.encode()).hexdigest()


def render_post(
    incident: Incident, places: EntityTree, *, language: str = "en", link: str, test: bool = False
) -> str:
    """Return the text of the post that this revision calls for.

    Raises:
        WordingError: the revision calls for no post.
    """
    kind = post_kind(incident)
    if kind is None:
        raise WordingError(f"{incident.id} revision {incident.revision} calls for no post")
    text = _render(kind, language, _context(incident, places, language) | {"link": link})
    return f"TEST · {text}\nTEST" if test else text


def sentence(incident: Incident, places: EntityTree, *, language: str = "en") -> str:
    """Return one line about where `incident` stands at its newest revision, without a label.

    While it goes on it says since when, from the fourth day on which day it is.
    """
    days = elapsed(incident.at - incident.started_at).day
    kind = "update" if days is not None else "confirmed"
    if incident.ended_at:
        kind = "restored"
    if incident.kind != OUTAGE:
        kind = "path_restored" if incident.ended_at else "path_lost"
    context = _context(incident, places, language) | {"link": ""}
    line = _render(kind, language, context).splitlines()[0]
    return line.partition(" · ")[2]


def alternative_text(incident: Incident, places: EntityTree, *, language: str = "en") -> str:
    """Return the incident's chart in words."""
    kind = "alt" if incident.kind == OUTAGE else "path_alt"
    return _render(kind, language, _context(incident, places, language) | {"link": ""})


def check_post(text: str, alternative: str, evidence: int, *, ignore: tuple[str, ...] = ()) -> None:
    """Refuse a post that may not go out.

    Args:
        text: the whole post.
        alternative: its picture in words.
        evidence: the incident's evidence level, 0 to 4.
        ignore: names and links in which no word counts.

    Raises:
        WordingError: naming the rule.
    """
    for name in ignore:
        text = text.replace(name, "")
    refusals = (
        (not alternative.strip(), "has no alternative text"),
        (_ZERO.search(text), 'says "0%"; no success is "no successful measurements"'),
        (_SHUTDOWN.search(text) and evidence < _ACKNOWLEDGED, 'says "shutdown" below level 4'),
        (_DOWN.search(text), 'says "down"; say "at N% of ordinary levels"'),
        (
            re.search(r"\bCONFIRMED\b", text) and evidence < _CONFIRMED,
            'says "CONFIRMED" below level 3',
        ),
    )
    for broken, rule in refusals:
        if broken:
            raise WordingError(f"the post {rule}")


@cache
def languages() -> frozenset[str]:
    """Return the languages that there is a template for."""
    return frozenset(name.removesuffix(".txt") for name in _environment().list_templates())


@dataclass(frozen=True, slots=True)
class _Figure:
    """A percentage for a template: `form` says which sentence it needs."""

    form: str
    text: str
    number: int | None


def _figure(percent: Percent) -> _Figure:
    text = percent.text
    if text is None:
        words = depth_words(percent.value)
        forms = {ORDINARY: "ordinary", NO_SUCCESS: "none", "near-total loss": "near_total"}
        return _Figure(forms.get(words, words.replace(" ", "_")), words, None)
    forms = {ORDINARY: "ordinary", NO_SUCCESS: "none", BELOW_ONE: "below_one"}
    digits = re.search(r"\d+", text)
    return _Figure(forms.get(text, "number"), text, int(digits[0]) if digits else None)


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of time, its ends in UTC."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class _Total:
    """The whole length of a disruption."""

    days: int
    hours: int
    minutes: int


def _context(incident: Incident, places: EntityTree, language: str) -> dict[str, object]:
    """Return all that a template may speak of."""
    zone = places.timezone(incident.entity)
    end = incident.ended_at or incident.at
    start = incident.started_at if incident.ended_at else incident.started_at - _BEFORE
    total = end - incident.started_at
    stable = incident.at - end
    return {
        "place": full_name(incident.entity, places, language=language),
        "hashtag": hashtag(incident.entity, places, language=language),
        "figure": _figure(incident.percent),
        "lowest": _figure(incident.trough),
        "progressive": incident.progressive_hours,
        "wide": interval_is_wide(incident.started_low, incident.started_high),
        "began": moment(incident.started_at, zone, language, since=incident.at),
        "began_full": moment(incident.started_at, zone, language),
        "lasted": elapsed(incident.at - incident.started_at),
        "total": _Total(
            total.days,
            total.seconds // 3600,
            max(1, round(total.total_seconds() / 60)),
        ),
        "stable_hours": stable // timedelta(hours=1),
        "span": _Span(
            clock_text(start.astimezone(UTC), language), clock_text(end.astimezone(UTC), language)
        ),
        "count": incident.affected,
        "measured": incident.measured,
        "unit": _unit(incident),
        "slow": incident.kind == "throttling",
        "origin": origin_name(incident.place, places, language=language),
        "pattern": incident.findings.words,
        "nights": len(incident.findings.nights),
        "reviewed": incident.evidence >= _CONFIRMED,
    }


def _unit(incident: Incident) -> str:
    """Return what was counted: networks, or regions where nothing narrower is known."""
    kinds = {child.entity.kind for child in incident.children}
    return "region" if kinds == {EntityKind.REGION} else "network"


def _names(incident: Incident, places: EntityTree, language: str) -> tuple[str, ...]:
    """Return names in a post whose words are not ours; full names before their parts."""
    country = places.country(incident.entity)
    names = [full_name(incident.entity, places, language=language)]
    names += [hashtag(incident.entity, places, language=language)]
    if country is not None:
        names.append(place_name(country, places, language=language))
    return tuple(name for name in names if name)


def _render(kind: str, language: str, context: dict[str, object]) -> str:
    """Return what a language's template says for `kind`, without empty lines."""
    module = _template(language).make_module(context)
    lines = (" ".join(line.split()) for line in str(getattr(module, kind)()).splitlines())
    return "\n".join(line for line in lines if line)


@cache
def _template(language: str) -> Template:
    return _environment().get_template(f"{language}.txt")


@cache
def _environment() -> Environment:
    """Return the templates; posts are plain text, so nothing is escaped for a browser."""
    return Environment(
        loader=PackageLoader("netwatch.publish", "templates"),
        autoescape=select_autoescape(default=False),
        undefined=StrictUndefined,
    )
