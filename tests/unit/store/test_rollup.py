"""Rollups: sums that stay true, gaps that are no declines, the same however often."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.protocols import SeriesStore
from netwatch.store.copy import copy_store
from netwatch.store.memory import MemoryStore
from netwatch.store.rollup import RESOLUTIONS, apply_retention, roll_up
from netwatch.store.sqlite import SqliteStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
END = T0 + timedelta(days=900)
ASN, OTHER, PLAIN = (
    SeriesKey(signal, Entity(EntityKind.ASN, code))
    for signal, code in (("reachability", "7"), ("reachability", "8"), ("bgp", "7"))
)


@pytest.fixture(params=["memory", "sqlite"])
def pair(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[SeriesStore, SeriesStore]]:
    if request.param == "memory":
        yield MemoryStore(), MemoryStore()
        return
    stores = [SqliteStore(tmp_path / name / "series.sqlite") for name in ("fine", "coarse")]
    yield stores[0], stores[1]
    for store in stores:
        store.close()


def test_trials_are_summed_quantities_averaged_and_gaps_left_out(
    pair: tuple[SeriesStore, SeriesStore],
) -> None:
    fine, coarse = pair
    fine.put_bins(
        [
            *(Bin(T0 + step * MINUTE, ASN, 3.0, 4.0) for step in range(5)),
            Bin(T0 + MINUTE, PLAIN, 100.0),
            Bin(T0 + 3 * MINUTE, PLAIN, 50.0),
            Bin(T0 + 5 * MINUTE, OTHER, 0.0, 9.0),
            Bin(T0 + 9 * MINUTE, ASN, 7.0, 7.0),
        ],
        closed_until=T0 + 9 * MINUTE,
    )
    assert roll_up(fine, coarse, 5 * MINUTE) == 2
    assert list(coarse.read_bins(T0, END)) == [Bin(T0, PLAIN, 75.0), Bin(T0, ASN, 15.0, 20.0)]
    assert coarse.closed_until() == T0 + 5 * MINUTE
    fine.put_bins([], closed_until=T0 + 10 * MINUTE)
    roll_up(fine, coarse, 5 * MINUTE)
    assert list(coarse.read_bins(T0 + 5 * MINUTE, END)) == [
        Bin(T0 + 5 * MINUTE, ASN, 7.0, 7.0),
        Bin(T0 + 5 * MINUTE, OTHER, 0.0, 9.0),
    ]


def test_a_rollup_keeps_the_lowest_level_and_skips_missing_ones(
    pair: tuple[SeriesStore, SeriesStore],
) -> None:
    fine, coarse = pair
    values = [0.9, None, 0.2, 0.5]
    fine.put_levels(
        [
            *(
                Level(T0 + step * MINUTE, ASN, value, networks=step)
                for step, value in enumerate(values)
            ),
            *(Level(T0 + step * MINUTE, OTHER, None) for step in range(4)),
        ]
    )
    fine.put_bins([], closed_until=T0 + HOUR)
    roll_up(fine, coarse, HOUR)
    assert list(coarse.read_levels(T0, END)) == [
        Level(T0, ASN, 0.2, networks=2),
        Level(T0, OTHER, None),
    ]


def test_late_data_is_included_and_a_repeat_changes_nothing(
    pair: tuple[SeriesStore, SeriesStore],
) -> None:
    fine, coarse = pair
    bins = [Bin(T0 + step * 7 * MINUTE, ASN, 0.1 * step, 1.0) for step in range(400)]
    fine.put_bins(bins, closed_until=T0 + 48 * HOUR)
    roll_up(fine, coarse, HOUR)
    first = list(coarse.read_bins(T0, END))
    assert len(first) == 47
    roll_up(fine, coarse, HOUR)
    assert list(coarse.read_bins(T0, END)) == first
    late = T0 + 30 * HOUR
    before = next(iter(coarse.read_bins(late, late + HOUR))).value
    fine.put_bins([Bin(late + MINUTE / 2, ASN, 100.0, 100.0)])
    roll_up(fine, coarse, HOUR)
    (changed,) = coarse.read_bins(late, late + HOUR)
    assert changed.value == pytest.approx(before + 100.0)
    assert [b for b in coarse.read_bins(T0, END) if b.time != late] == [
        b for b in first if b.time != late
    ]


def test_an_hour_of_five_minutes_is_an_hour_of_minutes(
    pair: tuple[SeriesStore, SeriesStore],
) -> None:
    fine, coarse = pair
    fine.put_bins(
        [Bin(T0 + step * MINUTE, ASN, float(step % 3), 3.0) for step in range(120)],
        closed_until=T0 + 2 * HOUR,
    )
    middle = MemoryStore()
    roll_up(fine, middle, 5 * MINUTE)
    roll_up(middle, coarse, HOUR)
    assert list(coarse.read_bins(T0, END)) == [
        Bin(T0, ASN, 60.0, 180.0),
        Bin(T0 + HOUR, ASN, 60.0, 180.0),
    ]


def test_bins_are_rolled_up_before_they_are_dropped(tmp_path: Path) -> None:
    now = T0 + timedelta(days=30)
    raw, five, hourly = (MemoryStore() for _ in range(3))
    days = [Bin(T0 + timedelta(days=day), ASN, 1.0, 1.0) for day in range(30)]
    raw.put_bins(days, closed_until=T0 + timedelta(days=5))
    maintained = apply_retention(list(zip(RESOLUTIONS, (raw, five, hourly), strict=True)), now)
    assert [row.dropped for row in maintained] == [5, 0, 0]
    assert list(raw.read_bins(T0, END)) == days[5:]
    raw.put_bins([], closed_until=now)
    maintained = apply_retention(list(zip(RESOLUTIONS, (raw, five, hourly), strict=True)), now)
    assert [row.dropped for row in maintained] == [11, 0, 0]
    assert list(hourly.read_bins(T0, END)) == days
    assert list(five.read_bins(T0, END)) == days
    later = T0 + timedelta(days=740)
    apply_retention(list(zip(RESOLUTIONS, (raw, five, hourly), strict=True)), later)
    assert list(raw.read_bins(T0, END)) == []
    assert len(list(five.read_bins(T0, END))) == 30 - 9
    assert list(hourly.read_bins(T0, END)) == days


def test_a_copy_between_engines_is_equal_and_resumes(tmp_path: Path) -> None:
    source = SqliteStore(tmp_path / "series.sqlite")
    target = MemoryStore()
    bins = [Bin(T0 + step * 17 * HOUR, key, 1.0) for step in range(60) for key in (PLAIN, ASN)]
    levels = [Level(T0 + step * 17 * HOUR, ASN, None) for step in range(60)]
    source.put_bins(bins, closed_until=T0 + 1000 * HOUR)
    source.put_levels(levels)
    list(source.compact(keep=timedelta(days=5)))
    copy_store(source, target, end=T0 + 500 * HOUR)
    assert target.closed_until() == T0 + 500 * HOUR
    copied = copy_store(source, target, end=END)
    assert copied.bins < len(bins)
    assert list(target.read_bins(T0, END)) == bins
    assert list(target.read_levels(T0, END)) == levels
    assert target.closed_until() == source.closed_until()
    source.close()
