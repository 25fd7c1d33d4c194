"""Rules for what a store accepts, the same for every engine.

A bin always has a value, a level may have none. NaN and infinity are neither a value nor its
absence, so they are rejected; so are times that no correct clock can have given.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from netwatch.model.errors import InputError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.time import EPOCH

_Item = TypeVar("_Item", Bin, Level)

MAX_AHEAD = timedelta(days=1)
"""How far a time may lie after the store's clock: a day allows for any mistake of time zone."""


def now_utc() -> datetime:
    """Return the present: the default clock of a store."""
    return datetime.now(UTC)


def valid_bins(bins: Sequence[Bin], now: datetime) -> tuple[Sequence[Bin], list[str]]:
    """Return the valid bins, and a message for each other one."""
    if _all_valid(bins, now):
        return bins, []
    return _partition(bins, ("value", "total"), now)


def valid_levels(levels: Sequence[Level], now: datetime) -> tuple[Sequence[Level], list[str]]:
    """Return the valid levels, and a message for each other one."""
    return _partition(levels, ("value", "low", "high", "probability", "coverage"), now)


def valid_watermark(
    closed_until: datetime | None, now: datetime
) -> tuple[datetime | None, list[str]]:
    """Return `closed_until` if it is valid, otherwise None and a message."""
    fault = "" if closed_until is None else _time_fault(closed_until, now)
    return (None, [f"closed_until {closed_until}: {fault}"]) if fault else (closed_until, [])


def raise_rejected(messages: Sequence[str], *, of: int) -> None:
    """Raise for the rejected part of a write of `of` items that is otherwise complete.

    Raises:
        InputError: there are messages; has the first.
    """
    if messages:
        more = f"; {len(messages)} of {of} rejected" if len(messages) > 1 else ""
        raise InputError(f"not stored: {messages[0]}{more}")


def check_span(start: datetime, end: datetime) -> None:
    """Raise unless both times are aware.

    Raises:
        InputError: `start` or `end` has no time zone.
    """
    for name, time in (("start", start), ("end", end)):
        if time.tzinfo is None:
            raise InputError(f"{name} {time}: has no time zone; times are UTC")


def _time_fault(time: datetime, now: datetime) -> str:
    if time.tzinfo is None:
        return "the time has no zone; times are UTC"
    if time < EPOCH:
        return "the time is before 1970"
    if time > now + MAX_AHEAD:
        return f"the time is in the future of {now:%Y-%m-%d %H:%M} UTC"
    return ""


def _key_fault(series: SeriesKey) -> str:
    for name in (series.signal, series.entity.code):
        if not name:
            return "the series has no name"
        if not name.isprintable():
            return "the series' name has characters that cannot be printed"
    return ""


def _all_valid(bins: Sequence[Bin], now: datetime) -> bool:
    """Check all at once, which is ten times faster: a sum is finite only if all parts are."""
    total = sum(bin_.total for bin_ in bins if bin_.total is not None)
    if not math.isfinite(total + sum(bin_.value for bin_ in bins)):
        return False
    if any(_time_fault(time, now) for time in {bin_.time for bin_ in bins}):
        return False
    names = [bin_.series.entity.code for bin_ in bins]
    names.extend({bin_.series.signal for bin_ in bins})
    return all(names) and "".join(names).isprintable()


def _partition(
    items: Sequence[_Item], numbers: Sequence[str], now: datetime
) -> tuple[Sequence[_Item], list[str]]:
    """Return the items whose time, series and attributes `numbers` are valid, and messages."""
    faults = [_fault(item, numbers, now) for item in items]
    pairs = list(zip(items, faults, strict=True))
    good = [item for item, fault in pairs if not fault]
    return good, [_message(item, fault) for item, fault in pairs if fault]


def _fault(item: Bin | Level, numbers: Sequence[str], now: datetime) -> str:
    fault = _time_fault(item.time, now) or _key_fault(item.series)
    for name in () if fault else numbers:
        number = getattr(item, name)
        if number is not None and not math.isfinite(number):
            return f"the {name} is {number}; it must be finite"
    return fault


def _message(item: Bin | Level, fault: str) -> str:
    name = f"{item.series.signal} {item.series.entity}"
    return ascii(f"{name} at {item.time.isoformat()}: {fault}")[1:-1]
