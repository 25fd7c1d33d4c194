"""The embedded store: open days in one SQLite file, compacted days in Parquet files."""

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import date, datetime, timedelta
from itertools import chain
from math import isnan
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from netwatch.model.baseline_basis import Baseline
from netwatch.model.duration import PositiveDuration
from netwatch.model.errors import InputError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.time import from_micros, to_micros
from netwatch.plugins import Section, decode_section
from netwatch.protocols import Area, BinColumns, Clock, Maintenance, SeriesStore, Services
from netwatch.store import check_and_prune
from netwatch.store.check_and_prune import Damage, Stats
from netwatch.store.compaction import Compactor
from netwatch.store.manifest import Entry, current_entries
from netwatch.store.parquet_days import ParquetDays
from netwatch.store.reader import SeriesReader
from netwatch.store.recovery import open_or_recover
from netwatch.store.rollup import (
    RESOLUTIONS,
    Resolution,
    apply_retention,
    resolutions,
)
from netwatch.store.schema import BINS, DAY, LEVELS, TABLES, Span, Table
from netwatch.store.series_catalog import SeriesCatalog, country_in_code
from netwatch.store.validation import (
    check_span,
    now_utc,
    raise_rejected,
    valid_bins,
    valid_levels,
    valid_watermark,
)

_LOG = logging.getLogger(__name__)

_ROWS_A_STATEMENT = 50
"""Rows that one INSERT writes: half the time of one a statement; more gain nothing."""


class _Options(Section, frozen=True):
    """`[stores.sqlite]`: how long bins stay as measured, and in intervals of five minutes."""

    raw_retention: PositiveDuration = PositiveDuration(days=14)
    five_minute_retention: PositiveDuration = PositiveDuration(days=731)


class SqliteStore:
    """Implements `SeriesStore` on the file at `path`, created if missing.

    Threads may share an instance. A long read is several short snapshots, so that it neither
    fills memory nor holds the file.

    Args:
        path: the file, such as `data/series.sqlite`.
        clock: returns the present; times more than a day after it are refused.
        area: returns the area whose series are read together; a country by default.
        resolutions: the rollups of `maintain` and their retention, finest first.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock = now_utc,
        area: Area = country_in_code,
        resolutions: Sequence[Resolution] = RESOLUTIONS,
    ) -> None:
        self.path = path
        self.folder = _days_folder(path)
        self._clock = clock
        self._resolutions = resolutions
        self._database, self._users = open_or_recover(path, self.folder, area, clock)
        self._catalog = SeriesCatalog(area)
        self._days = ParquetDays(self.folder)
        self._reader = SeriesReader(self._database, self._days, self._catalog)

    @classmethod
    def from_config(cls, section: Mapping[str, object], services: Services) -> Self:
        """See `netwatch.protocols.Plugin`; the file is in the data folder."""
        options = decode_section(_Options, section)
        kept = resolutions(raw=options.raw_retention, five_minutes=options.five_minute_retention)
        path = services.folder / "series.sqlite"
        return cls(path, clock=services.clock, area=services.area, resolutions=kept)

    @classmethod
    def at(cls, location: str) -> Self:
        """Return the store of the data folder `location`."""
        return cls(Path(location) / "series.sqlite")

    def put_bins(self, bins: Sequence[Bin], *, closed_until: datetime | None = None) -> None:
        """See `SeriesStore`."""
        now = self._clock()
        good, rejected = valid_bins(bins, now)
        watermark, more = valid_watermark(closed_until, now)
        micros = {time: to_micros(time) for time in {bin_.time for bin_ in good}}
        ids = self._ids([bin_.series for bin_ in good])
        rows = [
            (micros[bin_.time], id_, bin_.value, bin_.total)
            for bin_, id_ in zip(good, ids, strict=True)
        ]
        with self._database.transaction() as connection:
            _write_rows(connection, BINS, rows)
            if watermark is not None:
                _raise_watermark(connection, to_micros(watermark))
        raise_rejected(rejected + more, of=len(bins))

    def read_bins(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Bin]:
        """See `SeriesStore`."""
        check_span(start, end)
        return self._bins((to_micros(start), to_micros(end)), series)

    def read_columns(
        self, start: datetime, end: datetime, *, series: Collection[SeriesKey] | None = None
    ) -> BinColumns:
        """See `SeriesStore`."""
        check_span(start, end)
        rows = self._reader.read(BINS, (to_micros(start), to_micros(end)), series)
        index, ids = pd.factorize(rows["series"].to_numpy())
        columns = (index, rows["time"], rows["value"], rows["total"])
        views = (np.ascontiguousarray(column).data.toreadonly() for column in columns)
        return BinColumns(tuple(self._catalog.keys[id_] for id_ in ids.tolist()), *views)

    def closed_until(self) -> datetime | None:
        """See `SeriesStore`."""
        with self._database.snapshot() as connection:
            row = connection.execute("SELECT closed_until FROM watermark").fetchone()
        return None if row is None else from_micros(row[0])

    def reopen(self, time: datetime) -> None:
        """See `SeriesStore`."""
        with self._database.transaction() as connection:
            lower = "UPDATE watermark SET closed_until = min(closed_until, ?)"
            connection.execute(lower, (to_micros(time),))

    def put_levels(self, levels: Sequence[Level]) -> None:
        """See `SeriesStore`."""
        good, rejected = valid_levels(levels, self._clock())
        ids = self._ids([level.series for level in good])
        rows = [_level_row(level, id_) for level, id_ in zip(good, ids, strict=True)]
        with self._database.transaction() as connection:
            _write_rows(connection, LEVELS, rows)
        raise_rejected(rejected, of=len(levels))

    def read_levels(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Level]:
        """See `SeriesStore`."""
        check_span(start, end)
        return self._levels((to_micros(start), to_micros(end)), series)

    def close(self) -> None:
        """See `SeriesStore`."""
        self._days.close()
        self._database.close()
        self._users.close()

    def maintain(self, now: datetime) -> list[Maintenance]:
        """Compact past days, roll old bins up, and drop what is past its retention.

        Raises:
            StoreError: a store cannot be read or written; the next call continues.
        """
        for entry in self.compact():
            _LOG.info("compacted %s", entry)
        with self._database.snapshot() as connection:
            entries = [one for table in TABLES for one in current_entries(connection, table.name)]
        self._days.sound(entries)
        raw, *coarser = self._resolutions
        with ExitStack() as stack:
            stores: list[tuple[Resolution, SeriesStore]] = [(raw, self)]
            for resolution in coarser:
                path = self.path.parent / resolution.name / self.path.name
                store = SqliteStore(path, clock=self._clock)
                stores.append((resolution, stack.enter_context(closing(store))))
            return apply_retention(stores, now)

    def compact(self, *, keep: timedelta = timedelta(days=2)) -> Iterator[Entry]:
        """Move every day that ended `keep` ago or earlier to a file; yield each when done.

        Raises:
            StoreError: another process is compacting, or a file cannot be written.
        """
        compactor = Compactor(self._database, self.folder, self._catalog, self._reader)
        yield from compactor.compact_before(to_micros(self._clock() - keep))
        check_and_prune.delete_superseded(self._database, self.folder, self._clock())

    def drop_before(self, time: datetime) -> int:
        """Delete bins and levels before `time`, compacted days whole; return how many."""
        check_span(time, time)
        count = check_and_prune.drop_before(self._database, self.folder, to_micros(time))
        check_and_prune.delete_superseded(self._database, self.folder, self._clock())
        return count

    def damaged_days(self) -> list[date]:
        """See `netwatch.protocols.DamageReport`."""
        return sorted({date.fromisoformat(entry.date) for entry in self._days.damaged()})

    def check(self, *, quarantine: bool = False) -> list[Damage]:
        """Return all damage; `quarantine` renames damaged files of compacted days."""
        return check_and_prune.check(self._database, self.folder, quarantine=quarantine)

    def stats(self) -> Stats:
        """Return what the store holds."""
        return check_and_prune.stats(self._database)

    def _bins(self, span: Span, series: SeriesKey | None) -> Iterator[Bin]:
        keys = self._catalog.keys
        for rows in self._reader.read_ordered(BINS, span, series):
            times = {micros: from_micros(micros) for micros in rows["time"].unique().tolist()}
            for time, id_, value, total in _cells(rows):
                yield Bin(times[time], keys[id_], value, _optional(total))

    def _levels(self, span: Span, series: SeriesKey | None) -> Iterator[Level]:
        for rows in self._reader.read_ordered(LEVELS, span, series):
            for time, id_, value, low, high, probability, coverage, networks, text in _cells(rows):
                yield Level(
                    time=from_micros(time),
                    series=self._catalog.keys[id_],
                    value=_optional(value),
                    low=_optional(low),
                    high=_optional(high),
                    probability=probability,
                    coverage=coverage,
                    networks=networks,
                    baseline=_decode_baseline(text),
                )

    def _ids(self, keys: Sequence[SeriesKey]) -> list[int]:
        """Return the ids of `keys`; new series are registered in a transaction of their own.

        If the write that follows fails, an id without rows does no harm.
        """
        known = self._catalog.ids
        try:
            return [known[key] for key in keys]
        except KeyError:
            with self._database.transaction() as connection:
                self._catalog.register(connection, keys)
            with self._database.snapshot() as connection:
                self._catalog.refresh(connection)
            return [known[key] for key in keys]


def _days_folder(path: Path) -> Path:
    """Return the folder of the compacted days of the store at `path`."""
    return path.parent / ("days" if path.stem == "series" else f"{path.stem}-days")


def _write_rows(
    connection: sqlite3.Connection, table: Table, rows: Sequence[tuple[int, *tuple[object, ...]]]
) -> None:
    """Write rows over earlier ones, and count the change of each day for compaction."""
    rows = sorted(rows, key=itemgetter(0, 1))  # in the order of the key, which appends
    grouped = len(rows) - len(rows) % _ROWS_A_STATEMENT
    connection.executemany(
        table.upsert(_ROWS_A_STATEMENT),
        (
            tuple(chain.from_iterable(rows[first : first + _ROWS_A_STATEMENT]))
            for first in range(0, grouped, _ROWS_A_STATEMENT)
        ),
    )
    connection.executemany(table.upsert(), rows[grouped:])
    connection.executemany(
        "INSERT INTO day_versions (day, version) VALUES (?, 1)"
        " ON CONFLICT (day) DO UPDATE SET version = version + 1",
        [(day,) for day in {time // DAY for time in {row[0] for row in rows}}],
    )


def _raise_watermark(connection: sqlite3.Connection, closed_until: int) -> None:
    connection.execute(
        "INSERT INTO watermark (one, closed_until) VALUES (1, ?)"
        " ON CONFLICT (one) DO UPDATE SET closed_until = max(closed_until, excluded.closed_until)",
        (closed_until,),
    )


def _level_row(level: Level, id_: int) -> tuple[int, *tuple[object, ...]]:
    return (
        to_micros(level.time),
        id_,
        level.value,
        level.low,
        level.high,
        level.probability,
        level.coverage,
        level.networks,
        level.baseline.encode(),
    )


def _cells(rows: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Yield rows of Python's own numbers, which are faster than numpy's one by one."""
    return zip(*(rows[name].tolist() for name in rows.columns), strict=True)


def _optional(number: float) -> float | None:
    return None if isnan(number) else number


def _decode_baseline(code: str) -> Baseline:
    """Return the baseline; version 1 of the store kept sentences, which are read as unknown."""
    try:
        return Baseline.decode(code)
    except InputError:
        return Baseline()
