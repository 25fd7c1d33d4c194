"""Copying a whole store into another of any engine, and out into a file that others read."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.time import floor_time
from netwatch.protocols import SeriesStore
from netwatch.store.moments import EPOCH
from netwatch.store.parquet import Parquet
from netwatch.store.rollup import first_time

_BATCH = 20_000  # bins or levels that are held at once
_STRETCH = timedelta(hours=1)
_COLUMNS = ("time", "signal", "entity", "value", "total")

_Item = TypeVar("_Item", Bin, Level)


@dataclass(frozen=True, slots=True)
class Copied:
    """How far a copy has come: all before `until`, and how many rows that was this time."""

    until: datetime
    bins: int
    levels: int


def copy_store(
    source: SeriesStore,
    target: SeriesStore,
    *,
    end: datetime,
    start: datetime | None = None,
    told: Callable[[Copied], None] | None = None,
) -> Copied:
    """Copy bins and levels before `end` in order of time; return what that came to.

    A copy that was interrupted goes on where the target's promise ends, for the promise is
    copied stretch by stretch. Only `start` has it begin earlier, or later. Writing a row
    again changes nothing, so an overlap does no harm.

    Raises:
        StoreError: a store cannot be read or written.
        InputError: some rows have no place in the target; everything before is copied.
    """
    closed = source.closed_until()
    begin = first_time(source, start or target.closed_until() or EPOCH, end)
    bins = levels = 0
    while begin is not None and begin < end:
        until = min(floor_time(begin, _STRETCH) + _STRETCH, end)
        more = _copy_stretch(source, target, begin, until)
        if closed is not None:
            target.put_bins([], closed_until=min(until, closed))
        bins, levels = bins + more[0], levels + more[1]
        if told is not None:
            told(Copied(until, bins, levels))
        begin = until if any(more) else first_time(source, until, end)
    if closed is not None:
        target.put_bins([], closed_until=min(end, closed))
    return Copied(end, bins, levels)


def _copy_stretch(
    source: SeriesStore, target: SeriesStore, start: datetime, end: datetime
) -> tuple[int, int]:
    """Copy one span; return how many bins and levels that was."""
    bins = levels = 0
    for some_levels in _batches(source.read_levels(start, end)):
        target.put_levels(some_levels)
        levels += len(some_levels)
    for some_bins in _batches(source.read_bins(start, end)):
        target.put_bins(some_bins)
        bins += len(some_bins)
    return bins, levels


def export_bins(
    source: SeriesStore,
    path: Path,
    span: tuple[datetime, datetime],
    *,
    series: SeriesKey | None = None,
) -> int:
    """Write bins in long form to `path`, Parquet or CSV by its ending; return how many.

    The columns are `time, signal, entity, value, total`, which is what a replay reads; a
    bin without a total has none there either.

    Raises:
        StoreError: the file cannot be written.
    """
    rows = path if path.suffix != ".parquet" else path.with_name(f".{path.name}.csv")
    try:
        count = _write_rows(rows, source.read_bins(*span, series=series))
        if rows != path:
            _to_parquet(rows, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if rows != path:
            rows.unlink(missing_ok=True)
    return count


def _write_rows(path: Path, bins: Iterable[Bin]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for bin_ in bins:
            time = bin_.time.isoformat().replace("+00:00", "Z")
            total = "" if bin_.total is None else repr(bin_.total)
            writer.writerow(
                (time, bin_.series.signal, str(bin_.series.entity), repr(bin_.value), total)
            )
            count += 1
    return count


def _to_parquet(rows: Path, path: Path) -> None:
    parquet = Parquet()
    try:
        parquet.convert_rows(rows, path)
    finally:
        parquet.close()


def _batches(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    while batch := list(islice(items, _BATCH)):
        yield batch
