"""Sites lost from one place are incidents of kind `blocking` of the site only."""

from dataclasses import replace

import pytest
from incident_fixtures import cut, level, levels_of, new_tracker, newest
from series import COUNTRY, HOUR, START, key

from netwatch.incidents.tracker import Tracker
from netwatch.model.entities import Entity
from netwatch.model.incident import Incident, IncidentState, RevisionReason
from netwatch.model.percent import Precision
from netwatch.model.series import Level

SITE = "domain:example.org"
NETWORKS = ("AS64496", "AS64497")


def path(hour: int, signal: str, value: float) -> Level:
    return level(hour, key(SITE, signal), value)


def lost(
    *signals: str, depth: float = 0.02, start: int = 5, end: int = 20, hours: int = 40,
    tracker: Tracker | None = None,
) -> list[Incident]:  # fmt: skip
    """Return the revisions of hours in which a site is lost on some paths, and nothing else."""
    tracker = tracker or new_tracker()
    every = {"blocking:XT", *(f"blocking:{name}" for name in NETWORKS), *signals}
    revisions = []
    for hour in range(hours):
        down = start <= hour < end
        ways = [path(hour, name, depth if down and name in signals else 1.0) for name in every]
        revisions += tracker.step([*levels_of(hour, cut()), *ways])
    return revisions


def test_a_blocked_site_is_an_incident_of_the_site() -> None:
    revisions = lost("blocking:XT", "blocking:AS64496", "blocking:AS64497")
    [incident] = newest(revisions).values()
    assert incident.entity == Entity.parse(SITE)
    assert (incident.kind, incident.seen_from) == ("blocking", "XT")
    assert incident.id.startswith("NW-XT-2026-")
    assert incident.state is IncidentState.RESOLVED
    assert (incident.started_at, incident.ended_at) == (START + 5 * HOUR, START + 20 * HOUR)
    assert {str(child.entity) for child in incident.affected} == {"asn:64496", "asn:64497"}
    assert [one.reason for one in revisions] == [RevisionReason.CONFIRMED, RevisionReason.RESTORED]
    assert incident.evidence_level == 2
    assert incident.percent.precision is Precision.NONE


def test_blocking_by_one_network_has_less_evidence() -> None:
    [incident] = newest(lost("blocking:AS64496")).values()
    assert (incident.kind, incident.seen_from, incident.evidence_level) == (
        "blocking",
        "AS64496",
        1,
    )


def test_a_slow_site_is_an_incident_of_kind_throttling() -> None:
    [incident] = newest(lost("speed:XT", depth=0.5)).values()
    assert (incident.kind, incident.seen_from) == ("throttling", "XT")


def test_a_network_that_was_first_is_merged_into_its_country() -> None:
    tracker, revisions = new_tracker(), []
    for hour in range(30):
        first = path(hour, "blocking:AS64496", 0.02 if hour >= 5 else 1.0)
        later = path(hour, "blocking:XT", 0.02 if hour >= 8 else 1.0)
        revisions += tracker.step([first, later])
    narrow, wide = sorted(newest(revisions).values(), key=lambda one: one.started_at)
    assert (narrow.state, narrow.merged_into) == (IncidentState.MERGED, wide.id)
    assert wide.seen_from == "XT"


def test_a_blocked_site_is_not_an_outage_of_the_country() -> None:
    incidents = newest(lost("blocking:XT", "speed:XT"))
    assert {str(one.entity) for one in incidents.values()} == {SITE}
    assert {one.kind for one in incidents.values()} == {"blocking", "throttling"}


def test_one_bin_is_not_blocking() -> None:
    assert lost("blocking:XT", end=6) == []


def test_a_restored_state_gives_the_same_incidents() -> None:
    whole = lost("blocking:XT", "blocking:AS64496")
    tracker, revisions = new_tracker(), []
    for hour in range(40):
        again = new_tracker()
        again.load(tracker.save())
        tracker = again
        down = 5 <= hour < 20
        ways = [
            path(hour, name, 0.02 if down and name != "blocking:AS64497" else 1.0)
            for name in ("blocking:XT", *(f"blocking:{one}" for one in NETWORKS))
        ]
        revisions += tracker.step([*levels_of(hour, cut()), *ways])
    assert revisions == whole


def test_the_baseline_of_a_blocked_path_is_frozen() -> None:
    tracker = new_tracker()
    lost("blocking:XT", end=99, hours=12, tracker=tracker)
    assert tracker.frozen() == {key(SITE, "blocking:XT")}


@pytest.mark.parametrize("signal", ["blocking:XT", "speed:XT"])
def test_an_uncertain_path_opens_no_incident(signal: str) -> None:
    tracker = new_tracker()
    steps = [
        tracker.step([replace(path(hour, signal, 0.4), probability=0.6)]) for hour in range(20)
    ]
    assert [one for step in steps for one in step] == []
    assert COUNTRY not in {one.entity for one in tracker.frozen()}
