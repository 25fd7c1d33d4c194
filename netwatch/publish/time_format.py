"""Times and durations as they are published: local time first, then UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from netwatch.publish.language import ENGLISH, Language

WIDE_ONSET = timedelta(minutes=10)
"""Width of an onset's interval above which posts say "about"; an editorial choice."""

_MINUTES_UP_TO = timedelta(minutes=90)
_DAYS_FROM = timedelta(hours=72)
_CLOCK = "HH:mm"


@dataclass(frozen=True, slots=True)
class Elapsed:
    """A duration in the steps in which posts state it.

    Attributes:
        minutes: 0 to 85 in steps of 5; None from 90 minutes on.
        hours: whole hours, rounded down; None under 90 minutes.
        day: floor(hours / 24) + 1 after 72 hours, otherwise None.
    """

    minutes: int | None
    hours: int | None
    day: int | None


@dataclass(frozen=True, slots=True)
class Age:
    """A duration in its largest telling unit.

    Attributes:
        unit: `second`, `minute`, `hour`, `day_hour`, `day` or `year`.
        number: how many of `unit`; days for `day_hour`.
        hours: the remaining hours of `day_hour`.
    """

    unit: str
    number: int
    hours: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as text: `local` is None where local time is UTC."""

    local: str | None
    utc: str


def elapsed(length: timedelta) -> Elapsed:
    """Return `length` in the steps in which posts state it."""
    length = max(length, timedelta(0))
    if length < _MINUTES_UP_TO:
        return Elapsed(length // timedelta(minutes=5) * 5, None, None)
    hours = length // timedelta(hours=1)
    return Elapsed(None, hours, hours // 24 + 1 if length > _DAYS_FROM else None)


def age(length: timedelta) -> Age:
    """Return `length` in its largest telling unit."""
    if length < timedelta(minutes=1):
        return Age("second", int(length.total_seconds()))
    if length < timedelta(hours=2):
        return Age("minute", length // timedelta(minutes=1))
    if length < timedelta(days=3):
        return Age("hour", length // timedelta(hours=1))
    if length < timedelta(days=60):
        return Age("day_hour", length.days, length.seconds // 3600)
    if length < timedelta(days=730):
        return Age("day", length.days)
    return Age("year", length.days // 365)


@lru_cache(maxsize=256)
def load_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone `name`, UTC if it is unknown."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def moment(
    time: datetime, zone: str, language: Language = ENGLISH, *, since: datetime | None = None
) -> Moment:
    """Return `time` as text: "16 Nov 10:00" local and "06:30" UTC.

    UTC has its day only if it differs from the local day. With `since`, a time on the same
    local and UTC day as `since` has no day at all.
    """

    def text(clock: datetime, *, dated: bool) -> str:
        return language.clock(clock) if dated else language.clock(clock, _CLOCK)

    local, utc = time.astimezone(load_zone(zone)), time.astimezone(UTC)
    dated = since is None or _days(time, zone) != _days(since, zone)
    if not local.utcoffset():
        return Moment(None, text(utc, dated=dated))
    other_day = local.date() != utc.date()
    return Moment(text(local, dated=dated), text(utc, dated=dated and other_day))


def moment_text(time: datetime, zone: str, language: Language = ENGLISH) -> str:
    """Return `time` as one text: "16 Nov 10:00 local (06:30 UTC)", or "16 Nov 06:30 UTC"."""
    return language.text("moment", moment(time, zone, language))


def utc_text(time: datetime, language: Language = ENGLISH) -> str:
    """Return `time` as "16 Nov 06:30 UTC"."""
    return language.text("utc", language.clock(time.astimezone(UTC)))


def interval_is_wide(low: datetime, high: datetime) -> bool:
    """Return whether an onset between `low` and `high` is stated as "about"."""
    return high - low > WIDE_ONSET


def _days(time: datetime, zone: str) -> tuple[date, date]:
    return time.astimezone(load_zone(zone)).date(), time.astimezone(UTC).date()
