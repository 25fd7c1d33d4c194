"""Composes posts from incidents: every text is rendered from the record, never typed."""

import hashlib
from datetime import UTC, timedelta
from pathlib import Path

from netwatch.config import PublishConfig
from netwatch.model.entities import EntityKind, EntityTree
from netwatch.model.incident import CORROBORATED, OUTAGE, Incident, Post, RevisionReason
from netwatch.model.percent import Precision
from netwatch.publish.display_names import full_name, hashtag, origin_name, place_name
from netwatch.publish.editorial_rules import CONFIRMED_EVIDENCE, check_post
from netwatch.publish.language import ENGLISH, TEMPLATES, Language, languages, load_language
from netwatch.publish.summary import pattern_text
from netwatch.publish.time_format import elapsed, interval_is_wide, moment

LOCAL_CHANNELS = frozenset({"console", "file"})
"""Channels that only the operator sees; they also get posts that nobody has reviewed."""

_OUTAGE_POSTS = {
    RevisionReason.CONFIRMED: "confirmed",
    RevisionReason.MILESTONE: "update",
    RevisionReason.MATERIAL: "update",
    RevisionReason.PARTIALLY_RESTORED: "partially_restored",
    RevisionReason.RELAPSED: "relapsed",
    RevisionReason.RESTORED: "restored",
    RevisionReason.RECURRING: "recurring",
    RevisionReason.RECURRENCE_ENDED: "recurrence_ended",
}
"""Reason of a revision to the kind of its post; other reasons have none."""

_DOMAIN_POSTS = {
    RevisionReason.CONFIRMED: "domain_lost",
    RevisionReason.RESTORED: "domain_restored",
}
"""The same for a site that is blocked or slowed as seen from one place."""

_CHART_LEAD = timedelta(hours=24)


def compose_posts(
    incident: Incident,
    tree: EntityTree,
    config: PublishConfig,
    *,
    drill: bool,
    templates: Path = TEMPLATES,
) -> list[Post]:
    """Return the posts that this revision of `incident` calls for, one a channel and language.

    Evidence below level 2 and internal revisions have no posts. Below level 3 only local channels
    get posts, unless the configuration publishes automatically. Languages without templates are
    left out. The same revision always gives the same posts.

    Raises:
        WordingError: a text breaks an editorial rule.
    """
    kind = post_kind(incident)
    if kind is None:
        return []
    channels = [
        channel
        for channel in config.channels
        if config.auto_publish
        or incident.evidence_level >= CONFIRMED_EVIDENCE
        or channel in LOCAL_CHANNELS
    ]
    link = f"{config.url.rstrip('/')}/i/{incident.id}"
    posts = []
    for code in config.languages:
        if code not in languages(templates):
            continue
        language = load_language(code, templates)
        text = language.text(kind, _facts(incident, tree, language, link=link))
        text = language.text("test_post", text) if drill else text
        alternative = alternative_text(incident, tree, language)
        names = _names(incident, tree, language)
        check_post(text, alternative, incident.evidence_level, language=language, ignore=names)
        posts += [
            Post(
                key=post_key(incident, channel, code),
                incident=incident.id,
                revision=incident.revision,
                channel=channel,
                language=code,
                kind=kind,
                text=text,
                alternative=alternative,
                created_at=incident.at,
            )
            for channel in channels
        ]
    return posts


def post_kind(incident: Incident) -> str | None:
    """Return the template that this revision calls for, None if it is not published."""
    kinds = _OUTAGE_POSTS if incident.kind == OUTAGE else _DOMAIN_POSTS
    kind = kinds.get(incident.reason)
    if kind is None or incident.evidence_level < CORROBORATED:
        return None
    if kind == "confirmed" and incident.percent.precision is Precision.NONE:
        return "confirmed_without_number"
    return kind


def post_key(incident: Incident, channel: str, language: str) -> str:
    """Return the idempotency key of a post: the same at every attempt."""
    name = f"{incident.id}|{incident.revision}|{channel}|{language}"
    return hashlib.sha256(name.encode()).hexdigest()


def sentence(incident: Incident, tree: EntityTree, language: Language = ENGLISH) -> str:
    """Return the state of `incident` at its newest revision in one line, without a label.

    An open incident is stated with its onset, from the fourth day on with the day.
    """
    if incident.kind != OUTAGE:
        kind = "domain_restored" if incident.ended_at else "domain_lost"
    elif incident.ended_at:
        kind = "restored"
    else:
        long = elapsed(incident.at - incident.started_at).day is not None
        kind = "update" if long else "confirmed"
    return language.text(f"{kind}_sentence", _facts(incident, tree, language))


def alternative_text(incident: Incident, tree: EntityTree, language: Language = ENGLISH) -> str:
    """Return the incident's chart in words."""
    kind = "alternative" if incident.kind == OUTAGE else "domain_alternative"
    return language.text(kind, _facts(incident, tree, language))


def _facts(
    incident: Incident, tree: EntityTree, language: Language, *, link: str = ""
) -> dict[str, object]:
    """Return what templates may state; the head of `templates/en.txt` describes it."""
    zone = tree.timezone(incident.entity)
    end = incident.ended_at or incident.at
    start = incident.started_at if incident.ended_at else incident.started_at - _CHART_LEAD
    length = end - incident.started_at
    pattern = incident.details.pattern
    regions = {child.entity.kind for child in incident.affected} == {EntityKind.REGION}
    return {
        "place": full_name(incident.entity, tree, language),
        "hashtag": hashtag(incident.entity, tree, language),
        "figure": incident.percent,
        "lowest": incident.trough,
        "progressive_hours": incident.progressive_hours,
        "onset_is_wide": interval_is_wide(incident.started_low, incident.started_high),
        "began": moment(incident.started_at, zone, language, since=incident.at),
        "began_full": moment(incident.started_at, zone, language),
        "elapsed": elapsed(incident.at - incident.started_at),
        "days": length.days,
        "hours": length.seconds // 3600,
        "minutes": max(1, round(length.total_seconds() / 60)),
        "stable_hours": (incident.at - end) // timedelta(hours=1),
        "start": language.clock(start.astimezone(UTC)),
        "end": language.clock(end.astimezone(UTC)),
        "affected": incident.networks_lost,
        "measured": incident.networks_measured,
        "unit": "region" if regions else "network",
        "slow": incident.kind == "throttling",
        "origin": origin_name(incident.seen_from, tree, language),
        "pattern": pattern_text(pattern, zone, language) if pattern else "",
        "nights": len(incident.details.occurrences),
        "few_voices": incident.details.few_voices,
        "reviewed": incident.evidence_level >= CONFIRMED_EVIDENCE,
        "link": link,
    }


def _names(incident: Incident, tree: EntityTree, language: Language) -> tuple[str, ...]:
    """Return the names in a post; full names come before their parts."""
    country = tree.country(incident.entity)
    names = [full_name(incident.entity, tree, language), hashtag(incident.entity, tree, language)]
    if country is not None:
        names.append(place_name(country, tree, language))
    return tuple(name for name in names if name)
