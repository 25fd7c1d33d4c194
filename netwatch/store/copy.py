"""Copies a store into another of any engine, and exports bins to a file."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.time import EPOCH, floor_time, rfc3339
from netwatch.protocols import SeriesStore
from netwatch.store.parquet_days import convert_csv
from netwatch.store.rollup import first_time

_BATCH = 20_000
"""Bins or levels in memory at once."""
_STEP = timedelta(hours=1)
"""Time that is copied before the target's watermark is raised."""
_COLUMNS = ("time", "signal", "entity", "value", "total")

_Item = TypeVar("_Item", Bin, Level)


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """All before `until` is copied, so many bins and levels in this call."""

    until: datetime
    bins: int
    levels: int


def copy_store(
    source: SeriesStore,
    target: SeriesStore,
    *,
    end: datetime,
    start: datetime | None = None,
    report: Callable[[CopyProgress], None] | None = None,
) -> CopyProgress:
    """Copy bins and levels before `end` in order of time; return how many.

    An interrupted copy continues at the target's watermark, which is copied hour by hour;
    `start` begins elsewhere. Writing a row again changes nothing, so an overlap is harmless.

    Raises:
        StoreError: a store cannot be read or written.
        InputError: the target rejects some rows; everything before is copied.
    """
    closed = source.closed_until()
    begin = first_time(source, start or target.closed_until() or EPOCH, end)
    bins = levels = 0
    while begin is not None and begin < end:
        until = min(floor_time(begin, _STEP) + _STEP, end)
        copied_levels = _copy(source.read_levels(begin, until), target.put_levels)
        copied_bins = _copy(source.read_bins(begin, until), target.put_bins)
        if closed is not None:
            target.put_bins([], closed_until=min(until, closed))
        bins, levels = bins + copied_bins, levels + copied_levels
        if report is not None:
            report(CopyProgress(until, bins, levels))
        begin = until if copied_bins or copied_levels else first_time(source, until, end)
    if closed is not None:
        target.put_bins([], closed_until=min(end, closed))
    return CopyProgress(end, bins, levels)


def export_bins(
    source: SeriesStore,
    path: Path,
    span: tuple[datetime, datetime],
    *,
    series: SeriesKey | None = None,
) -> int:
    """Write bins to `path`, as Parquet or CSV by its suffix; return how many.

    The columns are `time, signal, entity, value, total`, as a replay reads them; `total` is
    empty for a bin without a total.

    Raises:
        StoreError: the file cannot be written.
    """
    rows = path if path.suffix != ".parquet" else path.with_name(f".{path.name}.csv")
    try:
        count = _write_csv(rows, source.read_bins(*span, series=series))
        if rows != path:
            convert_csv(rows, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if rows != path:
            rows.unlink(missing_ok=True)
    return count


def _copy(items: Iterator[_Item], put: Callable[[list[_Item]], None]) -> int:
    count = 0
    while batch := list(islice(items, _BATCH)):
        put(batch)
        count += len(batch)
    return count


def _write_csv(path: Path, bins: Iterable[Bin]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for bin_ in bins:
            time = rfc3339(bin_.time)
            total = "" if bin_.total is None else repr(bin_.total)
            key = bin_.series
            writer.writerow((time, key.signal, str(key.entity), repr(bin_.value), total))
            count += 1
    return count
