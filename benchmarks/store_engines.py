"""The engines that `benchmarks.store` compares, each with the code it is fastest with."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import duckdb
import numpy as np

from netwatch.model.series import Bin, SeriesKey
from netwatch.model.time import to_micros
from netwatch.protocols import SeriesStore
from netwatch.store.sqlite import SqliteStore

__all__ = ["DuckEngine", "Engine", "PlainSqlite", "StoreEngine", "embedded", "influx"]

Span = tuple[datetime, datetime]


class Engine(Protocol):
    """The operations that are measured."""

    name: str
    second_process: bool

    def put(self, bins: Sequence[Bin]) -> None: ...

    def settle(self) -> None:
        """Do what the engine does with past days: compact, checkpoint."""

    def one(self, key: SeriesKey, span: Span) -> int:
        """Read one series; return how many rows."""

    def country(self, keys: Sequence[SeriesKey], span: Span) -> int:
        """Sum many series by time; return how many sums."""

    def newest(self, time: datetime) -> int:
        """Read all series of one bin; return how many."""

    def size(self) -> int:
        """Return the bytes on disk, of the embedded store those of compacted days."""

    def close(self) -> None: ...


class StoreEngine:
    """Any `SeriesStore`, through its protocol alone."""

    second_process = True

    def __init__(self, name: str, store: SeriesStore, size: Callable[[], int]) -> None:
        self.name = name
        self.store = store
        self.size = size

    def put(self, bins: Sequence[Bin]) -> None:
        self.store.put_bins(bins)

    def settle(self) -> None:
        if isinstance(self.store, SqliteStore):
            list(self.store.compact(keep=timedelta(days=1)))

    def one(self, key: SeriesKey, span: Span) -> int:
        return len(list(self.store.read_bins(*span, series=key)))

    def country(self, keys: Sequence[SeriesKey], span: Span) -> int:
        columns = self.store.read_columns(*span, series=keys)
        times = np.asarray(columns.times)
        steps = (times - times.min()) // 300_000_000
        sums = np.bincount(steps, np.asarray(columns.values))
        return len(sums)

    def newest(self, time: datetime) -> int:
        return len(self.store.read_columns(time, time + timedelta(seconds=1)).values)

    def close(self) -> None:
        self.store.close()


def embedded(folder: Path, now: datetime, area: dict[str, str]) -> StoreEngine:
    """Return the embedded store with the areas of `area` by code."""
    store = SqliteStore(
        folder / "series.sqlite",
        clock=lambda: now,
        area=lambda entity: area.get(entity.code, ""),
    )
    return StoreEngine("embedded", store, lambda: tree_size(folder / "days"))


def influx(address: str, folder: Path) -> StoreEngine:
    """Return the InfluxDB at `address`, which keeps its files in `folder`."""
    from netwatch.store.influx.store import InfluxStore  # noqa: PLC0415 - an extra of its own

    return StoreEngine("influxdb", InfluxStore.at(address), lambda: tree_size(folder))


def tree_size(folder: Path) -> int:
    """Return the bytes of all files under `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class PlainSqlite:
    """One row a bin, keyed by time and series, without rowid."""

    name = "plain sqlite"
    second_process = True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "plain.sqlite"
        self._ids: dict[SeriesKey, int] = {}
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        run = self._connection.execute
        run("pragma journal_mode = wal")
        run("pragma synchronous = normal")
        run("pragma cache_size = -65536")
        run(
            "create table if not exists bins (time integer, series integer, value real,"
            " total real, primary key (time, series)) without rowid"
        )

    def put(self, bins: Sequence[Bin]) -> None:
        rows = [(to_micros(b.time), self._id(b.series), b.value, b.total) for b in bins]
        self._connection.execute("begin immediate")
        self._connection.executemany(
            "insert into bins values (?, ?, ?, ?) on conflict (time, series)"
            " do update set value = excluded.value, total = excluded.total",
            rows,
        )
        self._connection.execute("commit")

    def settle(self) -> None:
        self._connection.execute("pragma wal_checkpoint(truncate)")

    def one(self, key: SeriesKey, span: Span) -> int:
        found = self._connection.execute(
            "with recursive grid(t) as (select ?1 union all select t + 300000000 from grid"
            " where t + 300000000 < ?2) select time, value, total from grid"
            " cross join bins on time = t and series = ?3",
            (*map(to_micros, span), self._ids[key]),
        )
        return len(found.fetchall())

    def country(self, keys: Sequence[SeriesKey], span: Span) -> int:
        ids = [self._ids[key] for key in keys]
        found = self._connection.execute(
            "with recursive grid(t) as (select ?1 union all select t + 300000000 from grid"
            " where t + 300000000 < ?2) select time, sum(value), sum(total) from grid"
            " cross join bins on time = t and series between ?3 and ?4 group by time",
            (*map(to_micros, span), min(ids), max(ids)),
        )
        return len(found.fetchall())

    def newest(self, time: datetime) -> int:
        found = self._connection.execute(
            "select series, value, total from bins where time = ?", (to_micros(time),)
        )
        return len(found.fetchall())

    def size(self) -> int:
        return self._path.stat().st_size

    def close(self) -> None:
        self._connection.close()

    def _id(self, key: SeriesKey) -> int:
        return self._ids.setdefault(key, len(self._ids))


class DuckEngine:
    """One table without a key, so nothing is found twice but nothing is overwritten either."""

    name = "duckdb"
    second_process = False

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bins.duckdb"
        self._ids: dict[SeriesKey, int] = {}
        self._connection = duckdb.connect(str(self._path))
        self._connection.execute(
            "create table bins (time bigint, series integer, value double, total double)"
        )

    def put(self, bins: Sequence[Bin]) -> None:
        rows = {
            "time": np.array([to_micros(b.time) for b in bins]),
            "series": np.array([self._id(b.series) for b in bins], np.int32),
            "value": np.array([b.value for b in bins]),
            "total": np.array([b.total for b in bins], np.float64),
        }
        self._connection.register("rows", rows)
        self._connection.execute("insert into bins select * from rows")
        self._connection.unregister("rows")

    def settle(self) -> None:
        self._connection.execute("checkpoint")

    def one(self, key: SeriesKey, span: Span) -> int:
        found = self._connection.execute(
            "select time, value, total from bins where series = ? and time >= ? and time < ?"
            " order by time",
            (self._ids[key], *map(to_micros, span)),
        )
        return len(found.fetchall())

    def country(self, keys: Sequence[SeriesKey], span: Span) -> int:
        ids = [self._ids[key] for key in keys]
        found = self._connection.execute(
            "select time, sum(value), sum(total) from bins where series between ? and ?"
            " and time >= ? and time < ? group by time",
            (min(ids), max(ids), *map(to_micros, span)),
        )
        return len(found.fetchall())

    def newest(self, time: datetime) -> int:
        found = self._connection.execute(
            "select series, value, total from bins where time = ?", (to_micros(time),)
        )
        return len(found.fetchnumpy()["series"])

    def size(self) -> int:
        return self._path.stat().st_size

    def close(self) -> None:
        self._connection.close()

    def _id(self, key: SeriesKey) -> int:
        return self._ids.setdefault(key, len(self._ids))
