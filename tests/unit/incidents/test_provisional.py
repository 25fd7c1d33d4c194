"""What one passive signal may say alone: a provisional incident, and never a sure one."""

from datetime import timedelta

import pytest
from incident_fixtures import NETWORKS, RULES, level, new_tracker, newest
from series import COUNTRY, HOUR, START, key

from netwatch.incidents.tracker import Tracker
from netwatch.model.entities import Entity
from netwatch.model.incident import Incident, IncidentState, RevisionReason
from netwatch.model.percent import Precision

SITE = "asn:64496"


def lone(
    signal: str, *, depth: float, entity: str = str(COUNTRY), start: int = 5, end: int = 999
) -> list[Incident]:
    """Return the revisions of 60 hours in which one signal alone is lost from `start` on."""
    tracker = new_tracker()
    return [
        revision
        for hour in range(60)
        for revision in tracker.step(
            [level(hour, key(entity, signal), depth if start <= hour < end else 1.0)]
        )
    ]


@pytest.mark.parametrize("signal", ["bgp", "telescope", "traffic", "agents"])
def test_a_collapse_of_one_passive_signal_stays_provisional(signal: str) -> None:
    revisions = lone(signal, depth=0.03)
    [incident] = newest(revisions).values()
    assert incident.state is IncidentState.PROVISIONAL
    assert incident.confirmed_at is None
    assert incident.provisional_at <= START + (5 + 4) * HOUR
    assert incident.started_at == START + 5 * HOUR
    assert incident.percent.precision is Precision.NONE
    assert [one.evidence_level for one in revisions] in ([0, 1], [0])
    assert incident.evidence_level < 2


@pytest.mark.parametrize("signal", ["bgp", "telescope", "traffic"])
def test_less_than_a_collapse_of_a_country_opens_nothing(signal: str) -> None:
    assert lone(signal, depth=0.6) == []


def test_routes_of_one_network_that_lost_a_fifth_are_provisional() -> None:
    [incident] = newest(lone("bgp", depth=0.81, entity=SITE, end=9)).values()
    assert incident.entity == Entity.parse(SITE)
    assert incident.state is IncidentState.EXPIRED
    assert incident.confirmed_at is None
    assert (incident.started_at, incident.ended_at) == (START + 5 * HOUR, START + 9 * HOUR)
    assert incident.trough.value == pytest.approx(81.0)
    assert lone("traffic", depth=0.81, entity=SITE) == []


def test_it_expires_where_the_signal_came_back() -> None:
    revisions = lone("traffic", depth=0.03, end=20)
    assert [one.reason for one in revisions][:2] == [
        RevisionReason.OPENED,
        RevisionReason.SUSTAINED,
    ]
    assert revisions[-1].reason is RevisionReason.EXPIRED
    assert revisions[-1].ended_at == START + 20 * HOUR


def test_one_bin_is_not_a_collapse() -> None:
    assert lone("traffic", depth=0.03, end=6) == []


def test_lower_demand_is_not_an_outage() -> None:
    tracker = new_tracker()
    revisions = [
        one
        for hour in range(60)
        for one in tracker.step(
            [
                level(hour, key(str(COUNTRY)), 1.0),
                level(hour, key(str(COUNTRY), "traffic"), 0.03 if hour >= 5 else 1.0),
            ]
        )
    ]
    assert revisions == []


def course(tracker: Tracker, *, probing_from: int, hours: int) -> list[Incident]:
    """Return the revisions of traffic lost in hour 5 and of probing, without data until later."""
    return [
        one
        for hour in range(hours)
        for one in tracker.step(
            [
                level(hour, key(str(COUNTRY)), 0.05 if hour >= probing_from else None, networks=6),
                level(hour, key(str(COUNTRY), "traffic"), 0.03 if hour >= 5 else 1.0),
            ]
        )
    ]


def test_an_active_signal_confirms_the_incident() -> None:
    revisions = course(new_tracker(), probing_from=9, hours=14)
    assert len(newest(revisions)) == 1
    sure = next(one for one in revisions if one.reason is RevisionReason.CONFIRMED)
    assert sure.state is IncidentState.CONFIRMED
    assert sure.confirmed_at == START + 11 * HOUR
    assert sure.provisional_at == START + 7 * HOUR
    assert sure.percent.value == pytest.approx(5.0)


def test_narrower_incidents_merge_into_a_wider_provisional_one() -> None:
    tracker = new_tracker()
    revisions = []
    for hour in range(20):
        levels = [level(hour, key(str(NETWORKS[0]), "traffic"), 0.03 if hour >= 5 else 1.0)]
        levels += [level(hour, key(str(COUNTRY), "traffic"), 0.03 if hour >= 8 else 1.0)]
        revisions += tracker.step(levels)
    narrow, wide = sorted(newest(revisions).values(), key=lambda one: one.started_at)
    assert narrow.state is IncidentState.MERGED
    assert narrow.merged_into == wide.id
    assert [child.entity for child in wide.affected] == [NETWORKS[0]]


def test_only_the_provisional_series_is_frozen() -> None:
    tracker = new_tracker()
    for hour in range(10):
        tracker.step(
            [
                level(hour, key(str(COUNTRY), "traffic"), 0.03 if hour >= 5 else 1.0),
                level(hour, key(str(COUNTRY), "telescope"), 1.0),
            ]
        )
    assert tracker.frozen() == {key(str(COUNTRY), "traffic")}


def test_a_sustained_revision_is_published_once() -> None:
    revisions = lone("traffic", depth=0.03)
    sustained = [one for one in revisions if one.reason is RevisionReason.SUSTAINED]
    assert len(sustained) == 1
    assert sustained[0].evidence_level == 1
    assert sustained[0].at - sustained[0].started_at >= RULES.min_duration_country
    assert timedelta(0) < RULES.min_duration_country
