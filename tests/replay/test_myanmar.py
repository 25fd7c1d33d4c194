"""Bago, Myanmar, 2021: 72 nightly losses in the replies of 84 addresses, about seven an hour.

Only replies are listed: an address that does not answer is an absent row, and each answers
about every 12 hours. A bin is therefore the number of replies in half an hour (3.4 in
ordinary times), and a bin without a reply within the span of the file is a measured zero.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from past_events import replay_bago

from netwatch.incidents.daily_occurrences import has_occurred
from netwatch.incidents.episode_history import EpisodeHistory
from netwatch.incidents.patterns import (
    find_patterns,
)
from netwatch.incidents.recurrence import PatternContext
from netwatch.model.entities import Entity
from netwatch.model.incident import Episode
from netwatch.model.incident_details import Forecast, Pattern, PatternName
from netwatch.model.series import Level, SeriesKey
from netwatch.publish.summary import pattern_text

_ENTITY, _ZONE = "region:MM-02", "Asia/Yangon"
_WIDTH = timedelta(minutes=30)
_DAY = timedelta(days=1)
_FIRST = datetime(2021, 2, 14, 18, 30, tzinfo=UTC)
_NIGHTS = 72
_SHORT = {
    *(datetime(2021, 3, day, tzinfo=UTC).date() for day in (9, 10, *range(15, 19))),
    *(datetime(2021, 3, day, tzinfo=UTC).date() for day in (*range(22, 26), 30, 31)),
    *(datetime(2021, 4, day, tzinfo=UTC).date() for day in (7, 8)),
}
"""Local mornings on which it ended at 06:00, not 09:00."""


@dataclass
class Record:
    """What a live system would have known, by the end of each bin."""

    episodes: dict[datetime, Episode] = field(default_factory=dict)
    opened: dict[datetime, datetime] = field(default_factory=dict)
    logs: dict[datetime, EpisodeHistory] = field(default_factory=dict)

    def daily(self, time: datetime) -> Pattern | None:
        patterns = find_patterns(self.logs[time].episodes, PatternContext(time, _ZONE, _WIDTH))
        return next((one for one in patterns if one.name is PatternName.DAILY), None)

    def forecast(self, night: int) -> Forecast | None:
        """What was forecast for a night by half an hour before it."""
        pattern = self.daily(_FIRST + night * _DAY - _WIDTH)
        return pattern.forecast if pattern else None


@pytest.fixture(scope="module")
def levels() -> list[Level]:
    return replay_bago().levels[SeriesKey("probing", Entity.parse(_ENTITY))]


@pytest.fixture(scope="module")
def record(levels: list[Level]) -> Record:
    record, log = Record(), EpisodeHistory()
    for level in levels:
        log = log.observe(level, _WIDTH)
        end = level.time + _WIDTH
        for one in log.episodes:
            record.opened.setdefault(one.started_at, end)
            record.episodes[one.started_at] = one
        record.logs[end] = log
    return record


def _nights(record: Record) -> dict[int, Episode]:
    """Return the episodes that began within 30 minutes of a night's start, by night."""
    nights = {}
    for start, episode in record.episodes.items():
        night = round((start - _FIRST) / _DAY)
        if abs(start - _FIRST - night * _DAY) <= timedelta(minutes=30) and 0 <= night < _NIGHTS:
            nights[night] = episode
    return nights


def test_seventy_of_72_nights_begin_within_half_an_hour(record: Record) -> None:
    assert len(_nights(record)) >= 70


def test_nothing_else_is_detected(record: Record) -> None:
    nights = range(_NIGHTS)
    others = [
        start
        for start in record.episodes
        if not any(abs(start - _FIRST - night * _DAY) <= timedelta(hours=2) for night in nights)
    ]
    assert others == []


def test_nights_end_on_time(record: Record) -> None:
    """09:00 local or, on the days listed, 06:00; to one hour, with seven replies an hour."""
    right = 0
    for night, episode in _nights(record).items():
        morning = _FIRST + night * _DAY + timedelta(hours=6.5)
        length = timedelta(hours=5 if morning.date() in _SHORT else 8)
        assert episode.ended_at is not None
        right += abs(episode.ended_at - (_FIRST + night * _DAY + length)) <= timedelta(hours=1)
    assert right >= 68


def test_it_is_detected_during_the_night(record: Record) -> None:
    late = [record.opened[one.started_at] - one.started_at for one in _nights(record).values()]
    assert max(late) <= timedelta(hours=5)


def test_it_is_described_as_nightly_by_the_fourth_night(record: Record) -> None:
    second, fourth = _FIRST + 1 * _DAY, _FIRST + 3 * _DAY
    assert record.daily(second) is None
    pattern = record.daily(fourth)
    assert pattern is not None
    assert pattern_text(pattern, _ZONE) == (
        "recurs nightly: 3 of the last 5 nights, about 01:00 to 09:00 local (18:30 to 02:30 UTC)"
    )


def test_every_night_from_the_fifth_on_is_forecast(record: Record) -> None:
    assert record.forecast(3) is None
    right = 0
    for night in range(4, _NIGHTS):
        forecast = record.forecast(night)
        assert forecast is not None, f"night {night + 1}"
        due = _FIRST + night * _DAY
        assert abs(forecast.start - due) <= timedelta(minutes=30)
        assert forecast.latest_end - forecast.earliest_start <= timedelta(hours=11)
        right += forecast.covers(due)
    assert right == _NIGHTS - 4


def test_the_end_is_detected_on_the_first_night_without_loss(record: Record) -> None:
    last, first_free = _FIRST + (_NIGHTS - 1) * _DAY, _FIRST + _NIGHTS * _DAY
    for start, missed in ((last, False), (first_free, True)):
        forecast = record.forecast(round((start - _FIRST) / _DAY))
        assert forecast is not None
        # By then the detector, which needs hours at seven replies an hour, has detected a loss.
        now = start + timedelta(hours=5)
        episodes = record.logs[now].episodes
        assert has_occurred(forecast, episodes) is not missed


def test_the_pattern_lapses_within_four_days_of_its_end(record: Record) -> None:
    assert record.daily(_FIRST + (_NIGHTS + 4) * _DAY) is None
    assert record.daily(max(record.logs)) is None


def test_weeks_of_nights_never_become_ordinary(levels: list[Level]) -> None:
    """Days between the nights stay at ordinary levels, in the mean, to the end and after it."""
    for week in range(14):
        days = [
            level.value
            for level in levels
            if level.value is not None
            and _FIRST + week * 7 * _DAY <= level.time < _FIRST + (week + 1) * 7 * _DAY
            and 4 <= level.time.hour < 18
        ]
        if days:
            assert 0.75 <= sum(days) / len(days) <= 1.35
