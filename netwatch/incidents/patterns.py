"""Patterns in the losses of an entity, as codes and numbers; none states a cause.

Rules after the labelled outages of Bischof et al., "Destination Unreachable" (SIGCOMM 2023):
directed shutdowns recur at the same minute of the day and have round starts and lengths.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from netwatch.incidents.recurrence import PatternContext, Recurrence, find_recurrence, next_at
from netwatch.model.incident import Episode
from netwatch.model.incident_details import Forecast, Pattern, PatternName, Segment
from netwatch.model.thresholds import RESTORED

_MIN_RISE, _MIN_PARTIAL_LEVEL = 0.15, 0.30
"""Levels: a partial restoration is 15 points above the lowest and above 30 %."""

_DAYS_TO_FORECAST = 4
"""Days of a daily pattern before the next loss is forecast."""
_MORNING = (3 * 60 + 30, 10 * 60)
"""Local minutes between which shutdowns around exams start."""
_MORNING_LENGTH = (timedelta(hours=1.5), timedelta(hours=5.7))
"""5 % to 95 % of the labelled shutdowns around exams last 1.55 to 5.73 h."""
_WEEKENDS = ({5, 6}, {4, 5}, {4})
"""Weekends, Monday = 0: Saturday and Sunday, Friday and Saturday, Friday alone."""
_FLAPPING_SPAN = timedelta(hours=6)
_FLAPPING_REVERSALS = 3
"""Reversals within the span: a loss and its end are two."""
_PROGRESSIVE_SPREAD = timedelta(hours=3)
"""Time between the first and the last losses of a progressive disconnection."""
_PROGRESSIVE_RECENT = timedelta(hours=3)
"""Age of the newest loss up to which a disconnection is called progressive."""
_PROGRESSIVE_NETWORKS = 3
"""Networks that a progressive disconnection takes: two may fail independently."""


def find_patterns(episodes: Iterable[Episode], context: PatternContext) -> tuple[Pattern, ...]:
    """Return the patterns in one entity's losses, as known at `context.now`.

    Daily: on 3 of the last 5 days, starts within 15 minutes (circular standard deviation),
    at least half of the lengths within 15 % of one of them, so that a changed end hour
    does not end it. Mornings: the same starts on working days only, between 03:30 and 10:00
    on the hour or half hour, 1.5 to 5.7 hours long. Flapping: 3 reversals in 6 hours.
    """
    known = sorted(
        (_as_known_at(one, context.now) for one in episodes if one.started_at <= context.now),
        key=lambda one: one.started_at,
    )
    patterns = (_recurring(known, context), _flapping(known, context))
    return tuple(pattern for pattern in patterns if pattern is not None)


def lead_pattern(patterns: Iterable[Pattern]) -> Pattern | None:
    """Return the pattern that comes first in `PatternName`."""
    order = list(PatternName)
    return min(patterns, key=lambda pattern: order.index(pattern.name), default=None)


def progressive_hours(losses: Sequence[tuple[datetime, float]], at: datetime) -> int | None:
    """Return N of "after N hours of progressive disconnections" at `at`, None if not progressive.

    Args:
        losses: for each network that is lost at `at`, the onset of its present unbroken
            loss below 50 % of ordinary, and its weight; in any order.
        at: the time of the statement; later onsets are ignored.

    Let t10 be the time by which 10 % of the weight lost so far had been lost, and t_last the
    newest onset. The losses are progressive if t_last - t10 is 3 hours or more, 3 networks or
    more are lost, and t_last is at most 3 hours ago. N is whole hours from t10 to `at`.
    """
    known = _known_losses(losses, at)
    if len(known) < _PROGRESSIVE_NETWORKS:
        return None
    first, newest = _time_of_share(known, 0.1), known[-1][0]
    if newest - first < _PROGRESSIVE_SPREAD or at - newest > _PROGRESSIVE_RECENT:
        return None
    return (at - first) // timedelta(hours=1)


def progressive_pattern(
    losses: Sequence[tuple[datetime, float]], at: datetime, *, networks: int
) -> Pattern | None:
    """Return the pattern of networks lost one after another, None without it.

    Args:
        losses: (onset, weight) of every network lost at `at`, as for `progressive_hours`.
        at: the time of the statement; later onsets are ignored.
        networks: how many networks are measured.

    t10 and t90 are the times by which 10 % and 90 % of the weight lost so far was lost: three
    or more networks, three hours or more apart. `steps_hours` is present only if
    `progressive_hours` has a value.
    """
    known = _known_losses(losses, at)
    if len(known) < _PROGRESSIVE_NETWORKS:
        return None
    first, most = _time_of_share(known, 0.1), _time_of_share(known, 0.9)
    hours = progressive_hours(known, at)
    if hours is None and most - first < _PROGRESSIVE_SPREAD:
        return None
    measures = [
        ("networks", float(len(known))),
        ("networks_measured", float(networks)),
        ("t10_unix", first.timestamp()),
        ("t90_unix", most.timestamp()),
        ("t10_to_t90_hours", (most - first) / timedelta(hours=1)),
    ]
    if hours is not None:
        measures.append(("steps_hours", float(hours)))
    return Pattern(PatternName.PROGRESSIVE, first, tuple(measures))


def partial_pattern(segments: Sequence[Segment]) -> Pattern | None:
    """Return the newest partial restoration in an incident's segments, None without one."""
    newest, lowest = None, 1.0
    for segment in segments:
        if is_partial(segment.level, lowest) and segment.level < RESTORED:
            newest = (segment, lowest)
        lowest = min(lowest, segment.level)
    if newest is None:
        return None
    segment, before = newest
    measures = (
        ("level", segment.level),
        ("level_low", segment.low),
        ("level_high", segment.high),
        ("lowest_before", before),
        ("hours", (segment.end - segment.start) / timedelta(hours=1)),
    )
    return Pattern(PatternName.PARTIAL, segment.start, measures)


def is_partial(level: float, lowest: float) -> bool:
    """Return whether a level is far enough above the lowest one to be a partial restoration."""
    return level >= lowest + _MIN_RISE and level > _MIN_PARTIAL_LEVEL


def _known_losses(
    losses: Sequence[tuple[datetime, float]], at: datetime
) -> list[tuple[datetime, float]]:
    return sorted((onset, weight) for onset, weight in losses if onset <= at and weight > 0)


def _time_of_share(losses: Sequence[tuple[datetime, float]], share: float) -> datetime:
    """Return the onset at which `share` of the weight of sorted `losses` is reached."""
    wanted = share * sum(weight for _, weight in losses)
    lost = 0.0
    for onset, weight in losses:
        lost += weight
        # Rounding: the sum above adds the weights in another order.
        if lost >= wanted * (1 - 1e-12):
            return onset
    return losses[-1][0]


def _as_known_at(episode: Episode, now: datetime) -> Episode:
    if episode.ended_at is None or episode.ended_at <= now:
        return episode
    return replace(episode, ended_at=None)


def _recurring(episodes: Sequence[Episode], context: PatternContext) -> Pattern | None:
    recurrence = find_recurrence(episodes, context)
    if recurrence is None:
        return None
    mornings = _is_mornings(recurrence, context)
    if not mornings and not recurrence.regular:
        return None
    start = next_at(recurrence.minute, context.now, context.timezone)
    end = start + recurrence.length
    return Pattern(
        PatternName.MORNINGS if mornings else PatternName.DAILY,
        recurrence.since,
        (
            ("days_of_last_5", float(len(recurrence.starts))),
            ("days", float(recurrence.days)),
            ("start_local_minute", recurrence.minute),
            ("start_deviation_minutes", recurrence.start_deviation / timedelta(minutes=1)),
            ("length_hours", recurrence.length / timedelta(hours=1)),
        ),
        start,
        end,
        None if mornings else _forecast(recurrence, start, end, context.width),
    )


def _forecast(
    recurrence: Recurrence, start: datetime, end: datetime, width: timedelta
) -> Forecast | None:
    if recurrence.days < _DAYS_TO_FORECAST:
        return None
    slack = max(2 * recurrence.start_deviation, width)
    return Forecast(start, end, start - slack, start + max(recurrence.lengths) + slack)


def _is_mornings(recurrence: Recurrence, context: PatternContext) -> bool:
    """Return whether all losses start on working mornings at a round time and are short."""
    low, high = _MORNING_LENGTH
    zone = ZoneInfo(context.timezone)
    weekdays = {start.astimezone(zone).weekday() for start in recurrence.starts}
    off_half_hour = abs((recurrence.minute + 15) % 30 - 15)
    resolution = max(5.0, context.width / timedelta(minutes=2))
    return (
        _MORNING[0] <= recurrence.minute <= _MORNING[1]
        and all(low <= length <= high for length in recurrence.lengths)
        and any(weekdays.isdisjoint(weekend) for weekend in _WEEKENDS)
        and off_half_hour <= resolution
    )


def _flapping(episodes: Sequence[Episode], context: PatternContext) -> Pattern | None:
    """Return flapping if the newest turns are three reversals or more in six hours."""
    since = context.now - _FLAPPING_SPAN
    turns = sorted(
        turn
        for episode in episodes
        for turn in (episode.started_at, episode.ended_at)
        if turn is not None and since <= turn <= context.now
    )
    # The first onset after a quiet time is not a reversal; every later turn is one.
    quiet = not any(
        episode.started_at < since and (episode.ended_at is None or episode.ended_at >= since)
        for episode in episodes
    )
    reversals = len(turns) - quiet
    if not turns or reversals < _FLAPPING_REVERSALS:
        return None
    measures = (("reversals", float(reversals)), ("hours", _FLAPPING_SPAN / timedelta(hours=1)))
    return Pattern(PatternName.FLAPPING, turns[0], measures)
