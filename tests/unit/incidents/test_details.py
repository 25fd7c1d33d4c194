"""Details of a record: steps, order of losses, survivors, timing, unresponsive networks."""

from dataclasses import replace

import pytest
from incident_fixtures import ALL, NETWORKS, both, cut, follow, level, levels_of, new_tracker
from series import COUNTRY, HOUR, START, key

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.incident import Incident, RevisionReason
from netwatch.model.incident_details import PatternName, TimingFeature
from netwatch.publish.posts import post_kind


def last(revisions: list[Incident]) -> Incident:
    return revisions[-1]


def test_networks_are_named_in_the_order_of_their_losses() -> None:
    shapes = [cut(number, start=5 + 3 * number) for number in range(4)]
    details = last(follow(both(*shapes), 40)).details
    assert [loss.entity for loss in details.losses] == NETWORKS[:4]
    assert [loss.started_at for loss in details.losses] == [
        START + (5 + 3 * n) * HOUR for n in range(4)
    ]
    assert details.losses[-1].cumulative_share == pytest.approx(4 / 6)


def test_a_progressive_loss_has_its_pattern_and_steps() -> None:
    shapes = [cut(number, start=5 + 3 * number) for number in range(6)]
    incident = last(follow(both(*shapes), 40))
    pattern = incident.details.pattern
    assert pattern is not None
    assert pattern.name is PatternName.PROGRESSIVE
    assert dict(pattern.measures)["networks"] == dict(pattern.measures)["networks_measured"] == 6
    steps = [segment.level for segment in incident.details.segments]
    assert steps == sorted(steps, reverse=True)
    assert len(steps) >= 3


def test_networks_that_kept_access_are_listed() -> None:
    access = last(follow(cut(0, 1, 2, 3, 4, end=30), 60)).details.survivors
    assert access is not None
    assert [one.entity for one in access.networks] == [NETWORKS[5]]
    assert access.kept_share == pytest.approx(1 / 6)
    assert access.lost_share == pytest.approx(5 / 6)
    assert last(follow(cut(0), 60)).details.survivors is None


def test_a_network_without_data_neither_survives_nor_counts_as_lost() -> None:
    def shape(number: int, hour: int) -> float | None:
        return None if number == 5 and hour >= 5 else ALL(number, hour)

    access = last(follow(shape, 30)).details.survivors
    assert access is not None
    assert access.networks == ()
    assert access.unknown_share == pytest.approx(1 / 6)


def test_the_timing_is_a_likelihood_and_no_cause() -> None:
    likelihood = last(follow(ALL, 30)).details.likelihood
    assert likelihood is not None
    # Bins of an hour say nothing of five minutes.
    assert {one.feature for one in likelihood.evidence} == {
        TimingFeature.RECURS,
        TimingFeature.NIGHT,
    }
    assert not likelihood.resembles_shutdown


def test_unresponsive_networks_are_listed_and_not_counted_as_lost() -> None:
    tracker, revisions = new_tracker(), []
    for hour in range(12):
        levels = levels_of(hour, ALL)
        levels[0] = replace(
            levels[0], value=None, low=None, high=None, baseline=Baseline(BaselineKind.DEAD)
        )
        revisions += tracker.step(levels)
    assert last(revisions).details.unresponsive == (NETWORKS[0],)
    assert NETWORKS[0] not in {child.entity for child in last(revisions).affected}


def test_a_provisional_incident_has_no_details() -> None:
    tracker = new_tracker()
    revisions = [
        one
        for hour in range(20)
        for one in tracker.step(
            [level(hour, key(str(COUNTRY), "traffic"), 0.03 if hour > 4 else 1)]
        )
    ]
    assert last(revisions).details.likelihood is None


def nightly(hour: int, *, nights: int) -> float:
    """Return the level of a country that is cut from 01 to 06 on so many nights."""
    day, clock = divmod(hour, 24)
    return 0.05 if 2 <= day < 2 + nights and 1 <= clock < 6 else 1.0


def test_a_missing_night_ends_the_series() -> None:
    revisions = follow(lambda _, hour: nightly(hour, nights=9), 24 * 16)
    series = [one for one in revisions if one.id == revisions[-1].id]
    assert [one.reason for one in series].count(RevisionReason.RECURRING) == 1
    assert series[-1].reason is RevisionReason.RECURRENCE_ENDED
    assert series[-1].at == START + 11 * 24 * HOUR + 5 * HOUR
    assert len(series[-1].details.occurrences) == 9
    assert series[-1].ended_at == START + (10 * 24 + 6) * HOUR


def test_the_first_post_about_a_daily_series_says_that_it_recurs() -> None:
    """A third network is lost only after the series is known."""

    def shape(number: int, hour: int) -> float:
        lost = 2 if hour < 24 * 8 else 3
        return nightly(hour, nights=9) if number < lost else 1.0

    revisions = follow(shape, 24 * 9)
    first = next(one for one in revisions if one.evidence_level == 2)
    assert first.reason is RevisionReason.RECURRING
    assert post_kind(first) == "recurring"
    assert [one.evidence_level for one in revisions if one.reason is first.reason] == [1, 2]


def test_a_loss_is_expected_only_within_its_window() -> None:
    tracker = new_tracker()
    follow(lambda _, hour: nightly(hour, nights=9), 24 * 8 + 20, tracker=tracker)
    night = START + (9 * 24 + 2) * HOUR
    assert key(str(COUNTRY)) in tracker.expected(night)
    assert tracker.expected(night + 12 * HOUR) == set()
