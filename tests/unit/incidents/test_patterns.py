from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from labelled_outages import read_outages

from netwatch.incidents.patterns import (
    find_patterns,
    lead_pattern,
    partial_pattern,
    progressive_hours,
    progressive_pattern,
)
from netwatch.incidents.recurrence import PatternContext, circular_deviation, next_at
from netwatch.model.entities import Entity
from netwatch.model.incident import Episode
from netwatch.model.incident_details import Forecast, Pattern, PatternName, Segment
from netwatch.publish.summary import pattern_text

_ENTITY = Entity.parse("region:MM-02")
_ZONE = "Asia/Yangon"
_WIDTH = timedelta(minutes=5)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_FIRST = datetime(2021, 2, 14, 18, 30, tzinfo=UTC)
# Iran, November 2019: when provinces fell below half of ordinary for good (UTC), and the weight of
# each, which is its number of counties. Read from the hourly figures of the Monash IP Observatory.
_TOGETHER = (*[1.0] * 12, *[2.0] * 8, 3.0, *[4.0] * 4, 6.0, 10.0)
_FALLS = (((16, 16), (7.0,)), ((16, 17), (2.0,)), ((16, 18), _TOGETHER), ((17, 4), (1.0,)))


def _episode(start: datetime, hours: float | None, entity: Entity = _ENTITY) -> Episode:
    end = None if hours is None else start + hours * _HOUR
    return Episode(entity, start, start - _WIDTH, start, end, 0.0)


def _nights(*hours: float | None) -> list[Episode]:
    """Nights from the first on; None is a night without a loss."""
    return [
        _episode(_FIRST + night * _DAY, length)
        for night, length in enumerate(hours)
        if length is not None
    ]


def _look(episodes: list[Episode], now: datetime, zone: str = _ZONE) -> tuple[Pattern, ...]:
    return find_patterns(episodes, PatternContext(now, zone, _WIDTH))


def _names(episodes: list[Episode], now: datetime, zone: str = _ZONE) -> list[PatternName]:
    return [pattern.name for pattern in _look(episodes, now, zone)]


def test_two_nights_are_not_a_pattern() -> None:
    assert _names(_nights(8, 8), _FIRST + 1.9 * _DAY) == []


def test_three_nights_are_a_pattern_before_the_fourth() -> None:
    (pattern,) = _look(_nights(8, 8, 8), _FIRST + 2.9 * _DAY)
    assert pattern.name is PatternName.DAILY
    assert pattern.forecast is None
    assert pattern_text(pattern, _ZONE) == (
        "recurs nightly: 3 of the last 5 nights, about 01:00 to 09:00 local (18:30 to 02:30 UTC)"
    )
    assert dict(pattern.measures) == {
        "days_of_last_5": 3, "days": 3, "start_local_minute": 60,
        "start_deviation_minutes": 0, "length_hours": 8,
    }  # fmt: skip


def test_the_third_night_must_be_over_first() -> None:
    assert _names(_nights(8, 8, 8), _FIRST + 2.1 * _DAY) == []


def test_the_fifth_night_is_forecast() -> None:
    (pattern,) = _look(_nights(8, 8, 8, 8), _FIRST + 3.9 * _DAY)
    due = _FIRST + 4 * _DAY
    assert pattern.forecast == Forecast(
        due, due + 8 * _HOUR, due - _WIDTH, due + 8 * _HOUR + _WIDTH
    )
    assert pattern.forecast.covers(due)
    assert not pattern.forecast.covers(due - _HOUR)
    assert not pattern.forecast.covers(due + 9 * _HOUR)


def test_a_changed_end_hour_does_not_end_it_and_moves_the_forecast() -> None:
    (pattern,) = _look(_nights(8, 8, 8, 5, 5), _FIRST + 4.9 * _DAY)
    assert pattern.name is PatternName.DAILY
    assert pattern.forecast is not None
    assert pattern.forecast.end - pattern.forecast.start == 5 * _HOUR
    assert pattern.forecast.latest_end - pattern.forecast.start >= 8 * _HOUR


def test_different_lengths_are_not_a_curfew() -> None:
    assert _names(_nights(1, 2, 4, 8, 16), _FIRST + 4.9 * _DAY) == []


def test_a_missing_night_is_tolerated_and_counted() -> None:
    (pattern,) = _look(_nights(8, 8, None, 8, 8), _FIRST + 4.9 * _DAY)
    assert dict(pattern.measures)["days_of_last_5"] == 4


def test_tonight_counts_as_missing_only_when_half_of_it_has_passed() -> None:
    (early,) = _look(_nights(8, 8, 8, 8, 8), _FIRST + 5.4 * _DAY)
    (late,) = _look(_nights(8, 8, 8, 8, 8), _FIRST + 5.6 * _DAY)
    assert [dict(one.measures)["days_of_last_5"] for one in (early, late)] == [5, 4]


def test_it_lapses_when_nights_pass_without_loss() -> None:
    assert _names(_nights(*[8] * 10), _FIRST + 13 * _DAY) == []


def test_starts_spread_over_an_hour_are_not_a_pattern() -> None:
    offsets = (0, 40, -30, 25, -45)
    episodes = [
        _episode(_FIRST + night * _DAY + timedelta(minutes=off), 8)
        for night, off in enumerate(offsets)
    ]
    assert _names(episodes, _FIRST + 4.9 * _DAY) == []


def test_one_late_start_among_five_is_left_out() -> None:
    episodes = [_episode(_FIRST + night * _DAY, 8) for night in (0, 1, 2, 4)]
    episodes.append(_episode(_FIRST + 3 * _DAY + 0.7 * _HOUR, 7))
    (pattern,) = _look(episodes, _FIRST + 4.9 * _DAY)
    assert dict(pattern.measures)["start_deviation_minutes"] < 15


def test_short_losses_by_day_do_not_hide_the_nights() -> None:
    noise = [_episode(_FIRST + (day + 0.3 + 0.07 * day) * _DAY, 0.5) for day in range(5)]
    assert PatternName.DAILY in _names([*_nights(8, 8, 8, 8, 8), *noise], _FIRST + 4.9 * _DAY)


def test_nothing_after_now_is_used() -> None:
    assert _names(_nights(8, 8, 8, 8), _FIRST + 1.9 * _DAY) == []


def test_a_night_around_midnight_is_one_night() -> None:
    midnight = datetime(2021, 2, 14, 0, 0, tzinfo=ZoneInfo("Asia/Yangon")).astimezone(UTC)
    episodes = [
        _episode(midnight + day * _DAY + timedelta(minutes=off), 6)
        for day, off in enumerate((-5, 5, -5, 5))
    ]
    (pattern,) = _look(episodes, midnight + 3.9 * _DAY)
    assert dict(pattern.measures)["days"] == 4
    assert dict(pattern.measures)["start_deviation_minutes"] == pytest.approx(5, abs=0.1)


def test_a_forecast_follows_local_clocks() -> None:
    before = datetime(2021, 3, 27, 12, 0, tzinfo=UTC)  # Clocks in Beirut go on that night.
    assert next_at(120, before - _DAY, "Asia/Beirut").hour == 0
    assert next_at(120, before, "Asia/Beirut") == datetime(2021, 3, 27, 23, 0, tzinfo=UTC)


def test_a_circle_of_starts_has_no_seam() -> None:
    assert circular_deviation([1435, 5]) == circular_deviation([715, 725])
    assert circular_deviation([720]) == timedelta(0)
    assert circular_deviation([0, 720]) >= timedelta(hours=12)


def test_working_mornings() -> None:
    monday = datetime(2021, 8, 2, 4, 0, tzinfo=ZoneInfo("Asia/Damascus")).astimezone(UTC)
    episodes = [_episode(monday + day * _DAY, 4.5) for day in range(3)]
    (pattern,) = _look(episodes, monday + 2.9 * _DAY, "Asia/Damascus")
    assert pattern.name is PatternName.MORNINGS
    assert "exam" not in pattern_text(pattern, _ZONE)
    assert pattern.forecast is None


@pytest.mark.parametrize(
    ("first", "minutes", "hours"),
    [(2, 17, 4.5), (2, 0, 9.0), (2, -240, 4.5)],
    ids=["odd minute", "too long", "midnight"],
)
def test_other_daily_losses_are_not_working_mornings(
    first: int, minutes: int, hours: float
) -> None:
    monday = datetime(2021, 8, first, 4, 0, tzinfo=ZoneInfo("Asia/Damascus")).astimezone(UTC)
    start = monday + timedelta(minutes=minutes)
    episodes = [_episode(start + day * _DAY, hours) for day in range(3)]
    assert _names(episodes, start + 2.9 * _DAY, "Asia/Damascus") == [PatternName.DAILY]


def test_flapping_needs_three_reversals_in_six_hours() -> None:
    twice = [_episode(_FIRST, 1), _episode(_FIRST + 2 * _HOUR, 1)]
    assert PatternName.FLAPPING in _names(twice, _FIRST + 4 * _HOUR)
    assert _names(twice, _FIRST + 2.5 * _HOUR) == []
    assert _names(twice, _FIRST + 8 * _HOUR) == []


def test_networks_lost_one_after_another_are_a_stepwise_pattern() -> None:
    losses = [(_FIRST + hour * _HOUR, 1.0) for hour in range(7)]
    pattern = progressive_pattern(losses, _FIRST + 7 * _HOUR, networks=11)
    assert pattern is not None
    assert (
        pattern_text(pattern, _ZONE)
        == "stepwise disconnection, 7 of 11 networks since 01:00 local (18:30 UTC)"
    )
    evidence = dict(pattern.measures)
    assert evidence["steps_hours"] == 7
    assert evidence["t10_to_t90_hours"] == 6
    at_once = [(_FIRST, 1.0)] * 7
    assert progressive_pattern(at_once, _FIRST + _HOUR, networks=11) is None
    assert progressive_pattern(losses[:2], _FIRST + 7 * _HOUR, networks=11) is None


def test_long_after_the_last_step_the_hours_are_omitted() -> None:
    losses = [(_FIRST + hour * _HOUR, 1.0) for hour in range(7)]
    pattern = progressive_pattern(losses, _FIRST + 2 * _DAY, networks=11)
    assert pattern is not None
    assert "steps_hours" not in dict(pattern.measures)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((0.04, 0.38), 0.38), ((0.04, 0.1), None), ((0.3, 0.42), None), ((0.04, 0.95), None)],
    ids=["partial", "small rise", "too little", "all back"],
)
def test_partial_restoration(levels: tuple[float, ...], expected: float | None) -> None:
    segments = [
        Segment(_FIRST + index * _DAY, _FIRST + (index + 1) * _DAY, level, level, level, 288)
        for index, level in enumerate(levels)
    ]
    pattern = partial_pattern(segments)
    assert (dict(pattern.measures)["level"] if pattern else None) == expected


def test_a_recurring_pattern_comes_first() -> None:
    both = [
        Pattern(name, _FIRST, ())
        for name in (PatternName.FLAPPING, PatternName.DAILY, PatternName.PARTIAL)
    ]
    assert lead_pattern(both) is both[1]
    assert lead_pattern([]) is None


_OF_A_CAUSE = ("shutdown", "order", "exam", "curfew", "deliberate", "censor", "government")


def test_no_published_text_names_a_cause() -> None:
    episodes = _nights(8, 8, 8, 8)
    texts = [pattern_text(pattern, _ZONE) for pattern in _look(episodes, _FIRST + 3.9 * _DAY)]
    losses = [(_FIRST + hour * _HOUR, 1.0) for hour in range(7)]
    stepwise = progressive_pattern(losses, _FIRST + 7 * _HOUR, networks=11)
    assert stepwise is not None
    for words in (*texts, pattern_text(stepwise, _ZONE)):
        assert not any(cause in words for cause in _OF_A_CAUSE)


def test_labelled_outages_that_recur_are_those_labelled_directed() -> None:
    """Scope by scope of the curated set, without hindsight: 82 calls, all of them directed."""
    called = {True: 0, False: 0}
    scopes: dict[str, list[Episode]] = {}
    for outage in read_outages():
        end = outage.ended_at or outage.started_at + _HOUR
        past = scopes.setdefault(outage.scope, [])
        past.append(_episode(outage.started_at, (end - outage.started_at) / _HOUR))
        names = _names(past[-16:], end, outage.zone)
        if PatternName.DAILY in names or PatternName.MORNINGS in names:
            called[outage.directed] += 1
    assert called[True] >= 75
    assert called[False] <= 2


def _iran_time(day: int, hour: int) -> datetime:
    return datetime(2019, 11, day, hour, 30, tzinfo=UTC)


def _iran_losses() -> list[tuple[datetime, float]]:
    return [(_iran_time(*moment), weight) for moment, weights in _FALLS for weight in weights]


def test_iran_is_not_progressive_while_all_fell_within_two_hours() -> None:
    assert progressive_hours(_iran_losses(), _iran_time(16, 19)) is None


def test_iran_is_progressive_for_twelve_hours() -> None:
    assert progressive_hours(_iran_losses(), _iran_time(17, 5)) == 12


def test_iran_is_not_progressive_once_nothing_new_is_lost() -> None:
    assert progressive_hours(_iran_losses(), _iran_time(17, 12)) is None


def test_later_losses_are_ignored() -> None:
    start = _iran_time(16, 12)
    losses = [(start + timedelta(hours=hour), 1.0) for hour in range(12)]
    assert progressive_hours(losses, start + timedelta(hours=5)) == 5
    assert progressive_hours(losses, start + timedelta(hours=2)) is None


def test_needs_three_networks_and_three_hours_and_a_recent_loss() -> None:
    start = _iran_time(16, 12)
    losses = [(start, 1.0), (start + timedelta(hours=3), 1.0)]
    end = start + timedelta(hours=4)
    assert progressive_hours(losses, end) is None, "two networks"
    losses.append((start + timedelta(hours=1), 1.0))
    assert progressive_hours(losses, end) == 4
    assert progressive_hours(losses, start + timedelta(hours=6)) == 6, "exactly 3 h ago"
    assert progressive_hours(losses, start + timedelta(hours=6, seconds=1)) is None
    losses[1] = (start + timedelta(hours=2, minutes=59), 1.0)
    assert progressive_hours(losses, end) is None, "less than 3 h apart"


def test_a_light_forerunner_does_not_start_the_count() -> None:
    start = _iran_time(16, 12)
    losses = [(start, 0.5), *((start + timedelta(hours=hour), 10.0) for hour in (10, 12, 14))]
    assert progressive_hours(losses, start + timedelta(hours=15)) == 5


def test_networks_without_weight_do_not_count() -> None:
    start = _iran_time(16, 12)
    losses = [(start + timedelta(hours=2 * hour), 0.0) for hour in range(3)]
    assert progressive_hours(losses, start + timedelta(hours=5)) is None
    assert progressive_hours([], start) is None
