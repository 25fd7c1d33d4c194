"""What the ordinary level of a series stands on, as codes and numbers."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Self

from netwatch.model.errors import InputError

_CODES_CACHED = 4096


class BaselineKind(StrEnum):
    """The finest seasonal shape of an ordinary level."""

    UNKNOWN = ""
    DEAD = "dead"
    LEVEL = "level"
    HOUR_OF_DAY = "hour-of-day"
    HOUR_OF_WEEK = "hour-of-week"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an ordinary level stands on.

    Attributes:
        kind: its shape; dead where the series never answers in ordinary times.
        days: days of ordinary data behind it.
        frozen_since: start of the bin since which nothing is learned, None while it learns.
        shifted_to: share of ordinary that a loss of 14 days or more has settled at, None
            without one. The change may be permanent.
    """

    kind: BaselineKind = BaselineKind.UNKNOWN
    days: float = 0.0
    frozen_since: datetime | None = None
    shifted_to: float | None = None

    def encode(self) -> str:
        """Return the code that stores keep, such as `hour-of-day days=5 shift=0.4`."""
        code = str(self.kind)
        if self.days:
            code += f" days={self.days:g}"
        if self.shifted_to is not None:
            code += f" shift={self.shifted_to:g}"
        if self.frozen_since is not None:
            code += f" frozen={self.frozen_since.isoformat()}"
        return code

    @classmethod
    @lru_cache(maxsize=_CODES_CACHED)
    def decode(cls, code: str) -> Self:
        """Return the baseline that `encode` wrote; raises InputError for any other code."""
        kind, *pairs = code.split(" ")
        try:
            values = dict(pair.split("=") for pair in pairs)
            frozen, shift = values.get("frozen"), values.get("shift")
            return cls(
                kind=BaselineKind(kind),
                days=float(values.get("days", 0)),
                frozen_since=None if frozen is None else datetime.fromisoformat(frozen),
                shifted_to=None if shift is None else float(shift),
            )
        except ValueError as error:
            raise InputError(f"baseline {code[:60]!r}: not a valid code") from error
