"""Counts visible routes per network and bin, from a file of BGP announcements and withdrawals.

One JSON object per line, as written by tools of RIPE's Routing Information Service: `pfx`,
`peer_ip`, `path` (the last is the origin), `ts` (Unix seconds) and `W: true` for a withdrawal.
Lines without `ts` are the initial table. A route is one prefix announced by one peer. It stays
visible until a line withdraws it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from netwatch.model.errors import InputError, os_errors_as
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.signals import BGP
from netwatch.plugins import NoOptions
from netwatch.sources.long_table import SeriesTable

_DEFAULT_WIDTH = timedelta(minutes=5)
_DAY = timedelta(days=1)
_MAX_DAYS = 400
"""Days that a file may cover; more is a wrong time."""
_LARGEST_ASN = 2**32 - 1


class _Line(msgspec.Struct):
    """One line: an announcement unless `withdrawn`; without `ts` a row of the initial table."""

    pfx: str
    peer_ip: str
    path: list[str | list[str]] = []
    ts: float | None = None
    withdrawn: bool = msgspec.field(default=False, name="W")


_Route = tuple[str, str]
_Change = tuple[float, int, int]
"""Unix time (-inf for the initial table), origin AS, change of its number of routes."""


class BgpJsonlSource(NoOptions):
    """BGP announcements and withdrawals, one JSON object per line."""

    suffixes = frozenset({".jsonl", ".jsonf", ".ndjson"})

    def read(self, path: Path, *, width: timedelta | None = None) -> SeriesTable:
        """Return the number of visible routes of every origin AS, as the signal `bgp`.

        The value of a bin is the time-weighted mean count. The series cover whole days in UTC.
        The default `width` is five minutes.
        """
        width = width or _DEFAULT_WIDTH
        if width <= timedelta(0) or _DAY % width:
            raise InputError(f"{path}: bins of {width} do not fill a day")
        changes = _changes(_read_lines(path), path)
        times = [time for time, _, _ in changes if np.isfinite(time)]
        if not times:
            raise InputError(f"{path}: no line with a time")
        start = _midnight(min(times), path)
        end = _midnight(max(times), path) + _DAY
        if end - start > _MAX_DAYS * _DAY:
            raise InputError(f"{path}: from {start} to {end}; is the first or last time wrong?")
        grid = pd.date_range(start, end, freq=pd.Timedelta(width), inclusive="left")
        parts = [
            pd.DataFrame(
                {
                    "time": grid,
                    "signal": BGP,
                    "entity": f"asn:{origin}",
                    "value": _mean_counts(changes, origin, grid=grid),
                    "total": np.nan,
                }
            )
            for origin in sorted({origin for _, origin, _ in changes})
        ]
        frame = pd.concat(parts).sort_values(["time", "entity"], ignore_index=True)
        return SeriesTable(frame, (), width)


def _read_lines(path: Path) -> list[_Line]:
    decoder, found = msgspec.json.Decoder(_Line), []
    with os_errors_as(InputError, f"{path}: cannot be read"), path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            found.append(decode_foreign(text, decoder.decode, what=f"{path}, line {number}"))
    found.sort(key=lambda line: -np.inf if line.ts is None else line.ts)
    return found


def _changes(lines: Iterable[_Line], path: Path) -> list[_Change]:
    origins: dict[_Route, int] = {}
    changes: list[_Change] = []
    for line in lines:
        time = -np.inf if line.ts is None else line.ts
        route = (line.peer_ip, line.pfx)
        before = origins.get(route)
        after = None if line.withdrawn else _origin(line, path)
        if before == after:
            continue
        if before is not None:
            changes.append((time, before, -1))
        if after is None:
            del origins[route]
        else:
            origins[route] = after
            changes.append((time, after, 1))
    return changes


def _origin(line: _Line, path: Path) -> int:
    """Return the origin AS of a route.

    Raises:
        InputError: the path is empty or ends in an AS set.
    """
    last = line.path[-1] if line.path else ""
    if isinstance(last, str) and last.isascii() and last.isdecimal():
        number = int(last)
        if 0 < number <= _LARGEST_ASN:
            return number
    raise InputError(f"{path}: {line.pfx}: a path without an origin: {str(line.path)[:60]}")


def _midnight(seconds: float, path: Path) -> datetime:
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"{path}: {seconds!r} is not a Unix time") from error
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def _mean_counts(
    changes: Iterable[_Change], origin: int, *, grid: pd.DatetimeIndex
) -> npt.NDArray[np.float64]:
    """Return the mean number of routes of `origin` in each bin of `grid`.

    A change within a bin counts for the remaining part of the bin.
    """
    times, steps = np.array([(time, step) for time, name, step in changes if name == origin]).T
    # The initial table counts from the first bin on.
    offset = np.maximum((times - grid[0].timestamp()) / (grid[1] - grid[0]).total_seconds(), 0.0)
    bins = offset.astype(np.intp)
    missed = np.bincount(bins, steps * (offset - bins), len(grid))
    counts = np.cumsum(np.bincount(bins, steps, len(grid))) - missed
    return counts.astype(np.float64)
