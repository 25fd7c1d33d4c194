"""Instants: aware UTC in the program, whole milliseconds or microseconds since 1970 on the wire."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The origin of every integer time."""

_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)


def to_millis(time: datetime) -> int:
    """Return milliseconds since 1970, rounded down. `time` is aware."""
    return (time - EPOCH) // _MILLISECOND


def from_millis(millis: int) -> datetime:
    """Return an instant in UTC; raises OverflowError outside the years 1 to 9999."""
    return EPOCH + millis * _MILLISECOND


def to_micros(time: datetime) -> int:
    """Return microseconds since 1970. `time` is aware."""
    return (time - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return an instant in UTC; raises OverflowError outside the years 1 to 9999."""
    return EPOCH + micros * _MICROSECOND


def rfc3339(time: datetime | None) -> str | None:
    """Return an aware UTC time as RFC 3339, such as `2019-11-16T16:30:00Z`; None for None."""
    return None if time is None else time.isoformat().replace("+00:00", "Z")


def floor_time(time: datetime, width: timedelta) -> datetime:
    """Return the start of the interval of `width`, counted from 1970, in which `time` lies."""
    return time - (time - EPOCH) % width
