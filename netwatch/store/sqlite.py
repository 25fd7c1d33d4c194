"""The embedded store: one SQLite file in WAL mode, read by several processes at once."""

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import numpy as np

from netwatch.model.duration import PositiveDuration
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.plugins import Section, decode_section
from netwatch.protocols import Area, BinColumns, Clock, Services
from netwatch.store import keeping, open_days
from netwatch.store.database import BINS, LEVELS, DamagedError, Database, alone
from netwatch.store.keeping import Finding, Stats
from netwatch.store.manifest import Entry
from netwatch.store.moments import now_utc, to_micros, to_time
from netwatch.store.names import Names, home_area
from netwatch.store.packing import ColumnBatch, Texts, bins_of, levels_of, rows_of_levels
from netwatch.store.reading import Reader
from netwatch.store.rescue import adopt_sealed_days, salvage, set_database_aside
from netwatch.store.rollup import TIERS, Kept, Tier, keep_house, tiers_kept
from netwatch.store.rows import Floats, Ints
from netwatch.store.rules import check_span, refuse, sound_bins, sound_levels, sound_promise
from netwatch.store.sealed import SealedDays
from netwatch.store.sealing import Sealer

_log = logging.getLogger(__name__)


class _Options(Section, frozen=True):
    """`[stores.sqlite]`: how long bins stay as measured, and in intervals of five minutes."""

    raw_retention: PositiveDuration = PositiveDuration(days=14)
    five_minute_retention: PositiveDuration = PositiveDuration(days=731)


class SqliteStore:
    """Implements `SeriesStore` on the file at `path`, made where there is none.

    Threads may share an instance. A long read looks at the file span by span, so that it
    holds neither memory nor the file for longer than a moment.

    Args:
        path: the file, such as `data/series.sqlite`.
        clock: tells the present, long after which no bin can lie.
        area: says which series are read together; a country and its regions by default.
        tiers: the rollups of `maintain` and how long each is kept, finest first.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock = now_utc,
        area: Area = home_area,
        tiers: Sequence[Tier] = TIERS,
    ) -> None:
        self.path = path
        self._tiers = tiers
        self._clock = clock
        folder = _days_folder(path)
        self._database = _opened(path, folder, area, clock)
        self._names = Names(area)
        self._texts = Texts()
        self._sealed = SealedDays(folder)
        self._reader = Reader(self._database, self._sealed, self._names, self._texts)

    @classmethod
    def from_config(cls, section: Mapping[str, object], services: Services) -> Self:
        """See `netwatch.protocols.Plugin`; the file is in the data folder."""
        options = decode_section(_Options, section)
        tiers = tiers_kept(raw=options.raw_retention, five_minutes=options.five_minute_retention)
        path = services.folder / "series.sqlite"
        return cls(path, clock=services.clock, area=services.area, tiers=tiers)

    @classmethod
    def at(cls, location: str) -> Self:
        """Return the store of the data folder `location`."""
        return cls(Path(location) / "series.sqlite")

    def put_bins(self, bins: Sequence[Bin], *, closed_until: datetime | None = None) -> None:
        """See `SeriesStore`."""
        now = self._clock()
        promise, complaints = sound_promise(closed_until, now)
        columns, more = ColumnBatch.of(bins), list[str]()
        numbers = self._names.numbers(columns.keys)
        if numbers is None or not columns.look_sound(now):
            good, more = sound_bins(bins, now)
            columns = ColumnBatch.of(good)
            numbers = self._number(columns.keys)
        with self._database.writing() as connection:
            open_days.write_rows(connection, BINS, columns.rows(numbers))
            if promise is not None:
                _keep_promise(connection, to_micros(promise))
        refuse(complaints + more, of=len(bins))

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
        rows = self._reader.look(BINS, (to_micros(start), to_micros(end)), series)
        numbers, index = _distinct(rows.ids)
        return BinColumns(
            keys=tuple(self._names.keys[number] for number in numbers.tolist()),
            index=_view(index),
            times=_view(rows.times),
            values=_view(rows.cells[0]),
            totals=_view(rows.cells[1]),
        )

    def closed_until(self) -> datetime | None:
        """See `SeriesStore`."""
        with self._database.reading() as connection:
            found = connection.execute("select closed_until from promise").fetchone()
        return None if found is None else to_time(found[0])

    def put_levels(self, levels: Sequence[Level]) -> None:
        """See `SeriesStore`."""
        good, complaints = sound_levels(levels, self._clock())
        numbers = self._number([level.series for level in good])
        self._number_texts({level.baseline.encode() for level in good})
        rows = rows_of_levels(good, numbers, self._texts.ids)
        with self._database.writing() as connection:
            open_days.write_rows(connection, LEVELS, rows)
        refuse(complaints, of=len(levels))

    def read_levels(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Level]:
        """See `SeriesStore`."""
        check_span(start, end)
        return self._levels((to_micros(start), to_micros(end)), series)

    def maintain(self, now: datetime) -> list[Kept]:
        """Compact past days, roll old bins up into wider tiers, and drop expired ones.

        Raises:
            StoreError: a store cannot be read or written; the next call continues.
        """
        for entry in self.seal():
            _log.info("compacted %s", entry)
        raw, *coarser = self._tiers
        with ExitStack() as stack:
            stores = [
                (
                    tier,
                    stack.enter_context(
                        closing(SqliteStore(self.path.parent / tier.name / self.path.name))
                    ),
                )
                for tier in coarser
            ]
            return keep_house([(raw, self), *stores], now)

    def close(self) -> None:
        """See `SeriesStore`."""
        self._sealed.close()
        self._database.close()

    def seal(self, *, keep: timedelta = timedelta(days=2)) -> Iterator[Entry]:
        """Move every day that ended `keep` ago or earlier to a file; yield each as it is done.

        Raises:
            StoreError: somebody else is sealing, or a file cannot be written.
        """
        sealer = Sealer(self._database, self._sealed.folder, self._names, self._texts)
        yield from sealer.seal_before(to_micros(self._clock() - keep))
        keeping.sweep(self._database, self._sealed.folder, self._clock())

    def drop_before(self, time: datetime) -> int:
        """Forget bins and levels before `time`; return how many. Sealed days go whole."""
        check_span(time, time)
        count = keeping.drop_before(self._database, self._sealed.folder, to_micros(time))
        keeping.sweep(self._database, self._sealed.folder, self._clock())
        return count

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Return what is damaged; with `repair`, set damaged files of sealed days aside."""
        return keeping.check(self._database, self._sealed.folder, repair=repair)

    def stats(self) -> Stats:
        """Return what the store holds."""
        return keeping.stats(self._database, self.path)

    def _bins(self, span: tuple[int, int], series: SeriesKey | None) -> Iterator[Bin]:
        for rows in self._reader.walk(BINS, span, series):
            yield from bins_of(rows, self._names.keys)

    def _levels(self, span: tuple[int, int], series: SeriesKey | None) -> Iterator[Level]:
        for rows in self._reader.walk(LEVELS, span, series):
            yield from levels_of(rows, self._names.keys, self._texts.texts)

    def _number(self, keys: Sequence[SeriesKey]) -> Ints:
        """Return the numbers of `keys`; new ones get theirs in a transaction of their own.

        If the write that follows fails, a number that nothing has does no harm.
        """
        numbers = self._names.numbers(keys)
        if numbers is None:
            with self._database.writing() as connection:
                self._names.claim(connection, keys)
            with self._database.reading() as connection:
                self._names.refresh(connection)
            numbers = self._names.numbers(keys)
            assert numbers is not None, "all keys were numbered"
        return numbers

    def _number_texts(self, texts: set[str]) -> None:
        """See to it that all `texts` have numbers."""
        if not texts <= self._texts.ids.keys():
            with self._database.writing() as connection:
                self._texts.claim(connection, texts)
            with self._database.reading() as connection:
                self._texts.refresh(connection)


def _days_folder(path: Path) -> Path:
    """Return where the sealed days of the store at `path` are: beside it, apart from others'."""
    return path.parent / ("days" if path.stem == "series" else f"{path.stem}-days")


def _opened(path: Path, folder: Path, area: Area, clock: Clock) -> Database:
    """Open the file; a damaged one is set aside, and what can be read of it saved."""
    try:
        database = Database(path)
    except DamagedError as error:
        with alone(path):
            aside = set_database_aside(path, clock())
        database = Database(path)
        adopt_sealed_days(database, folder, area)
        saved = salvage(aside, database, folder, area)
        _log.error("%s; set aside as %s, %d rows of the open days saved", error, aside.name, saved)
    adopt_sealed_days(database, folder, area)
    return database


def _keep_promise(connection: sqlite3.Connection, closed_until: int) -> None:
    connection.execute(
        "insert into promise (one, closed_until) values (1, ?)"
        " on conflict (one) do update set closed_until = max(closed_until, excluded.closed_until)",
        (closed_until,),
    )


def _distinct(ids: Ints) -> tuple[Ints, Ints]:
    """Return the different ids, and for each row the place of its own; without sorting."""
    if not len(ids):
        return ids, ids
    low = int(ids.min())
    there = np.zeros(int(ids.max()) - low + 1, np.int64)
    there[ids - low] = 1
    places = np.cumsum(there) - 1
    return np.flatnonzero(there) + low, places[ids - low]


def _view(numbers: Ints | Floats) -> memoryview:
    return np.ascontiguousarray(numbers).data.toreadonly()
