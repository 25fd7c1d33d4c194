"""Copies between InfluxDB and other stores, and rollups between two databases."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from influx_servers import AS_CORE, fresh_login, open_store

from netwatch.app.factories import open_store as open_configured_store
from netwatch.config import Config, StoreConfig
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.protocols import SeriesStore
from netwatch.store.copy import copy_store
from netwatch.store.influx.store import InfluxStore
from netwatch.store.memory import MemoryStore
from netwatch.store.rollup import roll_up
from netwatch.store.sqlite import SqliteStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
END = T0 + timedelta(days=20)
HOUR = timedelta(hours=1)


@pytest.fixture(params=[None, AS_CORE], ids=["influx", "like-core"])
def two(request: pytest.FixtureRequest) -> Iterator[tuple[InfluxStore, InfluxStore]]:
    """Two databases: bins as measured, and hourly ones."""
    with ExitStack() as stack:
        stores = [
            open_store(stack.enter_context(fresh_login()), dialect=request.param) for _ in range(2)
        ]
        for store in stores:
            stack.callback(store.close)
        yield stores[0], stores[1]


def fill(store: SeriesStore) -> None:
    """Store two days, a week apart, of bins with totals and of plain quantities."""
    keys = [SeriesKey("reachability", Entity(EntityKind.ASN, str(code))) for code in range(1, 4)]
    plain = SeriesKey("latency", Entity(EntityKind.COUNTRY, "IR"))
    for day in (0, 8):
        for step in range(0, 288, 2):
            time = T0 + timedelta(days=day, minutes=5 * step)
            store.put_bins(
                [
                    *(Bin(time, key, float(step % 7), 7.0) for key in keys),
                    Bin(time, plain, step / 3),
                ],
                closed_until=time + timedelta(minutes=5),
            )
    levels = [
        Level(T0 + timedelta(minutes=5 * step), keys[0], None if step % 5 == 0 else step / 99)
        for step in range(99)
    ]
    store.put_levels(levels)


def content(store: SeriesStore) -> tuple[list[Bin], list[Level], datetime | None]:
    bins, levels = list(store.read_bins(T0, END)), list(store.read_levels(T0, END))
    return bins, levels, store.closed_until()


@pytest.mark.timeout(60)
def test_a_store_is_copied_to_influxdb_and_back_without_loss(
    two: tuple[InfluxStore, InfluxStore], tmp_path: Path
) -> None:
    embedded, back = SqliteStore(tmp_path / "series.sqlite"), MemoryStore()
    fill(embedded)
    copied = copy_store(embedded, two[0], end=END)
    assert copied.bins == 2 * 144 * 4
    assert content(two[0]) == content(embedded)
    assert copy_store(embedded, two[0], end=END).bins < copied.bins
    copy_store(two[0], back, end=END)
    assert content(back) == content(embedded)
    embedded.close()


@pytest.mark.timeout(60)
def test_repeated_rollups_equal_those_in_memory(
    two: tuple[InfluxStore, InfluxStore],
) -> None:
    raw, hourly = MemoryStore(), MemoryStore()
    fill(raw)
    roll_up(raw, hourly, HOUR)
    copy_store(raw, two[0], end=END)
    for _ in range(2):
        roll_up(*two, HOUR)
        assert content(two[1]) == content(hourly)
    # The very last hour is not over yet.
    assert len(content(hourly)[0]) == (2 * 24 - 1) * 4


def test_the_observatory_rolls_up_into_the_configured_database() -> None:
    """With `rollup_database`, closed bins are stored as hours; repeating it changes nothing."""
    with fresh_login() as fine, fresh_login() as coarse:
        config = Config(
            store=StoreConfig(engine="influx"),
            stores={
                "influx": {
                    "url": fine.url,
                    "database": fine.database,
                    "username": fine.username,
                    "password": fine.password,
                    "rollup_database": coarse.database,
                }
            },
        )
        with closing(open_configured_store(config)) as store, closing(open_store(coarse)) as wider:
            fill(store)
            for _ in range(2):
                store.maintain(datetime.now(UTC))
            raw, hourly = MemoryStore(), MemoryStore()
            fill(raw)
            roll_up(raw, hourly, HOUR)
            assert content(wider)[0] == content(hourly)[0]
