"""The verdict on a drill: every finding can hold, and every finding can fail."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from conftest import at

from netwatch.lab.drill.drill_checks import GroundTruth, check_drill
from netwatch.lab.drill.loopback_country import Country, make_country
from netwatch.model.entities import Entity
from netwatch.model.incident import AffectedEntity, Incident, IncidentState, Post
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.protocols import OutboxEntry, OutboxState

BEGAN = at(16, 16)
SECOND = timedelta(seconds=1)


@pytest.fixture
def country() -> Country:
    return make_country(12)


@pytest.fixture
def truth(country: Country) -> GroundTruth:
    cut = [(BEGAN + 2 * number * SECOND, one) for number, one in enumerate(country.networks[:10])]
    back = [(BEGAN + (60 + number) * SECOND, one) for number, (_, one) in enumerate(cut)]
    return GroundTruth(cut, back)


@pytest.fixture
def incident(
    country: Country, truth: GroundTruth, make_incident: Callable[..., Incident]
) -> Incident:
    """The correct incident of the drill."""
    true = truth.level(country)
    affected = tuple(
        AffectedEntity(Entity.parse(f"asn:{one.asn}"), time + SECOND, None, one.weight)
        for time, one in truth.cut
    )
    return make_incident(
        entity=country.entity,
        state=IncidentState.RESOLVED,
        started_at=BEGAN + SECOND,
        ended_at=truth.restored[-1][0] + SECOND,
        trough=PublishedPercent(true, true, true, Precision.NONE),
        affected=affected,
        evidence_level=2,
    )


def sent(make_post: Callable[..., Post], *kinds: str) -> list[OutboxEntry]:
    return [entry(make_post(kind=kind, key=kind), OutboxState.SENT) for kind in kinds]


def entry(post: Post, state: OutboxState) -> OutboxEntry:
    moment: datetime = post.created_at
    return OutboxEntry(post, state, 1, moment, moment)


def failed_claims(
    country: Country, truth: GroundTruth, incidents: list[Incident], posts: list[OutboxEntry]
) -> list[str]:
    """Return the claims that do not hold."""
    findings = check_drill(truth, country, incidents, posts)
    return [one.claim for one in findings if not one.holds]


def test_a_correct_report_passes(
    country: Country, truth: GroundTruth, incident: Incident, make_post: Callable[..., Post]
) -> None:
    posts = sent(make_post, "confirmed_without_number", "restored")
    assert failed_claims(country, truth, [incident], posts) == []
    assert len(check_drill(truth, country, [incident], posts)) >= 7


def test_the_true_level_is_the_share_that_was_not_cut(country: Country, truth: GroundTruth) -> None:
    assert truth.level(country) == pytest.approx(100 * (1 + 2) / sum(range(1, 13)))


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"evidence_level": 1}, "one public incident"),
        ({"merged_into": "NW-XT-2019-0001"}, "one public incident"),
        ({"entity": Entity.parse("asn:64496")}, "the incident is national"),
        ({"trough": PublishedPercent(40.0, 39.0, 41.0, Precision.NONE)}, "the level at its lowest"),
        ({"started_at": BEGAN + timedelta(minutes=1)}, "it began about"),
        ({"ended_at": BEGAN + timedelta(minutes=5)}, "it ended about"),
        ({"state": IncidentState.PARTIALLY_RESTORED}, "it ended about"),
        ({"ended_at": None}, "it ended about"),
        ({"affected": ()}, "10 networks fell in their order"),
    ],
)
def test_a_wrong_report_fails(
    country: Country,
    truth: GroundTruth,
    incident: Incident,
    make_post: Callable[..., Post],
    changes: dict[str, object],
    claim: str,
) -> None:
    posts = sent(make_post, "confirmed", "restored")
    wrong = replace(incident, **changes)
    assert any(one.startswith(claim) for one in failed_claims(country, truth, [wrong], posts))


def test_networks_in_another_order_fail(
    country: Country, truth: GroundTruth, incident: Incident, make_post: Callable[..., Post]
) -> None:
    first, second, *rest = incident.affected
    swapped = (
        replace(first, started_at=second.started_at),
        replace(second, started_at=first.started_at),
        *rest,
    )
    posts = sent(make_post, "confirmed", "restored")
    wrong = replace(incident, affected=swapped)
    assert failed_claims(country, truth, [wrong], posts) == ["10 networks fell in their order"]


def test_no_incident_and_two_incidents_fail(
    country: Country, truth: GroundTruth, incident: Incident, make_post: Callable[..., Post]
) -> None:
    posts = sent(make_post, "confirmed", "restored")
    assert "one public incident" in failed_claims(country, truth, [], posts)
    other = replace(incident, id="NW-XT-2019-0009", entity=Entity.parse("asn:64496"))
    assert failed_claims(country, truth, [incident, other], posts) == ["one public incident"]


def test_missing_duplicate_or_pending_posts_fail(
    country: Country, truth: GroundTruth, incident: Incident, make_post: Callable[..., Post]
) -> None:
    whole = sent(make_post, "confirmed", "restored")
    published, once = "the beginning and the end were posted", "every post went out, none twice"
    assert failed_claims(country, truth, [incident], []) == [published, once]
    assert failed_claims(country, truth, [incident], whole[:1]) == [published]
    assert failed_claims(country, truth, [incident], whole[1:]) == [published]
    assert failed_claims(country, truth, [incident], [*whole, whole[0]]) == [once]
    waiting = [whole[0], replace(whole[1], state=OutboxState.READY)]
    assert failed_claims(country, truth, [incident], waiting) == [once]
