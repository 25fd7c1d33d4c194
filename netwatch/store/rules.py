"""What may stand in a store. Every engine judges by these same rules.

A bin always has a value, a level may have none. NaN and infinity are neither a value nor
its absence, so they are refused; so are times that no honest clock can have given.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from netwatch.model.errors import InputError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.moments import EPOCH

_Item = TypeVar("_Item", Bin, Level)

AHEAD = timedelta(days=1)
"""How far a time may lie after the store's clock: a day forgives every time zone mistake."""


def sound_bins(bins: Sequence[Bin], now: datetime) -> tuple[Sequence[Bin], list[str]]:
    """Return the bins that may be stored, and a line for each that may not."""
    if _look_sound(bins, now):
        return bins, []
    faults = [_bin_fault(bin_, now) for bin_ in bins]
    return _sort_out(bins, faults)


def sound_levels(levels: Sequence[Level], now: datetime) -> tuple[Sequence[Level], list[str]]:
    """Return the levels that may be stored, and a line for each that may not."""
    faults = [_level_fault(level, now) for level in levels]
    return _sort_out(levels, faults)


def sound_promise(
    closed_until: datetime | None, now: datetime
) -> tuple[datetime | None, list[str]]:
    """Return `closed_until` where it can be promised, else None and a line that says why."""
    if closed_until is None:
        return None, []
    fault = time_fault(closed_until, now)
    return (None, [f"closed_until {closed_until}: {fault}"]) if fault else (closed_until, [])


def refuse(complaints: Sequence[str], *, of: int) -> None:
    """Raise for what was left out of a write of `of` items that is otherwise done.

    Raises:
        InputError: there are complaints; names the first.
    """
    if complaints:
        more = f"; {len(complaints)} of {of} left out" if len(complaints) > 1 else ""
        raise InputError(f"not stored: {complaints[0]}{more}")


def check_span(start: datetime, end: datetime) -> None:
    """Raise for a span that is not told in aware times.

    Raises:
        InputError: `start` or `end` has no time zone.
    """
    for name, time in (("start", start), ("end", end)):
        if time.tzinfo is None:
            raise InputError(f"{name} {time}: has no time zone; times are UTC")


def time_fault(time: datetime, now: datetime) -> str:
    """Return what is wrong with `time` as a time of a count, empty where nothing is."""
    if time.tzinfo is None:
        return "the time has no zone; times are UTC"
    if time < EPOCH:
        return "the time is before 1970"
    if time > now + AHEAD:
        return f"the time is in the future of {now:%Y-%m-%d %H:%M} UTC"
    return ""


def key_fault(series: SeriesKey) -> str:
    """Return what is wrong with the names in `series`, empty where nothing is."""
    for name in (series.signal, series.entity.code):
        if not name:
            return "the series has no name"
        if not name.isprintable():
            return "the series' name has characters that cannot be printed"
    return ""


def _look_sound(bins: Sequence[Bin], now: datetime) -> bool:
    """Judge all at once, which is ten times faster: a sum is finite only if all parts are."""
    total = sum(bin_.total for bin_ in bins if bin_.total is not None)
    if not math.isfinite(total + sum(bin_.value for bin_ in bins)):
        return False
    if any(time_fault(time, now) for time in {bin_.time for bin_ in bins}):
        return False
    names = [bin_.series.entity.code for bin_ in bins]
    names.extend({bin_.series.signal for bin_ in bins})
    return all(names) and "".join(names).isprintable()


def _sort_out(items: Sequence[_Item], faults: Sequence[str]) -> tuple[Sequence[_Item], list[str]]:
    if not any(faults):
        return items, []
    good = [item for item, fault in zip(items, faults, strict=True) if not fault]
    lines = [_line(item, fault) for item, fault in zip(items, faults, strict=True) if fault]
    return good, lines


def _line(item: Bin | Level, fault: str) -> str:
    name = f"{item.series.signal} {item.series.entity}"
    return ascii(f"{name} at {item.time.isoformat()}: {fault}")[1:-1]


def _bin_fault(bin_: Bin, now: datetime) -> str:
    numbers = (("value", bin_.value), ("total", 0.0 if bin_.total is None else bin_.total))
    return time_fault(bin_.time, now) or key_fault(bin_.series) or _number_fault(numbers)


def _level_fault(level: Level, now: datetime) -> str:
    optional = (("value", level.value), ("low", level.low), ("high", level.high))
    numbers = [(name, number) for name, number in optional if number is not None]
    numbers += [("probability", level.probability), ("coverage", level.coverage)]
    return time_fault(level.time, now) or key_fault(level.series) or _number_fault(numbers)


def _number_fault(numbers: Iterable[tuple[str, float]]) -> str:
    for name, number in numbers:
        if not math.isfinite(number):
            return f"the {name} is {number}; a bin that has none is left out"
    return ""
