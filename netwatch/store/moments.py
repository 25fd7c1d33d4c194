"""Time as the stores keep it: whole microseconds since 1970, lossless both ways."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
"""Microseconds in a day."""

_MICROSECOND = timedelta(microseconds=1)


def now_utc() -> datetime:
    """Return the present; the clock of a store that was given no other."""
    return datetime.now(UTC)


def to_micros(time: datetime) -> int:
    """Return microseconds since 1970 UTC of an aware `time`."""
    return (time - EPOCH) // _MICROSECOND


def to_time(micros: int) -> datetime:
    """Return the aware UTC time of `micros`."""
    return EPOCH + timedelta(microseconds=micros)


def day_of(micros: int) -> int:
    """Return the number of the UTC day that holds `micros`; 0 is 1970-01-01."""
    return micros // DAY
