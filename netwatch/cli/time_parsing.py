"""Parses times and durations of the command line."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from netwatch.model.duration import Duration, PositiveDuration
from netwatch.model.errors import InputError

_AGO = re.compile(r"-(\d+(?:\.\d+)?(?:ms|s|m|h|d|w))")
_DAYS_AGO = {"today": 0, "yesterday": 1}


def parse_instant(text: str, *, now: datetime, zone: tzinfo = UTC) -> datetime:
    """Return the time that `text` names, in UTC.

    Args:
        text: `2019-11-15`, `2019-11-15T20:00`, `2019-11-15T20:00Z`, `-36h`, `now`, `today`,
            `yesterday` or `@1573857000` (Unix seconds).
        now: the current time.
        zone: time zone of days and of times without a zone.

    Raises:
        InputError: `text` has none of these forms.
    """
    word = text.strip().lower()
    try:
        if word == "now":
            return now.astimezone(UTC)
        if word in _DAYS_AGO:
            midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
            return (midnight - timedelta(days=_DAYS_AGO[word])).astimezone(UTC)
        if ago := _AGO.fullmatch(word):
            return (now - Duration.parse(ago[1])).astimezone(UTC)
        if word.startswith("@"):
            return datetime.fromtimestamp(float(word[1:]), UTC)
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{text[:60]!r} is not a time; write 2019-11-15, 2019-11-15T20:00, -36h, yesterday "
            "or @1573857000"
        ) from error


def parse_option(text: str | None, option: str) -> datetime | None:
    """Return the time that an option names, by default in UTC; None if it is not given.

    Raises:
        InputError: the value is invalid; the message begins with the option.
    """
    if text is None:
        return None
    try:
        return parse_instant(text, now=datetime.now(UTC))
    except InputError as error:
        raise InputError(f"{option}: {error}") from error


def parse_duration(text: str, option: str, kind: type[Duration] = PositiveDuration) -> Duration:
    """Return the duration that an option names; `Duration` as `kind` allows zero.

    Raises:
        InputError: the value is invalid; the message begins with the option.
    """
    try:
        return kind.parse(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from error
