"""Recurrence of losses at one time of day: on how many days, and when the next one is due."""

import cmath
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from netwatch.model.incident import Episode

_DAY = timedelta(days=1)
_MINUTES = 24 * 60
_RECENT_DAYS = 5
"""Days looked back: a working week."""
_MIN_DAYS = 3
"""Days with a loss among those: two are common by chance."""
MAX_START_OFFSET = timedelta(minutes=45)
"""Losses that start further from the usual minute do not belong to the recurrence."""
_MAX_DEVIATION = timedelta(minutes=15)
"""Circular standard deviation of the starts; labelled directed shutdowns stay below it."""
_LENGTH_TOLERANCE = 0.15
"""Relative difference up to which two lengths are similar."""
_MAX_LENGTH = timedelta(hours=20)
"""A longer loss does not fit into a daily rhythm."""


@dataclass(frozen=True, slots=True)
class PatternContext:
    """The time and place at which patterns are evaluated.

    Attributes:
        now: the present; later episodes are ignored.
        timezone: IANA name of the entity's time zone.
        width: bin width, the resolution of starts and ends.
    """

    now: datetime
    timezone: str
    width: timedelta


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Losses on several days at one local time.

    Attributes:
        starts: onsets in the last five days, oldest first, at most one a day.
        lengths: of those losses that have ended, oldest first.
        days: how many of all known days have a loss.
        since: the first known onset.
        minute: usual local start, minutes after midnight, to the nearest 5.
        start_deviation: circular standard deviation of the starts.
        length: usual length, the median of those similar to the newest.
        regular: whether at least half of the lengths are within 15 % of one of them.
    """

    starts: tuple[datetime, ...]
    lengths: tuple[timedelta, ...]
    days: int
    since: datetime
    minute: float
    start_deviation: timedelta
    length: timedelta
    regular: bool


def find_recurrence(episodes: Sequence[Episode], context: PatternContext) -> Recurrence | None:
    """Return the daily recurrence in `episodes` as known at `context.now`, None without one.

    On 3 or more of the last 5 days a loss began near one local minute and has ended, and the
    circular standard deviation of these starts is below 15 minutes (plus the variance of
    rounding to bins of a width, its square over 12). A day counts as one without a loss
    once half a day has passed since the loss was due.
    """
    now, local = context.now, ZoneInfo(context.timezone)
    usable = [one for one in episodes if (one.ended_at or now) - one.started_at <= _MAX_LENGTH]
    recent = [one for one in usable if now - one.started_at < (_RECENT_DAYS + 1) * _DAY]
    minute = _usual_minute(recent, local)
    if minute is None:
        return None
    by_day = _one_per_day(usable, minute, local)
    newest = max(_due_day(now, minute, local) - 1, *by_day)
    limit = math.hypot(_MAX_DEVIATION / _DAY, context.width / _DAY / math.sqrt(12)) * _DAY
    last = [one for day, one in by_day.items() if day > newest - _RECENT_DAYS]
    chosen = _tightest(last, local, limit)
    ended = [one for one in chosen if one.ended_at is not None]
    if len(ended) < _MIN_DAYS:
        return None
    minutes = [local_minute(one.started_at, local) for one in chosen]
    lengths = tuple(one.ended_at - one.started_at for one in ended if one.ended_at)
    most_similar = max((_similar(lengths, one) for one in lengths), key=len)
    return Recurrence(
        starts=tuple(one.started_at for one in chosen),
        lengths=lengths,
        days=len(by_day),
        since=by_day[min(by_day)].started_at,
        minute=round(_circular_median(minutes) / 5) * 5 % _MINUTES,
        start_deviation=circular_deviation(minutes),
        length=timedelta(
            seconds=statistics.median(one.total_seconds() for one in _similar(lengths, lengths[-1]))
        ),
        regular=2 * len(most_similar) >= len(lengths),
    )


def local_minute(time: datetime, zone: ZoneInfo) -> float:
    """Return the minutes after local midnight at `time`."""
    local = time.astimezone(zone)
    return local.hour * 60 + local.minute + local.second / 60


def circular_deviation(minutes: Sequence[float]) -> timedelta:
    """Return the circular standard deviation of minutes of the day, sqrt(-2 ln R); 0 for none.

    Mardia and Jupp, "Directional Statistics" (2000), 2.3; R is the mean resultant length.
    """
    if not minutes:
        return timedelta(0)
    turn = 2 * math.pi / _MINUTES
    mean = abs(sum(cmath.exp(1j * turn * one) for one in minutes)) / len(minutes)
    if mean >= 1:
        return timedelta(0)
    if mean <= 0:
        return _DAY
    return timedelta(minutes=min(math.sqrt(-2 * math.log(mean)) / turn, _MINUTES))


def next_at(minute: float, now: datetime, timezone: str) -> datetime:
    """Return the first time from `now` on that is `minute` after local midnight, in UTC.

    A change to or from daylight saving time moves it in UTC.
    """
    local = ZoneInfo(timezone)
    day = now.astimezone(local).replace(hour=0, minute=0, second=0, microsecond=0)
    for ahead in range(-1, 3):
        wall = day.replace(tzinfo=None) + timedelta(days=ahead, minutes=minute)
        due = wall.replace(tzinfo=local).astimezone(now.tzinfo)
        if due >= now:
            return due
    raise AssertionError("one of three days lies ahead")


def _distance(minute: float, other: float) -> float:
    """Return the signed distance from `other` to `minute` around the clock, -720 to 720."""
    return (minute - other + _MINUTES / 2) % _MINUTES - _MINUTES / 2


def _circular_median(minutes: Sequence[float]) -> float:
    """Return the median of minutes that lie within half a day of each other."""
    first = minutes[0]
    return first + statistics.median(_distance(one, first) for one in minutes)


def _usual_minute(episodes: Sequence[Episode], zone: ZoneInfo) -> float | None:
    """Return the local minute near which most days have a start; of several, the newest."""
    best, most = None, 0
    for one in reversed(episodes):
        minute = local_minute(one.started_at, zone)
        near = _one_per_day(episodes, minute, zone)
        if len(near) > most:
            best, most = minute, len(near)
    return best


def _one_per_day(episodes: Sequence[Episode], minute: float, zone: ZoneInfo) -> dict[int, Episode]:
    """Return for each day the episode that starts nearest to `minute`, within 45 minutes."""
    days: dict[int, tuple[float, Episode]] = {}
    for one in episodes:
        off = abs(_distance(local_minute(one.started_at, zone), minute))
        day = _due_day(one.started_at, minute, zone)
        if off <= MAX_START_OFFSET / timedelta(minutes=1) and (
            day not in days or off < days[day][0]
        ):
            days[day] = (off, one)
    return {day: one for day, (_, one) in sorted(days.items(), key=lambda item: item[0])}


def _due_day(time: datetime, minute: float, zone: ZoneInfo) -> int:
    """Return the number of the day whose `minute` is nearest: midnight does not split a night."""
    wall = time.astimezone(zone).replace(tzinfo=None)
    return (wall - timedelta(minutes=minute) + _DAY / 2).toordinal()


def _tightest(episodes: Sequence[Episode], zone: ZoneInfo, limit: timedelta) -> list[Episode]:
    """Drop the episodes whose starts deviate most until the deviation is below `limit`."""
    kept = list(episodes)
    while kept:
        minutes = [local_minute(one.started_at, zone) for one in kept]
        if circular_deviation(minutes) < limit:
            break
        usual = _circular_median(minutes)
        off = [abs(_distance(one, usual)) for one in minutes]
        kept.pop(off.index(max(off)))
    return kept


def _similar(lengths: Sequence[timedelta], length: timedelta) -> list[timedelta]:
    return [one for one in lengths if abs(one - length) <= _LENGTH_TOLERANCE * length]
