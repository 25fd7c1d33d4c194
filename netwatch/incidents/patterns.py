"""Losses that recur or have a shape: what was measured, in numbers, and never a cause.

Rules after the labelled outages of Bischof et al., "Destination Unreachable" (SIGCOMM 2023):
directed shutdowns recur at the same minute of the day and have round starts and lengths.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from netwatch.incidents.progressive import progressive_hours, time_of_share
from netwatch.incidents.recurrence import Recurrence, find_recurrence, next_at
from netwatch.model.incident import Episode
from netwatch.model.incident_details import Forecast, Pattern, PatternName, Segment

_NIGHTS_TO_FORECAST = 4
_MORNING = (3 * 60 + 30, 10 * 60)
_MORNING_LENGTH = (timedelta(hours=1.5), timedelta(hours=5.7))
"""5 % to 95 % of the labelled shutdowns around exams last 1.55 to 5.73 h."""
_REST_DAYS = ({5, 6}, {4, 5}, {4})
"""Weekends of the world, Monday = 0: Saturday and Sunday, Friday and Saturday, Friday alone."""
_FLAPPING_SPAN = timedelta(hours=6)
_FLAPPING_TURNS = 3
_STEPS_SPREAD = timedelta(hours=3)
_STEPS_NETWORKS = 3
_PARTIAL_RISE, _PARTIAL_LEVEL, _BACK = 0.15, 0.30, 0.85
_LEAST_MEASURED = 0.5
_GRACE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PatternContext:
    """From where patterns are looked at.

    Attributes:
        now: the present; nothing later is used.
        zone: IANA name of the entity's time zone.
        width: bin width, the finest that starts and ends can be known.
    """

    now: datetime
    zone: str
    width: timedelta


def find_patterns(episodes: Iterable[Episode], window: PatternContext) -> tuple[Pattern, ...]:
    """Return the patterns in one entity's past losses, as they could be told at `window.now`.

    Daily: on 3 of the last 5 days, starts within 15 minutes (circular standard deviation),
    at least half of the lengths within 15 % of one of them, so that a changed end hour
    does not end it. Mornings: the same starts on working days only, between 03:30 and 10:00
    on the hour or half hour, 1.5 to 5.7 hours long. Flapping: 3 reversals in 6 hours.
    """
    known = sorted(
        (one for one in episodes if one.started_at <= window.now),
        key=lambda one: one.started_at,
    )
    ended = [_as_known_at(one, window.now) for one in known]
    recurring = _recurring(ended, window)
    found = (recurring, _flapping(ended, window))
    return tuple(pattern for pattern in found if pattern is not None)


def lead_pattern(patterns: Iterable[Pattern]) -> Pattern | None:
    """Return the pattern that stands for an incident where there is room for one.

    What recurs by the clock comes first, then the shape of the loss, in the order of
    `PatternName`.
    """
    order = list(PatternName)
    return min(patterns, key=lambda pattern: order.index(pattern.name), default=None)


def is_missed(
    forecast: Forecast, episodes: Iterable[Episode], now: datetime, *, measured: float
) -> bool:
    """Return whether the loss that was forecast did not come.

    Args:
        forecast: made before its window.
        episodes: the entity's losses, as known at `now`.
        now: the present; the expected start must lie an hour or more back.
        measured: share of the bins since `forecast.start` that have data. Below one half
            nothing is known, and nothing is missed.
    """
    if now < forecast.start + _GRACE or measured < _LEAST_MEASURED:
        return False
    return not any(
        one.started_at < forecast.latest_end
        and (one.ended_at is None or one.ended_at > forecast.earliest_start)
        for one in episodes
    )


def progressive_pattern(
    losses: Sequence[tuple[datetime, float]], at: datetime, *, networks: int
) -> Pattern | None:
    """Return the pattern of networks that fell one after another, None where they did not.

    Args:
        losses: (onset, weight) of every network lost at `at`, as for `progressive_hours`.
        at: the time quoted; later onsets are left out.
        networks: how many networks are measured.

    t10 and t90 are the times by which 10 % and 90 % of the weight lost so far was lost: three
    or more networks, three hours or more apart. `steps_hours` is there only where "after N
    hours of progressive disconnections" may be said.
    """
    known = sorted((onset, weight) for onset, weight in losses if onset <= at and weight > 0)
    if len(known) < _STEPS_NETWORKS:
        return None
    first, most = time_of_share(known, 0.1), time_of_share(known, 0.9)
    hours = progressive_hours(known, at)
    if hours is None and most - first < _STEPS_SPREAD:
        return None
    evidence = [
        ("networks", float(len(known))),
        ("networks_measured", float(networks)),
        ("t10_unix", first.timestamp()),
        ("t90_unix", most.timestamp()),
        ("t10_to_t90_hours", (most - first) / timedelta(hours=1)),
    ]
    if hours is not None:
        evidence.append(("steps_hours", float(hours)))
    return Pattern(PatternName.PROGRESSIVE, first, tuple(evidence))


def partial_pattern(segments: Sequence[Segment]) -> Pattern | None:
    """Return the newest partial return within an incident's segments, None without one.

    A segment 15 points or more above the lowest one before it and above 30 %, but not back
    at 85 %.
    """
    found, lowest = None, 1.0
    for segment in segments:
        risen = segment.level >= lowest + _PARTIAL_RISE and segment.level > _PARTIAL_LEVEL
        if risen and segment.level < _BACK:
            found = (segment, lowest)
        lowest = min(lowest, segment.level)
    if found is None:
        return None
    segment, before = found
    return Pattern(
        PatternName.PARTIAL,
        segment.start,
        (
            ("level", segment.level),
            ("level_low", segment.low),
            ("level_high", segment.high),
            ("lowest_before", before),
            ("hours", (segment.end - segment.start) / timedelta(hours=1)),
        ),
    )


def _as_known_at(episode: Episode, now: datetime) -> Episode:
    """Return an episode without an end that lies in the future of `now`."""
    if episode.ended_at is None or episode.ended_at <= now:
        return episode
    return Episode(
        episode.entity,
        episode.started_at,
        episode.started_low,
        episode.started_high,
        None,
        episode.lowest,
    )


def _recurring(episodes: Sequence[Episode], window: PatternContext) -> Pattern | None:
    """Return the daily or the morning pattern, whichever the losses show."""
    found = find_recurrence(episodes, now=window.now, zone=window.zone, width=window.width)
    if found is None:
        return None
    if _is_mornings(found, window):
        return _mornings(found, window)
    return _daily(found, window) if found.regular else None


def _daily(found: Recurrence, window: PatternContext) -> Pattern:
    """Put a daily recurrence into numbers and words, with a forecast from its fifth day on."""
    start = next_at(found.minute, window.now, window.zone)
    end = start + found.length
    forecast = None
    if found.days >= _NIGHTS_TO_FORECAST:
        slack = max(2 * found.start_deviation, window.width)
        longest = max(found.lengths)
        forecast = Forecast(start, end, start - slack, start + longest + slack)
    return Pattern(PatternName.DAILY, found.since, _measures(found), start, end, forecast)


def _is_mornings(found: Recurrence, window: PatternContext) -> bool:
    """Return whether all losses are on working mornings, round in start and short in length."""
    low, high = _MORNING_LENGTH
    weekdays = {start.astimezone(ZoneInfo(window.zone)).weekday() for start in found.starts}
    off = abs((found.minute + 15) % 30 - 15)
    resolution = max(5.0, window.width / timedelta(minutes=2))
    return (
        _MORNING[0] <= found.minute <= _MORNING[1]
        and all(low <= length <= high for length in found.lengths)
        and any(weekdays.isdisjoint(rest) for rest in _REST_DAYS)
        and off <= resolution
    )


def _mornings(found: Recurrence, window: PatternContext) -> Pattern:
    """Put losses on working mornings into numbers and words."""
    start = next_at(found.minute, window.now, window.zone)
    end = start + found.length
    return Pattern(PatternName.MORNINGS, found.since, _measures(found), start, end)


def _measures(found: Recurrence) -> tuple[tuple[str, float], ...]:
    """Return the numbers of a recurrence."""
    return (
        ("days_of_last_5", float(found.recent)),
        ("days", float(found.days)),
        ("start_local_minute", found.minute),
        ("start_deviation_minutes", found.start_deviation / timedelta(minutes=1)),
        ("length_hours", found.length / timedelta(hours=1)),
    )


def _flapping(episodes: Sequence[Episode], window: PatternContext) -> Pattern | None:
    """Return flapping where the newest turns are three reversals or more in six hours."""
    turns = sorted(
        turn
        for episode in episodes
        for turn in (episode.started_at, episode.ended_at)
        if turn is not None and window.now - _FLAPPING_SPAN <= turn <= window.now
    )
    # The first onset after quiet is no reversal; a return, and every later turn, is one.
    quiet = not any(
        episode.started_at < window.now - _FLAPPING_SPAN
        and (episode.ended_at is None or episode.ended_at >= window.now - _FLAPPING_SPAN)
        for episode in episodes
    )
    reversals = len(turns) - quiet
    if not turns or reversals < _FLAPPING_TURNS:
        return None
    return Pattern(
        PatternName.FLAPPING,
        turns[0],
        (("reversals", float(reversals)), ("hours", _FLAPPING_SPAN / timedelta(hours=1))),
    )
