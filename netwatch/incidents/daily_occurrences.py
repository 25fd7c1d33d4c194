"""Daily losses as one incident: logs each occurrence, forecasts the next, notes a missed one."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from netwatch.incidents.open_incident import OpenIncident
from netwatch.incidents.patterns import find_patterns
from netwatch.incidents.recurrence import MAX_START_OFFSET, PatternContext
from netwatch.model.incident import Episode, IncidentState
from netwatch.model.incident_details import DailyOccurrence, Forecast, PatternName

MAX_OCCURRENCES = 400
"""Occurrences in the log of one incident: a little over a year."""
_DAY = timedelta(days=1)
_MAX_SILENCE = timedelta(days=2)
"""A series without data for so long after its window is no longer followed."""
_DETECTION_DELAY = timedelta(hours=5)
"""A detector of few counts needs hours to see a loss; an earlier miss may be wrong."""


def on_resolved(
    incident: OpenIncident, episodes: Iterable[Episode], context: PatternContext
) -> None:
    """Update the forecast and the log of an incident that has just been resolved."""
    episodes = tuple(episodes)
    daily = [one for one in find_patterns(episodes, context) if one.name is PatternName.DAILY]
    incident.forecast = daily[0].forecast if daily else None
    if incident.forecast is not None:
        _log_occurrences(incident, incident.forecast, episodes)


def matches_forecast(incident: OpenIncident, onset: datetime) -> bool:
    """Return whether a loss that began at `onset` is the forecast one."""
    return incident.forecast is not None and incident.forecast.covers(onset)


def is_forecast_missed(
    incident: OpenIncident, episodes: Iterable[Episode], now: datetime, *, measured: bool
) -> bool:
    """Return whether the forecast loss of a resolved incident did not occur, as known at `now`.

    Unless the newest bin is `measured`, this is unknown; after two days without, it is missed.
    """
    forecast = incident.forecast
    if forecast is None or incident.state is not IncidentState.RESOLVED:
        return False
    if now < forecast.start + _DETECTION_DELAY:
        return False
    if now - forecast.latest_end > _MAX_SILENCE:
        return True
    return measured and not has_occurred(forecast, episodes)


def has_occurred(forecast: Forecast, episodes: Iterable[Episode]) -> bool:
    """Return whether a loss overlaps the window of a forecast."""
    return any(
        one.started_at < forecast.latest_end
        and (one.ended_at is None or one.ended_at > forecast.earliest_start)
        for one in episodes
    )


def _log_occurrences(
    incident: OpenIncident, forecast: Forecast, episodes: Iterable[Episode]
) -> None:
    logged = {one.started_at: one for one in incident.occurrences}
    for one in episodes:
        offset = (one.started_at - forecast.start + _DAY / 2) % _DAY - _DAY / 2
        if abs(offset) <= MAX_START_OFFSET:
            logged[one.started_at] = DailyOccurrence(one.started_at, one.ended_at, one.lowest)
    occurrences = sorted(logged.values(), key=lambda one: one.started_at)
    incident.occurrences = occurrences[-MAX_OCCURRENCES:]
