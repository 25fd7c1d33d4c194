"""Bago's curfew as one incident: nights in a log, each forecast, a missed one its end."""

from datetime import UTC, datetime, timedelta

import pytest
from past_events import ReplayResult, replay_bago

from netwatch.model.incident import Incident, IncidentState, RevisionReason

_FIRST = datetime(2021, 2, 14, 18, 30, tzinfo=UTC)
_LAST = datetime(2021, 4, 26, 18, 30, tzinfo=UTC)
_DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def result() -> ReplayResult:
    return replay_bago()


@pytest.fixture(scope="module")
def series(result: ReplayResult) -> Incident:
    return result.newest()[-1]


def test_the_nights_are_one_incident_from_the_fifth_on(
    result: ReplayResult, series: Incident
) -> None:
    assert len(result.newest()) <= 4
    begun = [one for one in result.revisions if one.reason is RevisionReason.RECURRING]
    assert [one.id for one in begun] == [series.id]
    assert begun[0].at <= _FIRST + 5 * _DAY


def test_the_log_holds_the_nights(series: Incident) -> None:
    nights = series.details.occurrences
    near = {
        round((night.started_at - _FIRST) / _DAY)
        for night in nights
        if abs((night.started_at - _FIRST + _DAY / 2) % _DAY - _DAY / 2) <= timedelta(minutes=45)
    }
    assert len(near) >= 65
    assert all(night.lowest < 0.5 for night in nights)


def test_no_night_is_reported_separately(result: ReplayResult, series: Incident) -> None:
    own = [one for one in result.revisions if one.id == series.id]
    first = next(number for number, one in enumerate(own) if one.reason is RevisionReason.RECURRING)
    assert {one.reason for one in own[first + 1 :]} == {
        RevisionReason.RECURRED,
        RevisionReason.RECURRENCE_ENDED,
    }


def test_tonight_is_forecast_while_the_day_is_ordinary(
    result: ReplayResult, series: Incident
) -> None:
    days = [one for one in result.revisions if one.id == series.id and one.ended_at is not None]
    right = 0
    for one in days[:-1]:
        forecast = one.details.forecast
        assert forecast is not None
        offset = (forecast.start - _FIRST + _DAY / 2) % _DAY - _DAY / 2
        right += abs(offset) <= timedelta(minutes=30)
    assert right >= len(days) - 3


def test_the_missed_night_ends_it(series: Incident) -> None:
    assert series.reason is RevisionReason.RECURRENCE_ENDED
    assert series.state is IncidentState.RESOLVED
    assert series.details.forecast is None
    assert _LAST + _DAY < series.at <= _LAST + 2 * _DAY
    assert series.ended_at is not None
    assert abs(series.ended_at - (_LAST + timedelta(hours=8))) <= timedelta(hours=1)


def test_its_timing_evidence_grows_each_night_without_a_cause(
    result: ReplayResult, series: Incident
) -> None:
    likely = [one.details.likelihood for one in result.revisions if one.id == series.id]
    ratios = [one.log_ratio for one in likely if one is not None]
    assert ratios[0] < 0 < ratios[-1]
