"""Lengths of time as a person writes them: `500ms`, `30s`, `5m`, `12h`, `2d`, `8w`."""

import re
from datetime import timedelta
from typing import Self

_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PATTERN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_MAX_SECONDS = 10 * 366 * 86400
"""Ten years: anything longer is a typing error."""


class Duration(timedelta):
    """A length of time, zero or more."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return a number followed by a unit; ValueError for any other, or for over ten years."""
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a duration; write 30s, 5m, 12h, 2d or 8w")
        seconds = float(match[1]) * _UNIT_SECONDS[match[2]]
        if seconds > _MAX_SECONDS:
            raise ValueError(f"{text!r} is too long; the longest duration is ten years")
        return cls(seconds=seconds)


class PositiveDuration(Duration):
    """A length of time above zero."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the duration as `Duration.parse` does; raises ValueError for zero, too."""
        duration = super().parse(text)
        if not duration:
            raise ValueError("must be longer than zero")
        return duration
