"""Series of daily losses: when a forecast loss counts as missed."""

from datetime import UTC, datetime, timedelta

from netwatch.incidents.daily_occurrences import has_occurred, is_forecast_missed
from netwatch.incidents.open_incident import OpenIncident
from netwatch.model.entities import Entity
from netwatch.model.incident import Episode, IncidentState
from netwatch.model.incident_details import Forecast
from netwatch.model.series import Level, SeriesKey

ENTITY = Entity.parse("region:MM-02")
HOUR, WIDTH = timedelta(hours=1), timedelta(minutes=5)
START = datetime(2021, 2, 14, 18, 30, tzinfo=UTC)
FORECAST = Forecast(START, START + 8 * HOUR, START - WIDTH, START + 9 * HOUR)
LEVEL = Level(START, SeriesKey("probing", ENTITY), 1.0)
INCIDENT = OpenIncident(
    id="NW-MM-2021-0001",
    entity=ENTITY,
    started_at=START,
    started_low=START,
    started_high=START,
    provisional_at=START,
    confirmed_at=START,
    trough=LEVEL,
    published=LEVEL,
    signal="probing",
    state=IncidentState.RESOLVED,
    forecast=FORECAST,
)


def episode(start: datetime, hours: float | None) -> Episode:
    end = None if hours is None else start + hours * HOUR
    return Episode(ENTITY, start, start - WIDTH, start, end, 0.0)


def test_a_forecast_is_missed_only_with_data_and_some_hours_after_its_start() -> None:
    later = START + 5 * HOUR
    assert is_forecast_missed(INCIDENT, [], later, measured=True)
    assert not is_forecast_missed(INCIDENT, [], later, measured=False)
    assert not is_forecast_missed(INCIDENT, [], later - WIDTH, measured=True)
    assert not is_forecast_missed(INCIDENT, [episode(START, None)], later, measured=True)


def test_a_series_without_data_ends_two_days_after_its_window() -> None:
    end = FORECAST.latest_end + 48 * HOUR
    assert not is_forecast_missed(INCIDENT, [], end, measured=False)
    assert is_forecast_missed(INCIDENT, [], end + WIDTH, measured=False)


def test_a_loss_of_the_day_before_is_not_the_one_that_was_forecast() -> None:
    assert has_occurred(FORECAST, [episode(START, 1)])
    assert not has_occurred(FORECAST, [episode(START - 24 * HOUR, 8)])
