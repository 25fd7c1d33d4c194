"""Instants on the command line: a day, an hour, so long ago, yesterday, or seconds since 1970."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from netwatch.model.duration import Duration
from netwatch.model.errors import InputError

_AGO = re.compile(r"-(\d+(?:\.\d+)?(?:ms|s|m|h|d|w))")
_DAYS = {"today": 0, "yesterday": 1}


def parse_instant(text: str, *, now: datetime, zone: tzinfo = UTC) -> datetime:
    """Return the instant that `text` names, in UTC.

    Args:
        text: `2019-11-15`, `2019-11-15T20:00`, `2019-11-15T20:00Z`, `-36h`, `now`, `today`,
            `yesterday` or `@1573857000`.
        now: the present.
        zone: what a day or a time without a zone is in; a day begins at its midnight.

    Raises:
        InputError: it names none.
    """
    word = text.strip().lower()
    try:
        if word == "now":
            return now.astimezone(UTC)
        if word in _DAYS:
            midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
            return (midnight - timedelta(days=_DAYS[word])).astimezone(UTC)
        if ago := _AGO.fullmatch(word):
            return (now - Duration.parse(ago[1])).astimezone(UTC)
        if word.startswith("@"):
            return datetime.fromtimestamp(float(word[1:]), UTC)
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{text[:60]!r} is no time; write 2019-11-15, 2019-11-15T20:00, -36h, yesterday "
            "or @1573857000"
        ) from error


def parse_option(text: str | None, option: str) -> datetime | None:
    """Return the instant that an option names, UTC where it names no zone.

    Raises:
        InputError: it names none; the line begins with the option.
    """
    if text is None:
        return None
    try:
        return parse_instant(text, now=datetime.now(UTC))
    except InputError as error:
        raise InputError(f"{option}: {error}") from error
