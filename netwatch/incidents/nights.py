"""Daily losses as one incident: a log of nights, the next one forecast, a missed one told."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from netwatch.incidents.episodes import EpisodeHistory
from netwatch.incidents.open_incident import OpenIncident
from netwatch.incidents.patterns import PatternContext, find_patterns, is_missed
from netwatch.model.incident import Episode, IncidentState, RevisionReason
from netwatch.model.incident_details import DailyOccurrence, Forecast, PatternName

MOST_NIGHTS = 400
_DAY = timedelta(days=1)
_NEAR = timedelta(minutes=45)
_GONE = timedelta(days=2)
"""Without data for so long, a series is not followed any further."""
_SPOKEN = timedelta(hours=5)
"""A detector of few counts needs hours: who speaks of a missed night before may be wrong."""


def rest(case: OpenIncident, log: EpisodeHistory, window: PatternContext) -> None:
    """Bring the forecast and the log of a case that has just ended up to date."""
    patterns = find_patterns(log.episodes, window)
    daily = [one for one in patterns if one.name is PatternName.DAILY]
    case.expected = daily[0].forecast if daily else None
    if case.expected is not None:
        _log_nights(case, case.expected, log.episodes)


def night_reason(case: OpenIncident, reason: RevisionReason) -> RevisionReason:
    """Return why a revision of a series is written: its nights come and go without a post each."""
    return RevisionReason.RECURRED if case.series else reason


def follows(case: OpenIncident, onset: datetime) -> bool:
    """Return whether a loss that began at `onset` is the one that a series expected."""
    return case.expected is not None and case.expected.covers(onset)


def is_missing(case: OpenIncident, log: EpisodeHistory, now: datetime, *, measured: bool) -> bool:
    """Return whether the night that was forecast did not come, or can no longer be awaited.

    Args:
        case: a case at rest.
        log: the losses of its scope.
        now: the present.
        measured: whether the newest bin has data.
    """
    due = case.expected
    if due is None or case.state is not IncidentState.RESOLVED or now < due.start + _SPOKEN:
        return False
    return now - due.latest_end > _GONE or is_missed(
        due, log.episodes, now, measured=1.0 if measured else 0.0
    )


def _log_nights(case: OpenIncident, due: Forecast, episodes: Iterable[Episode]) -> None:
    """Add to the log the losses that began when the series does."""
    known = {night.started_at: night for night in case.nights}
    for one in episodes:
        away = (one.started_at - due.start + _DAY / 2) % _DAY - _DAY / 2
        if abs(away) <= _NEAR:
            known[one.started_at] = DailyOccurrence(one.started_at, one.ended_at, one.lowest)
    case.nights = sorted(known.values(), key=lambda night: night.started_at)[-MOST_NIGHTS:]
