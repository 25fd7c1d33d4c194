from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from babel import Locale

from netwatch.config import PublishConfig
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.errors import WordingError
from netwatch.model.incident import Incident, IncidentState, Post, RevisionReason
from netwatch.model.incident_details import DailyOccurrence, IncidentDetails, Pattern, PatternName
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.publish.editorial_rules import check_post
from netwatch.publish.language import ENGLISH, languages
from netwatch.publish.posts import (
    alternative_text,
    compose_posts,
    post_key,
    sentence,
)

WRITTEN = datetime(2019, 11, 17, 5, 41, tzinfo=UTC)
MakeIncident = Callable[..., Incident]
REASONS = [
    RevisionReason.CONFIRMED,
    RevisionReason.MILESTONE,
    RevisionReason.MATERIAL,
    RevisionReason.PARTIALLY_RESTORED,
    RevisionReason.RELAPSED,
    RevisionReason.RESTORED,
    RevisionReason.RECURRING,
    RevisionReason.RECURRENCE_ENDED,
]
PERCENTS = [
    PublishedPercent(7.0, 4.5, 10.0, Precision.EXACT),
    PublishedPercent(67.0, 60.0, 75.0, Precision.ROUGH),
    PublishedPercent(0.4, 0.0, 1.0, Precision.EXACT),
    PublishedPercent(0.0, 0.0, 1.0, Precision.EXACT),
    PublishedPercent(97.0, 95.0, 99.0, Precision.EXACT),
    PublishedPercent(40.0, 10.0, 70.0, Precision.NONE),
    PublishedPercent(3.0, 0.0, 40.0, Precision.NONE),
]


def _posts(incident: Incident, tree: EntityTree, **options: object) -> list[Post]:
    config = PublishConfig(url="https://netwatch.example", **options)
    return compose_posts(incident, tree, config, drill=False)


def test_the_text_of_a_confirmed_post(make_incident: MakeIncident, iran: EntityTree) -> None:
    post = _posts(make_incident(), iran)[0]
    assert post.text == (
        "CONFIRMED · Iran: internet connectivity is at 7% of ordinary levels after 12 hours of "
        "progressive disconnections.\n"
        "11 of 12 networks affected. Began about 16 Nov 20:00 local (16:30 UTC).\n"
        "Cause not established.\n"
        "https://netwatch.example/i/NW-IR-2019-0042\n"
        "#Iran"
    )
    assert post.kind == "confirmed"
    assert post.alternative.startswith("Line chart: internet connectivity in Iran, 15 Nov 16:30 to")


def test_every_post_says_where_few_independent_vantages_are_behind_it(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    details = IncidentDetails(few_voices=True)
    for reason in (RevisionReason.CONFIRMED, RevisionReason.MILESTONE, RevisionReason.RESTORED):
        post = _posts(make_incident(details=details, reason=reason), iran)[0]
        assert "Measured from few independent vantages: cannot be sure.\n" in post.text


def test_without_progressive_loss_the_onset_is_stated(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    began = make_incident().started_at
    same_day = make_incident(progressive_hours=None, at=began + timedelta(hours=2))
    assert sentence(same_day, iran) == (
        "Iran: internet connectivity is at 7% of ordinary levels "
        "since about 20:00 local (16:30 UTC)."
    )
    fifth_day = make_incident(progressive_hours=None, at=began + timedelta(hours=113))
    assert sentence(fifth_day, iran) == (
        "Iran: internet connectivity is at 7% of ordinary levels, day 5 (hour 113) of the "
        "disruption."
    )
    assert "at 7% of ordinary levels since about 20:00 local (16:30 UTC)." in (
        _posts(same_day, iran)[0].text
    )
    sharp = make_incident(
        progressive_hours=None, started_low=began, started_high=began + timedelta(minutes=5)
    )
    assert "since 16 Nov 20:00 local (16:30 UTC)." in _posts(sharp, iran)[0].text


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (0.02, "less than 5 minutes into the disruption"),
        (0.6, "35 minutes into the disruption"),
        (1.5, "1 hour into the disruption"),
        (72, "72 hours into the disruption"),
        (113, "day 5 (hour 113) of the disruption"),
        (216, "day 10 (hour 216) of the disruption"),
    ],
)
def test_an_update_states_the_elapsed_time(
    make_incident: MakeIncident, iran: EntityTree, hours: float, words: str
) -> None:
    incident = make_incident(
        reason=RevisionReason.MILESTONE,
        progressive_hours=None,
        at=make_incident().started_at + timedelta(hours=hours),
    )
    assert f"UPDATE · Iran: internet connectivity is at 7% of ordinary levels, {words}." in (
        _posts(incident, iran)[0].text
    )


def test_a_partial_restoration_has_a_number_or_words(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    def first_line(percent: PublishedPercent) -> str:
        incident = make_incident(reason=RevisionReason.PARTIALLY_RESTORED, percent=percent)
        return _posts(incident, iran)[0].text.splitlines()[0]

    assert first_line(PublishedPercent(38.0, 35.0, 41.0, Precision.EXACT)) == (
        "PARTIAL RESTORATION · Iran: internet connectivity has risen to 38% of ordinary levels, "
        "13 hours into the disruption."
    )
    assert first_line(PublishedPercent(60.0, 30.0, 90.0, Precision.NONE)) == (
        "PARTIAL RESTORATION · Iran: internet connectivity has risen but is still reduced, "
        "13 hours into the disruption."
    )


def test_an_update_keeps_the_progressive_statement_while_it_holds(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    text = _posts(make_incident(reason=RevisionReason.MILESTONE), iran)[0].text
    assert "at 7% of ordinary levels after 12 hours of progressive disconnections." in text


def test_a_restored_post_states_length_and_stability(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    ended = make_incident().started_at + timedelta(days=8, hours=1)
    incident = make_incident(
        reason=RevisionReason.RESTORED,
        state=IncidentState.RESOLVED,
        ended_at=ended,
        at=ended + timedelta(hours=6),
        percent=PublishedPercent(93.0, 92.0, 94.0, Precision.EXACT),
    )
    text = _posts(incident, iran)[0].text
    assert text.startswith(
        "RESTORED · Iran: internet connectivity is at 93% of ordinary levels and stable for "
        "6 hours.\n"
    )
    assert "It lasted about 8 d 1 h (16 Nov 16:30 \u2013 24 Nov 17:30 UTC)." in text


@pytest.mark.parametrize(
    "reason", [RevisionReason.OPENED, RevisionReason.EXPIRED, RevisionReason.MERGED]
)
def test_internal_revisions_have_no_post(
    make_incident: MakeIncident, iran: EntityTree, reason: RevisionReason
) -> None:
    assert _posts(make_incident(reason=reason), iran) == []


def test_evidence_decides_label_and_channels(make_incident: MakeIncident, iran: EntityTree) -> None:
    channels = ("console", "file", "webhook")

    def labels(level: int, *, auto_publish: bool = False) -> list[tuple[str, str]]:
        posts = _posts(
            make_incident(evidence_level=level), iran, channels=channels, auto_publish=auto_publish
        )
        return [(post.channel, post.text.split(" ")[0]) for post in posts]

    assert labels(0) == labels(1) == labels(1, auto_publish=True) == []
    assert labels(2) == [("console", "UNCONFIRMED"), ("file", "UNCONFIRMED")]
    assert labels(2, auto_publish=True) == [(channel, "UNCONFIRMED") for channel in channels]
    assert labels(3) == [(channel, "CONFIRMED") for channel in channels]


def test_an_unreviewed_update_is_labelled(make_incident: MakeIncident, iran: EntityTree) -> None:
    note = "Not yet reviewed by a person."
    assert (
        note
        in _posts(make_incident(reason=RevisionReason.MILESTONE, evidence_level=2), iran)[0].text
    )
    assert note not in _posts(make_incident(reason=RevisionReason.MILESTONE), iran)[0].text


def test_a_drill_post_starts_and_ends_with_test(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    post = compose_posts(make_incident(), iran, PublishConfig(), drill=True)[0]
    lines = post.text.splitlines()
    assert lines[0].startswith("TEST · CONFIRMED · Iran: ")
    assert lines[-1] == "TEST"


def test_keys_are_unique_to_a_revision_and_channel(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    first = _posts(make_incident(), iran)
    assert [post.key for post in first] == [post.key for post in _posts(make_incident(), iran)]
    keys = {post_key(make_incident(revision=n), c, "en") for n in (1, 2) for c in ("a", "b")}
    assert len(keys) == 4
    assert all(len(post.key) == 64 for post in first)


def test_a_language_without_a_template_is_left_out(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    posts = _posts(make_incident(), iran, languages=("tlh", "en"), channels=("console",))
    assert [post.language for post in posts] == ["en"]
    assert "en" in languages()


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize(
    "percent", PERCENTS, ids=lambda percent: f"{percent.form} {percent.number}"
)
@pytest.mark.parametrize("evidence", [2, 3])
def test_every_kind_of_post_with_every_percentage_is_valid(
    make_incident: MakeIncident, reason: RevisionReason, percent: PublishedPercent, evidence: int
) -> None:
    longest = max(Locale("en").territories.values(), key=len)
    tree = EntityTree([EntityInfo(Entity.parse("country:IR"), longest, timezone="Asia/Kathmandu")])
    for progressive in (None, 12):
        incident = make_incident(
            reason=reason,
            percent=percent,
            trough=percent,
            evidence_level=evidence,
            progressive_hours=progressive,
            ended_at=make_incident().at if reason is RevisionReason.RESTORED else None,
        )
        for post in _posts(incident, tree):
            assert 0 < len(post.alternative) <= 300
            assert longest in post.text
            assert "None" not in post.text
            assert "  " not in post.text
            assert ".." not in post.text
            assert all(line == line.strip() and line for line in post.text.splitlines())
            shown = ENGLISH.text("percent", percent)
            assert percent.precision is Precision.NONE or shown in post.text


def test_names_cannot_inject_lines_or_bidirectional_overrides(make_incident: MakeIncident) -> None:
    hostile = "I\u202er\x1b[31man\n\nCONFIRMED\x00 {{ link }}"
    tree = EntityTree([EntityInfo(Entity.parse("country:IR"), hostile)])
    text = _posts(make_incident(), tree)[0].text
    assert text.startswith("CONFIRMED · I r [31man CONFIRMED {{ link }}: internet")
    assert len(text.splitlines()) == 5


def test_an_entity_name_may_contain_down_or_zero_percent(make_incident: MakeIncident) -> None:
    tree = EntityTree([EntityInfo(Entity.parse("country:IR"), "County Down 0%")])
    assert _posts(make_incident(), tree)[0].text.startswith("CONFIRMED · County Down 0%:")


def test_narrower_scopes_are_named_with_their_country(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    region = _posts(make_incident(entity=Entity.parse("region:IR-23")), iran)[0].text
    assert region.startswith("CONFIRMED · Tehran, Iran: ")
    assert region.endswith("#Iran")
    network = _posts(make_incident(entity=Entity.parse("asn:44244")), iran)[0].text
    assert network.startswith("CONFIRMED · IranCell (AS44244), Iran: ")
    unknown = _posts(make_incident(entity=Entity.parse("country:MM")), EntityTree())[0].text
    assert unknown.startswith("CONFIRMED · Myanmar (Burma): ")
    assert unknown.endswith("#MyanmarBurma")


@pytest.mark.parametrize(
    ("text", "evidence", "rule"),
    [
        ("Iran: connectivity is at 0% of ordinary levels", 4, "0%"),
        ("Iran: connectivity is at 0 % of ordinary levels", 4, "0%"),
        ("Iran: connectivity is at 0.0% of ordinary levels", 4, "0%"),
        ("Iran: the internet is down", 4, "down"),
        ("Iran: connectivity is Down 93%", 4, "down"),
        ("Iran: internet shutdown", 3, "shutdown"),
        ("Iran: internet shut-down", 3, "shutdown"),
        ("CONFIRMED · Iran: 7%", 2, "CONFIRMED"),
    ],
)
def test_editorial_rules_refuse(text: str, evidence: int, rule: str) -> None:
    with pytest.raises(WordingError, match=rule):
        check_post(text, "Line chart.", evidence)


def test_refuses_a_post_without_alternative_text() -> None:
    with pytest.raises(WordingError, match="alternative text"):
        check_post("UPDATE · Iran: 7%", "  ", 3)


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("CONFIRMED · Iran: at 10% and 100%, 20.0% of ordinary levels", 3),
        ("UNCONFIRMED · Iran: at 7%", 2),
        ("UPDATE · Iran: the ministry states that a shutdown was ordered", 4),
        ("UPDATE · Iran: a download of countdowns", 3),
    ],
)
def test_editorial_rules_accept(text: str, evidence: int) -> None:
    check_post(text, "Line chart.", evidence)


def test_alternative_text_describes_the_chart(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    assert alternative_text(make_incident(), iran) == (
        "Line chart: internet connectivity in Iran, 15 Nov 16:30 to 17 Nov 05:30 UTC. Lowest: 7% "
        "of ordinary levels; at the end: 7% of ordinary levels. The grey band shows ordinary "
        "levels; gaps are missing data. Data table: at the link."
    )


def test_a_daily_series_has_a_first_and_a_last_post(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    words = (
        "recurs nightly: 4 of the last 5 nights, about 22:00 to 06:00 local (18:30 to 02:30 UTC)"
    )
    night = DailyOccurrence(WRITTEN, None, 0.05)
    start = datetime(2026, 2, 1, 18, 30, tzinfo=UTC)
    pattern = Pattern(
        PatternName.DAILY,
        start,
        (("days_of_last_5", 4.0), ("start_local_minute", 60.0)),
        start,
        start + timedelta(hours=8),
    )
    details = IncidentDetails(pattern, occurrences=(night,) * 72)
    [post, *_] = _posts(make_incident(reason=RevisionReason.RECURRING, details=details), iran)
    assert f"It {words}." in post.text
    assert "Cause not established." in post.text
    over = make_incident(
        reason=RevisionReason.RECURRENCE_ENDED,
        details=details,
        percent=PublishedPercent(99.0, 97.0, 100.0, Precision.EXACT),
    )
    [post, *_] = _posts(over, iran)
    assert post.text.splitlines()[0] == (
        "RESTORED · Iran: internet connectivity is at ordinary levels, with no loss measured at "
        "the time of day at which 72 earlier ones began."
    )


@pytest.mark.parametrize(
    "reason",
    [
        RevisionReason.OPENED,
        RevisionReason.SUSTAINED,
        RevisionReason.EXPIRED,
        RevisionReason.RECURRED,
    ],
)
def test_provisional_revisions_have_no_post(
    make_incident: MakeIncident, iran: EntityTree, reason: RevisionReason
) -> None:
    assert _posts(make_incident(reason=reason), iran) == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("blocking", "example.org: blocked in measurements from Iran since"),
        ("throttling", "example.org: slowed in measurements from Iran since"),
    ],
)
def test_a_blocked_site_is_not_a_loss_of_connectivity(
    make_incident: MakeIncident, iran: EntityTree, kind: str, words: str
) -> None:
    site = Entity.parse("domain:example.org")
    incident = make_incident(entity=site, kind=kind, seen_from="IR", progressive_hours=None)
    [post, *_] = _posts(incident, iran)
    assert words in post.text
    assert "no loss of connectivity" in post.text
    assert "ordinary levels" not in post.text
    assert "Cause not established." in post.text
    assert "example.org" in post.alternative
    over = make_incident(
        entity=site, kind=kind, seen_from="IR", reason=RevisionReason.RESTORED,
        ended_at=incident.started_at + timedelta(hours=5),
    )  # fmt: skip
    assert "no longer" in _posts(over, iran)[0].text
