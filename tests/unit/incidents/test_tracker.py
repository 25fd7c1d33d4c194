"""From levels to incidents: which open, which are one, when they end, and what survives a crash."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from series import COUNTRY, HOUR, START, country_atlas, key

from netwatch.incidents.rules import Rules
from netwatch.incidents.tracker import Tracker
from netwatch.model.entity import Entity, EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.incident import Incident, IncidentState, Reason
from netwatch.model.series import Level, SeriesKey

RULES = Rules(reopen=timedelta(hours=24))
NORTH, SOUTH = Entity.parse("region:XT-N"), Entity.parse("region:XT-S")
NETWORKS = [Entity.parse(f"asn:{64496 + number}") for number in range(6)]
IN_REGION = {NORTH: NETWORKS[::2], SOUTH: NETWORKS[1::2]}
Shape = Callable[[int, int], float | None]
"""The share that network `number` has in `hour`, None for no data."""


def level(
    hour: int, series: SeriesKey, value: float | None, *, networks: int = 1, coverage: float = 1.0
) -> Level:
    """Return a level that is as sure as it is low."""
    time = START + hour * HOUR
    if value is None:
        return Level(time, series, None, coverage=0.0, networks=0)
    sure = 0.97 if value < 0.9 else 0.01
    low, high = max(0.0, value - 0.02), value + 0.02
    return Level(time, series, value, low, high, sure, coverage, networks)


def mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def levels_of(hour: int, shape: Shape) -> list[Level]:
    """Return the levels of every network, both regions and the country in one hour."""
    shares = {entity: shape(number, hour) for number, entity in enumerate(NETWORKS)}
    found = [level(hour, key(str(entity)), value) for entity, value in shares.items()]
    for region, parts in IN_REGION.items():
        value = mean([shares[entity] for entity in parts])
        found.append(level(hour, key(str(region)), value, networks=3))
    national = mean(list(shares.values()))
    return [*found, level(hour, key(str(COUNTRY)), national, networks=6)]


def new_tracker(rules: Rules = RULES) -> Tracker:
    return Tracker(country_atlas(), width=HOUR, rules=rules)


def follow(shape: Shape, hours: int, *, tracker: Tracker | None = None) -> list[Incident]:
    """Return all revisions of so many hours."""
    tracker = tracker or new_tracker()
    return [revision for hour in range(hours) for revision in tracker.step(levels_of(hour, shape))]


def newest(revisions: list[Incident]) -> dict[str, Incident]:
    return {revision.id: revision for revision in revisions}


def cut(*networks: int, start: int = 5, end: int = 999, depth: float = 0.05) -> Shape:
    """Return a shape in which some networks are lost from `start` until before `end`."""

    def shape(number: int, hour: int) -> float:
        return depth if number in networks and start <= hour < end else 1.0

    return shape


def both(*shapes: Shape) -> Shape:
    """Return the lowest of several shapes."""

    def shape(number: int, hour: int) -> float | None:
        values = [one(number, hour) for one in shapes]
        return None if None in values else min(value for value in values if value is not None)

    return shape


ALL = cut(*range(6))


def test_ordinary_times_are_no_incident() -> None:
    assert follow(cut(), 200) == []


def test_nested_scopes_are_one_incident_of_the_widest() -> None:
    [incident] = newest(follow(ALL, 12)).values()
    assert incident.entity == COUNTRY
    assert incident.id == "NW-XT-2026-0001"
    assert incident.started_at == START + 5 * HOUR
    assert incident.started_low == START + 4 * HOUR
    assert incident.evidence == 2
    assert (incident.affected, incident.measured) == (6, 6)
    assert {child.entity for child in incident.children} == {NORTH, SOUTH, *NETWORKS}


def test_one_low_bin_is_no_incident() -> None:
    assert follow(cut(*range(6), end=6), 30) == []


def test_it_is_told_after_two_bins_that_held_long_enough() -> None:
    [first, *_] = follow(ALL, 12)
    assert first.reason is Reason.CONFIRMED
    assert first.at == START + 6 * HOUR
    assert first.provisional_at == START + 6 * HOUR
    assert first.confirmed_at == START + 7 * HOUR


def test_one_network_that_shows_in_the_country_is_an_incident_of_the_country() -> None:
    [incident] = newest(follow(cut(0), 12)).values()
    assert incident.entity == COUNTRY
    assert (incident.affected, incident.evidence) == (1, 1)


def test_one_very_sure_bin_of_an_hour_is_enough_where_most_is_lost() -> None:
    def sure(hour: int) -> list[Level]:
        return [replace(one, probability=0.999) for one in levels_of(hour, ALL)]

    tracker = new_tracker()
    steps = [tracker.step(levels_of(hour, ALL)) for hour in range(5)]
    assert steps == [[]] * 5
    [told] = tracker.step(sure(5))
    assert (told.entity, told.at) == (COUNTRY, START + 5 * HOUR)


def test_two_separate_losses_in_one_country_stay_two() -> None:
    wide = [Entity.parse(f"asn:{64496 + number}") for number in (0, 1)]

    def step(hour: int) -> list[Level]:
        found = [level(hour, key(str(COUNTRY)), 0.97, networks=6)]
        for number, entity in enumerate(wide):
            lost = 5 + 10 * number <= hour < 40
            found.append(level(hour, key(str(entity)), 0.1 if lost else 1.0))
        return found

    tracker = new_tracker()
    revisions = [revision for hour in range(60) for revision in tracker.step(step(hour))]
    found = newest(revisions)
    assert sorted(str(one.entity) for one in found.values()) == ["asn:64496", "asn:64497"]
    assert all(one.parent is None for one in found.values())
    assert all(one.state is IncidentState.RESOLVED for one in found.values())


def step_of_forerunner(hour: int) -> list[Level]:
    """Return a network that falls first, and the country four hours later."""
    first = level(hour, key("asn:64496"), 0.1 if hour >= 5 else 1.0)
    rest = [level(hour, key(str(one)), 0.1 if hour >= 9 else 1.0) for one in NETWORKS[1:]]
    national = level(hour, key(str(COUNTRY)), 0.1 if hour >= 9 else 0.96, networks=6)
    return [first, *rest, national]


def test_a_forerunner_is_merged_into_the_wider_incident() -> None:
    tracker = new_tracker()
    revisions = [one for hour in range(20) for one in tracker.step(step_of_forerunner(hour))]
    found = newest(revisions)
    assert len(found) == 2
    forerunner, national = sorted(found.values(), key=lambda one: one.started_at)
    assert forerunner.state is IncidentState.MERGED
    assert forerunner.reason is Reason.MERGED
    assert forerunner.parent == national.id
    assert national.entity == COUNTRY
    onsets = {child.entity: child.started_at for child in national.children}
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
    assert [one for one in revisions if one.reason is Reason.MERGED] == []
    assert len(newest(revisions)) == 2


def test_a_return_that_lasts_is_told_and_ends_where_it_began() -> None:
    revisions = follow(cut(*range(6), end=30), 60)
    last = revisions[-1]
    assert last.reason is Reason.RESTORED
    assert last.state is IncidentState.RESOLVED
    assert last.ended_at == START + 30 * HOUR
    assert last.at == last.ended_at + RULES.stable
    assert all(child.ended_at == START + 30 * HOUR for child in last.children)
    assert last.trough.value == pytest.approx(5.0)
    assert last.evidence == 2


def test_a_short_return_is_partial_and_then_a_new_drop_of_the_same_incident() -> None:
    shape = both(cut(*range(6), end=30), cut(*range(6), start=30, end=34, depth=0.4))
    again = both(shape, cut(*range(6), start=34))
    revisions = follow(again, 40)
    reasons = [one.reason for one in revisions]
    assert reasons.index(Reason.PARTIAL) < reasons.index(Reason.REDROP)
    assert Reason.RESTORED not in reasons
    assert len(newest(revisions)) == 1
    states = {one.reason: one.state for one in revisions}
    assert states[Reason.PARTIAL] is IncidentState.EASING
    assert states[Reason.REDROP] is IncidentState.CONFIRMED


def test_a_rise_to_ten_percent_is_no_return() -> None:
    shape = both(cut(*range(6), end=30), cut(*range(6), start=30, depth=0.1))
    assert {one.reason for one in follow(shape, 60)} <= {
        Reason.CONFIRMED,
        Reason.MILESTONE,
        Reason.MATERIAL,
    }


def test_a_loss_soon_after_the_end_continues_the_incident() -> None:
    shape = both(cut(*range(6), end=10), cut(*range(6), start=25, end=30))
    revisions = follow(shape, 60)
    assert len(newest(revisions)) == 1
    reasons = [one.reason for one in revisions]
    assert reasons.count(Reason.RESTORED) == 2
    redrop = next(one for one in revisions if one.reason is Reason.REDROP)
    assert (redrop.state, redrop.ended_at) == (IncidentState.CONFIRMED, None)
    assert redrop.started_at == START + 5 * HOUR
    assert revisions[-1].ended_at == START + 30 * HOUR


def test_a_loss_long_after_the_end_is_another_incident() -> None:
    shape = both(cut(*range(6), end=10), cut(*range(6), start=50, end=55))
    found = newest(follow(shape, 80))
    assert sorted(found) == ["NW-XT-2026-0001", "NW-XT-2026-0002"]
    assert found["NW-XT-2026-0002"].started_at == START + 50 * HOUR


def test_milestones_are_told_at_their_hours() -> None:
    revisions = follow(ALL, 24 * 23)
    told = [
        (one.at - one.started_at) // HOUR for one in revisions if one.reason is Reason.MILESTONE
    ]
    assert told == [3, 6, 12, 24, 48, 72, 96, 120, 144, 168, 336, 504]


def test_a_change_that_matters_is_told_at_once() -> None:
    shape = both(cut(*range(6), depth=0.6), cut(*range(6), start=16, depth=0.2))
    material = [one for one in follow(shape, 24) if one.reason is Reason.MATERIAL]
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


def test_unsure_levels_open_nothing() -> None:
    def unsure(hour: int) -> list[Level]:
        return [replace(one, probability=0.7) for one in levels_of(hour, ALL)]

    tracker = new_tracker()
    assert [one for hour in range(40) for one in tracker.step(unsure(hour))] == []


@pytest.mark.parametrize("signal", ["bgp", "telescope", "traffic"])
def test_passive_signals_open_nothing(signal: str) -> None:
    tracker = new_tracker()
    steps = [tracker.step([level(hour, key(str(COUNTRY), signal), 0.01)]) for hour in range(20)]
    assert [one for step in steps for one in step] == []


def test_other_signals_are_named_as_agreeing_or_not() -> None:
    def step(hour: int) -> list[Level]:
        others = {"bgp": 1.0, "traffic": 0.1, "telescope": None}
        return [
            level(hour, key(str(COUNTRY)), 0.05 if hour >= 5 else 1.0),
            *(level(hour, key(str(COUNTRY), name), value) for name, value in others.items()),
        ]

    tracker = new_tracker()
    [first, *_] = [one for hour in range(10) for one in tracker.step(step(hour))]
    assert first.signals == (
        ("bgp", False), ("probing", True), ("telescope", None), ("traffic", True),
    )  # fmt: skip
    assert first.evidence == 2


def test_what_is_lost_is_frozen_and_nothing_else() -> None:
    tracker = new_tracker()
    follow(cut(0, 2, 4, end=999), 8, tracker=tracker)
    frozen = tracker.frozen()
    assert {key(str(COUNTRY)), key("asn:64496")} <= frozen
    calm = new_tracker()
    follow(cut(), 8, tracker=calm)
    assert calm.frozen() == set()


def test_a_snapshot_is_no_revision() -> None:
    tracker = new_tracker()
    before = follow(ALL, 9, tracker=tracker)
    state = tracker.save()
    [now] = tracker.snapshots()
    assert now.at == START + 8 * HOUR
    assert tracker.save() == state
    after = tracker.step(levels_of(9, ALL))
    assert [one.revision for one in after] in ([], [before[-1].revision + 1])


def busy(number: int, hour: int) -> float | None:
    """Return a long course: forerunner, loss, gap, partial return, new drop, end, relapse."""
    if hour in {12, 33}:
        return None
    if number == 0 and 3 <= hour < 60:
        return 0.1
    if 6 + number <= hour < 30 or 34 <= hour < 50 + number or 66 <= hour < 70:
        return 0.05
    return 0.45 if 30 <= hour < 34 else 1.0


def with_other_signals(hour: int) -> list[Level]:
    national = busy(1, hour)
    return [
        *levels_of(hour, busy),
        level(hour, key(str(COUNTRY), "bgp"), 0.98),
        level(hour, key(str(COUNTRY), "traffic"), national),
    ]


def test_a_saved_state_gives_the_same_revisions_at_every_bin() -> None:
    whole = new_tracker()
    expected = [whole.step(with_other_signals(hour)) for hour in range(110)]
    assert {one.reason for step in expected for one in step} >= {
        Reason.CONFIRMED, Reason.PARTIAL, Reason.REDROP, Reason.RESTORED,
    }  # fmt: skip
    tracker = new_tracker()
    for hour, wanted in enumerate(expected):
        again = new_tracker()
        again.load(tracker.save())
        assert again.save() == tracker.save()
        assert again.frozen() == tracker.frozen(), f"before hour {hour}"
        tracker = again
        assert tracker.step(with_other_signals(hour)) == wanted, f"in hour {hour}"


def test_the_order_of_levels_is_no_matter() -> None:
    plain, turned = new_tracker(), new_tracker()
    for hour in range(110):
        levels = with_other_signals(hour)
        ours, theirs = plain.step(levels), turned.step(levels[::-1])
        assert [one.id for one in ours] == [one.id for one in theirs]
        assert [one.started_at for one in ours] == [one.started_at for one in theirs]


def test_a_damaged_state_is_refused() -> None:
    tracker = new_tracker()
    follow(ALL, 10, tracker=tracker)
    for damaged in (b"", b"\xc1", tracker.save()[:-9]):
        with pytest.raises(StoreError, match="checkpoint: damaged"):
            new_tracker().load(damaged)


SHARES = st.sampled_from([None, 0.0, 0.05, 0.3, 0.45, 0.6, 0.8, 0.89, 0.95, 1.0, 1.2])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(SHARES, min_size=6, max_size=6), min_size=1, max_size=60))
def test_whatever_comes_the_record_makes_sense(course: list[list[float | None]]) -> None:
    revisions = follow(lambda number, hour: course[hour][number], len(course))
    for name in {one.id for one in revisions}:
        own = [one for one in revisions if one.id == name]
        assert [one.revision for one in own] == list(range(1, len(own) + 1))
        for one in own:
            assert one.started_low <= one.started_at <= one.started_high <= one.at
            assert one.started_at <= one.trough_at <= one.at
            assert one.ended_at is None or one.started_at <= one.ended_at <= one.at
            assert (one.ended_at is not None) == (one.state is IncidentState.RESOLVED)
            assert one.trough.value <= one.percent.value + 1e-9
            assert 0 <= one.affected <= max(1, one.measured)
            onsets = [child.started_at for child in one.children]
            assert onsets == sorted(onsets)
        for before, after in pairwise(own):
            assert before.evidence <= after.evidence
            assert before.at <= after.at
            assert before.started_at == after.started_at
            assert before.state is not IncidentState.MERGED
    open_scopes = [
        one.entity
        for one in newest(revisions).values()
        if one.state not in {IncidentState.RESOLVED, IncidentState.MERGED}
    ]
    assert len(open_scopes) == len(set(open_scopes))
    assert all(scope.kind is not EntityKind.DOMAIN for scope in open_scopes)
