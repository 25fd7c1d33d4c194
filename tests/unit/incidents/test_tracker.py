"""From levels to incidents: which open, which are one, when they end, and what survives a crash."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from incident_fixtures import (
    ALL,
    NETWORKS,
    NORTH,
    RULES,
    SOUTH,
    Shape,
    both,
    cut,
    follow,
    level,
    levels_of,
    new_tracker,
    newest,
)
from series import COUNTRY, HOUR, START, country_atlas, key

from netwatch.config import IncidentConfig
from netwatch.incidents.tracker import Tracker
from netwatch.model.duration import Duration
from netwatch.model.entities import Entity
from netwatch.model.incident import IncidentState, RevisionReason
from netwatch.model.series import Level
from netwatch.model.signals import BGP, REACHABILITY
from netwatch.publish.posts import post_kind


def test_ordinary_levels_open_no_incident() -> None:
    assert follow(cut(), 200) == []


def test_nested_scopes_give_one_incident_of_the_widest() -> None:
    [incident] = newest(follow(ALL, 12)).values()
    assert incident.entity == COUNTRY
    assert incident.id == "NW-XT-2026-0001"
    assert incident.started_at == START + 5 * HOUR
    assert incident.started_low == START + 4 * HOUR
    assert incident.evidence_level == 2
    assert (incident.networks_lost, incident.networks_measured) == (6, 6)
    assert {child.entity for child in incident.affected} == {NORTH, SOUTH, *NETWORKS}


def test_one_low_bin_opens_no_incident() -> None:
    assert follow(cut(*range(6), end=6), 30) == []


def test_it_is_confirmed_after_two_bins_that_last_long_enough() -> None:
    [first, *_] = follow(ALL, 12)
    assert first.reason is RevisionReason.CONFIRMED
    assert first.at == START + 6 * HOUR
    assert first.provisional_at == START + 6 * HOUR
    assert first.confirmed_at == START + 7 * HOUR


def test_a_network_large_enough_opens_an_incident_of_the_country() -> None:
    [incident] = newest(follow(cut(0), 12)).values()
    assert incident.entity == COUNTRY
    assert (incident.networks_lost, incident.evidence_level) == (1, 1)


def reached(hour: int) -> list[Level]:
    return [replace(one, series=key(str(one.entity), REACHABILITY)) for one in levels_of(hour, ALL)]


def test_too_few_independent_vantages_confirm_no_national_loss() -> None:
    tracker = new_tracker()
    few = {COUNTRY: True}
    held = [one for hour in range(12) for one in tracker.step(reached(hour), few)]
    assert {one.state for one in held} == {IncidentState.PROVISIONAL}
    assert {one.entity for one in held} == {COUNTRY}
    assert all(one.details.few_voices for one in held)
    assert {post_kind(one) for one in held} == {None}
    [confirmed, *_] = tracker.step(reached(12), {COUNTRY: False})
    assert (confirmed.id, confirmed.state) == (held[0].id, IncidentState.CONFIRMED)
    assert confirmed.details.few_voices
    assert confirmed.started_at == START + 5 * HOUR


def test_another_signal_confirms_what_few_vantages_say() -> None:
    tracker = new_tracker()
    revisions = []
    for hour in range(12):
        routes = level(hour, key(str(COUNTRY), BGP), 0.05 if hour >= 5 else 1.0)
        revisions += tracker.step([*reached(hour), routes], {COUNTRY: True})
    assert IncidentState.CONFIRMED in {one.state for one in revisions}


def test_one_certain_bin_of_an_hour_is_enough_for_a_collapse() -> None:
    def sure(hour: int) -> list[Level]:
        return [replace(one, probability=0.999) for one in levels_of(hour, ALL)]

    tracker = new_tracker()
    steps = [tracker.step(levels_of(hour, ALL)) for hour in range(5)]
    assert steps == [[]] * 5
    [revision] = tracker.step(sure(5))
    assert (revision.entity, revision.at) == (COUNTRY, START + 5 * HOUR)


@pytest.mark.parametrize("minutes", [5, 30, 60])
def test_a_collapse_is_sure_at_the_end_of_its_second_bin(minutes: int) -> None:
    width = timedelta(minutes=minutes)
    tracker = Tracker(country_atlas(), width=width, config=RULES)
    revisions = []
    for number in range(8):
        values = [0.1 if number >= 5 else 1.0 for _ in NETWORKS]
        levels = [
            replace(level(0, key(str(one)), value), time=START + number * width, probability=0.999)
            for one, value in zip([*NETWORKS, COUNTRY], [*values, values[0]], strict=True)
        ]
        ordinary = [replace(one, probability=0.01) for one in levels]
        revisions += tracker.step(levels if number >= 5 else ordinary)
    first = next(one for one in revisions if one.reason is RevisionReason.CONFIRMED)
    assert first.entity == COUNTRY
    assert first.confirmed_at is not None
    assert first.confirmed_at <= START + 7 * width


def test_two_separate_losses_in_one_country_stay_separate() -> None:
    wide = [Entity.parse(f"asn:{64496 + number}") for number in (0, 1)]

    def step(hour: int) -> list[Level]:
        levels = [level(hour, key(str(COUNTRY)), 0.97, networks=6)]
        for number, entity in enumerate(wide):
            lost = 5 + 10 * number <= hour < 40
            levels.append(level(hour, key(str(entity)), 0.1 if lost else 1.0))
        return levels

    tracker = new_tracker()
    revisions = [revision for hour in range(60) for revision in tracker.step(step(hour))]
    incidents = newest(revisions)
    assert sorted(str(one.entity) for one in incidents.values()) == ["asn:64496", "asn:64497"]
    assert all(one.merged_into is None for one in incidents.values())
    assert all(one.state is IncidentState.RESOLVED for one in incidents.values())


def step_of_forerunner(hour: int) -> list[Level]:
    """Return a network that falls first, and the country four hours later."""
    first = level(hour, key("asn:64496"), 0.1 if hour >= 5 else 1.0)
    rest = [level(hour, key(str(one)), 0.1 if hour >= 9 else 1.0) for one in NETWORKS[1:]]
    national = level(hour, key(str(COUNTRY)), 0.1 if hour >= 9 else 0.96, networks=6)
    return [first, *rest, national]


def test_a_forerunner_is_merged_into_the_wider_incident() -> None:
    tracker = new_tracker()
    revisions = [one for hour in range(20) for one in tracker.step(step_of_forerunner(hour))]
    incidents = newest(revisions)
    assert len(incidents) == 2
    forerunner, national = sorted(incidents.values(), key=lambda one: one.started_at)
    assert forerunner.state is IncidentState.MERGED
    assert forerunner.reason is RevisionReason.MERGED
    assert forerunner.merged_into == national.id
    assert national.entity == COUNTRY
    onsets = {child.entity: child.started_at for child in national.affected}
    assert onsets[NETWORKS[0]] == START + 5 * HOUR
    assert onsets[NETWORKS[1]] == START + 9 * HOUR


def test_an_old_narrow_incident_is_not_merged_into_a_new_wide_one() -> None:
    def step(hour: int) -> list[Level]:
        return (
            [replace(one, time=START + hour * HOUR) for one in step_of_forerunner(hour - 20)]
            if (hour >= 29)
            else [
                level(hour, key("asn:64496"), 0.1 if hour >= 5 else 1.0),
                *(level(hour, key(str(one)), 1.0) for one in NETWORKS[1:]),
                level(hour, key(str(COUNTRY)), 0.96, networks=6),
            ]
        )

    tracker = new_tracker()
    revisions = [one for hour in range(40) for one in tracker.step(step(hour))]
    assert [one for one in revisions if one.reason is RevisionReason.MERGED] == []
    assert len(newest(revisions)) == 2


def test_a_lasting_return_ends_the_incident_at_its_beginning() -> None:
    revisions = follow(cut(*range(6), end=30), 60)
    last = revisions[-1]
    assert last.reason is RevisionReason.RESTORED
    assert last.state is IncidentState.RESOLVED
    assert last.ended_at == START + 30 * HOUR
    assert last.at == last.ended_at + RULES.resolve_after
    assert all(child.ended_at == START + 30 * HOUR for child in last.affected)
    assert last.trough.value == pytest.approx(5.0)
    assert last.evidence_level == 2


def test_an_end_whose_beginning_was_not_posted_is_not_posted() -> None:
    """Networks that are low after the end say nothing of the loss."""
    revisions = follow(both(cut(0, end=18), cut(1, 2, 3, start=18, depth=0.88)), 25)
    end = next(one for one in revisions if one.reason is RevisionReason.RESTORED)
    assert end.networks_lost == 3
    assert end.evidence_level == 1
    assert [post_kind(one) for one in revisions if one.id == end.id and post_kind(one)] == []


@pytest.mark.parametrize(
    ("later", "state"),
    [
        (both(cut(0, 1, start=18), cut(2, start=18)), IncidentState.CONFIRMED),
        (cut(2, start=14, depth=0.85), IncidentState.PARTIALLY_RESTORED),
    ],
)
def test_the_first_post_is_about_the_beginning(later: Shape, state: IncidentState) -> None:
    """More networks are lost with a new drop, or while the first ones return in part."""
    partial = cut(0, 1, start=12, end=18, depth=0.6)
    revisions = follow(both(cut(0, 1, end=12), partial, later), 19)
    first = next(one for one in revisions if one.evidence_level == 2)
    assert first.state is state
    assert first.reason is RevisionReason.CONFIRMED
    assert post_kind(first) == "confirmed"


def test_a_short_return_is_partial_and_then_a_new_drop_of_the_same_incident() -> None:
    shape = both(cut(*range(6), end=30), cut(*range(6), start=30, end=34, depth=0.4))
    again = both(shape, cut(*range(6), start=34))
    revisions = follow(again, 40)
    reasons = [one.reason for one in revisions]
    assert reasons.index(RevisionReason.PARTIALLY_RESTORED) < reasons.index(RevisionReason.RELAPSED)
    assert RevisionReason.RESTORED not in reasons
    assert len(newest(revisions)) == 1
    states = {one.reason: one.state for one in revisions}
    assert states[RevisionReason.PARTIALLY_RESTORED] is IncidentState.PARTIALLY_RESTORED
    assert states[RevisionReason.RELAPSED] is IncidentState.CONFIRMED


def test_a_rise_to_ten_percent_is_not_a_return() -> None:
    shape = both(cut(*range(6), end=30), cut(*range(6), start=30, depth=0.1))
    assert {one.reason for one in follow(shape, 60)} <= {
        RevisionReason.CONFIRMED,
        RevisionReason.MILESTONE,
        RevisionReason.MATERIAL,
    }


def test_a_return_to_eighty_seven_percent_is_a_return_once() -> None:
    shape = both(cut(*range(6), end=30), cut(*range(6), start=30, depth=0.87))
    reasons = [one.reason for one in follow(shape, 80)]
    assert reasons.count(RevisionReason.RESTORED) == 1
    assert RevisionReason.RELAPSED not in reasons


def test_a_loss_soon_after_the_end_continues_the_incident() -> None:
    shape = both(cut(*range(6), end=10), cut(*range(6), start=25, end=30))
    revisions = follow(shape, 60)
    assert len(newest(revisions)) == 1
    reasons = [one.reason for one in revisions]
    assert reasons.count(RevisionReason.RESTORED) == 2
    redrop = next(one for one in revisions if one.reason is RevisionReason.RELAPSED)
    assert (redrop.state, redrop.ended_at) == (IncidentState.CONFIRMED, None)
    assert redrop.started_at == START + 5 * HOUR
    assert revisions[-1].ended_at == START + 30 * HOUR


def test_a_loss_long_after_the_end_is_another_incident() -> None:
    shape = both(cut(*range(6), end=10), cut(*range(6), start=50, end=55))
    incidents = newest(follow(shape, 80))
    assert sorted(incidents) == ["NW-XT-2026-0001", "NW-XT-2026-0002"]
    assert incidents["NW-XT-2026-0002"].started_at == START + 50 * HOUR


def test_milestones_are_published_at_their_hours() -> None:
    revisions = follow(ALL, 24 * 23)
    hours = [
        (one.at - one.started_at) // HOUR
        for one in revisions
        if one.reason is RevisionReason.MILESTONE
    ]
    assert hours == [3, 6, 12, 24, 48, 72, 96, 120, 144, 168, 336, 504]


def test_milestones_wait_for_the_interval_between_updates() -> None:
    config = IncidentConfig(update_every=Duration(hours=5))
    revisions = follow(ALL, 24, tracker=new_tracker(config))
    milestones = [one.at for one in revisions if one.reason is RevisionReason.MILESTONE]
    assert milestones == [START + hour * HOUR for hour in (11, 17)]
    times = [one.at for one in revisions]
    assert all(later - earlier >= 5 * HOUR for earlier, later in itertools.pairwise(times))


def test_a_material_change_is_published_at_once() -> None:
    shape = both(cut(*range(6), depth=0.6), cut(*range(6), start=16, depth=0.2))
    material = [one for one in follow(shape, 24) if one.reason is RevisionReason.MATERIAL]
    assert [one.at for one in material] == [START + 16 * HOUR]


def test_missing_data_opens_nothing_and_ends_nothing() -> None:
    assert follow(lambda number, hour: 1.0 if hour < 5 else None, 100) == []

    def gone(number: int, hour: int) -> float | None:
        return 0.05 if 5 <= hour < 10 else None if hour >= 10 else 1.0

    [incident] = newest(follow(gone, 100)).values()
    assert incident.ended_at is None
    assert incident.state is IncidentState.CONFIRMED


def test_too_little_coverage_opens_nothing() -> None:
    tracker = new_tracker()
    steps = [
        tracker.step([level(hour, key(str(COUNTRY)), 0.1, networks=1, coverage=0.2)])
        for hour in range(20)
    ]
    assert [one for step in steps for one in step] == []


def test_uncertain_levels_open_nothing() -> None:
    def unsure(hour: int) -> list[Level]:
        return [replace(one, probability=0.7) for one in levels_of(hour, ALL)]

    tracker = new_tracker()
    assert [one for hour in range(40) for one in tracker.step(unsure(hour))] == []


def test_other_signals_are_named_as_agreeing_or_not() -> None:
    def step(hour: int) -> list[Level]:
        others = {"bgp": 1.0, "traffic": 0.1, "telescope": None}
        return [
            level(hour, key(str(COUNTRY)), 0.05 if hour >= 5 else 1.0),
            *(level(hour, key(str(COUNTRY), name), value) for name, value in others.items()),
        ]

    tracker = new_tracker()
    revisions = [one for hour in range(10) for one in tracker.step(step(hour))]
    first = next(one for one in revisions if one.reason is RevisionReason.CONFIRMED)
    assert first.signals == (
        ("bgp", False), ("probing", True), ("telescope", None), ("traffic", True),
    )  # fmt: skip
    assert first.evidence_level == 2
