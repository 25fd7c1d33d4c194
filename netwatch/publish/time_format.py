"""Times and durations as they are published: local first, UTC beside it, and how long."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_datetime

_WIDE = timedelta(minutes=10)
_SHORT = timedelta(minutes=90)
_LONG = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Elapsed:
    """How long something has lasted, in the steps in which it may be said.

    Attributes:
        minutes: 0 to 85 in steps of 5; None from 90 minutes on.
        hours: whole hours, rounded down; None under 90 minutes.
        day: from 72 hours on, floor(hours / 24) + 1; None before.
    """

    minutes: int | None
    hours: int | None
    day: int | None


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in words: `local` is None where the place keeps UTC."""

    local: str | None
    utc: str


def elapsed(length: timedelta) -> Elapsed:
    """Return `length` in the steps in which it may be said."""
    length = max(length, timedelta(0))
    if length < _SHORT:
        return Elapsed(length // timedelta(minutes=5) * 5, None, None)
    hours = length // timedelta(hours=1)
    return Elapsed(None, hours, hours // 24 + 1 if length > _LONG else None)


@lru_cache(maxsize=256)
def load_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone `name`, UTC where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def moment(
    time: datetime, zone: str, language: str = "en", *, since: datetime | None = None
) -> Moment:
    """Return `time` in the words of `language`: "16 Nov 10:00" local and "06:30" UTC.

    The UTC day stands where it is another than the local one. With `since`, a moment of the
    same local and UTC day as `since` is told by its clock alone.
    """
    here, world = time.astimezone(load_zone(zone)), time.astimezone(UTC)
    told = since is not None and _days(time, zone) == _days(since, zone)
    if here.utcoffset() == timedelta(0):
        return Moment(None, clock_text(world, language, day=not told))
    other_day = here.date() != world.date() and not told
    local = clock_text(here, language, day=not told)
    return Moment(local, clock_text(world, language, day=other_day))


def moment_text(time: datetime, zone: str) -> str:
    """Return `time` in English: "16 Nov 10:00 local (06:30 UTC)", or "16 Nov 06:30 UTC"."""
    found = moment(time, zone)
    return f"{found.utc} UTC" if found.local is None else f"{found.local} local ({found.utc} UTC)"


def clock_text(time: datetime, language: str = "en", *, day: bool = True) -> str:
    """Return `time` in its own zone as "16 Nov 10:00", or "10:00" without the day."""
    pattern = "d MMM HH:mm" if day else "HH:mm"
    return str(format_datetime(time, pattern, tzinfo=time.tzinfo, locale=language))


def interval_is_wide(low: datetime, high: datetime) -> bool:
    """Tell whether an onset between `low` and `high` must be called "about"."""
    return high - low > _WIDE


def _days(time: datetime, zone: str) -> tuple[object, object]:
    """Return the local and the UTC date of `time`."""
    return time.astimezone(load_zone(zone)).date(), time.astimezone(UTC).date()


def utc_text(time: datetime) -> str:
    """Return `time` as "16 Nov 06:30 UTC"."""
    return f"{clock_text(time.astimezone(UTC))} UTC"


def age_words(age: timedelta) -> str:
    """Return a length of time in the largest unit that still tells it well."""
    if age < timedelta(minutes=1):
        return f"{int(age.total_seconds())} s"
    if age < timedelta(hours=2):
        return f"{age // timedelta(minutes=1)} minutes"
    if age < timedelta(days=3):
        return f"{age // timedelta(hours=1)} hours"
    if age < timedelta(days=60):
        return f"{age.days} d {age.seconds // 3600} h"
    return f"{age.days} days" if age < timedelta(days=730) else f"{age.days // 365} years"
