"""What a tracker remembers, what it freezes, and what holds whatever comes."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from incident_fixtures import ALL, cut, follow, level, levels_of, new_tracker, newest
from series import COUNTRY, HOUR, START, key

from netwatch.model.entities import EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.incident import IncidentState, RevisionReason
from netwatch.model.series import Level


def test_only_the_baselines_of_lost_series_are_frozen() -> None:
    tracker = new_tracker()
    follow(cut(0, 2, 4, end=999), 8, tracker=tracker)
    frozen = tracker.frozen()
    assert {key(str(COUNTRY), ""), key("asn:64496", "")} <= frozen
    calm = new_tracker()
    follow(cut(), 8, tracker=calm)
    assert calm.frozen() == set()


def test_a_snapshot_is_not_a_revision() -> None:
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
        level(hour, key("asn:64999", "telescope"), national),
    ]


def test_a_saved_state_gives_the_same_revisions_at_every_bin() -> None:
    whole = new_tracker()
    expected = [whole.step(with_other_signals(hour)) for hour in range(110)]
    assert {one.reason for step in expected for one in step} >= {
        RevisionReason.CONFIRMED, RevisionReason.PARTIALLY_RESTORED,
        RevisionReason.RELAPSED, RevisionReason.RESTORED,
    }  # fmt: skip
    tracker = new_tracker()
    for hour, wanted in enumerate(expected):
        again = new_tracker()
        again.load(tracker.save())
        assert again.save() == tracker.save()
        assert again.frozen() == tracker.frozen(), f"before hour {hour}"
        tracker = again
        assert tracker.step(with_other_signals(hour)) == wanted, f"in hour {hour}"


def test_the_order_of_levels_does_not_matter() -> None:
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


def test_a_state_of_another_version_is_refused_as_such() -> None:
    state = msgspec.msgpack.encode({"version": 1, "excursions": ["of another layout"]})
    with pytest.raises(StoreError, match="checkpoint: version 1, want"):
        new_tracker().load(state)


OVER = {IncidentState.RESOLVED, IncidentState.EXPIRED}
SHARES = st.sampled_from([None, 0.0, 0.05, 0.3, 0.45, 0.6, 0.8, 0.89, 0.95, 1.0, 1.2])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(SHARES, min_size=6, max_size=6), min_size=1, max_size=60))
def test_records_are_consistent_for_any_input(course: list[list[float | None]]) -> None:
    revisions = follow(lambda number, hour: course[hour][number], len(course))
    for name in {one.id for one in revisions}:
        own = [one for one in revisions if one.id == name]
        assert [one.revision for one in own] == list(range(1, len(own) + 1))
        for one in own:
            assert one.started_low <= one.started_at <= one.started_high <= one.at
            assert one.started_at <= one.trough_at <= one.at
            assert one.ended_at is None or one.started_at <= one.ended_at <= one.at
            assert (one.ended_at is not None) == (one.state in OVER)
            assert one.trough.value <= one.percent.value + 1e-9
            assert 0 <= one.networks_lost <= max(1, one.networks_measured)
            onsets = [child.started_at for child in one.affected]
            assert onsets == sorted(onsets)
        for before, after in pairwise(own):
            assert before.evidence_level <= after.evidence_level
            assert before.at <= after.at
            # Sure at last, a loss begins where the signal that is sure of it says.
            assert before.started_at == after.started_at or after.reason is RevisionReason.CONFIRMED
            assert before.state not in {IncidentState.MERGED, IncidentState.EXPIRED}
    open_scopes = [
        one.entity
        for one in newest(revisions).values()
        if one.state not in {*OVER, IncidentState.MERGED}
    ]
    assert len(open_scopes) == len(set(open_scopes))
    assert all(scope.kind is not EntityKind.DOMAIN for scope in open_scopes)
