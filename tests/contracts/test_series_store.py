"""What every series store does, row by row, whatever keeps it."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from contracts.stores import STORES

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import InputError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.protocols import BinColumns, SeriesStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
END = T0 + timedelta(days=40)
FROZEN = Baseline(BaselineKind.HOUR_OF_DAY, 5, frozen_since=T0, shifted_to=0.4)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SeriesStore]:
    with request.param(tmp_path) as made:
        yield made


def key(
    code: str = "44244", kind: EntityKind = EntityKind.ASN, signal: str = "reachability"
) -> SeriesKey:
    return SeriesKey(signal, Entity(kind, code))


def bin_at(
    step: int, series: SeriesKey | None = None, value: float = 1.0, total: float | None = 4.0
) -> Bin:
    return Bin(T0 + step * STEP, series or key(), value, total)


def all_bins(store: SeriesStore) -> list[Bin]:
    return list(store.read_bins(T0 - timedelta(days=400), END))


def test_is_empty_at_first(store: SeriesStore) -> None:
    assert all_bins(store) == []
    assert list(store.read_levels(T0, END)) == []
    assert list(store.read_bins(T0, END, series=key())) == []
    assert store.closed_until() is None
    assert len(store.read_columns(T0, END).values) == 0


def test_writing_nothing_changes_nothing(store: SeriesStore) -> None:
    store.put_bins([])
    store.put_levels([])
    assert all_bins(store) == []
    assert store.closed_until() is None


def test_bins_round_trip(store: SeriesStore) -> None:
    bins = [bin_at(0, value=3.0, total=7.0), bin_at(1, value=0.1 + 0.2, total=None)]
    store.put_bins(bins)
    assert all_bins(store) == bins


@pytest.mark.parametrize("value", [0.0, 1.0, 100.0, -2.5, 1e-300, 1e300, 2.0**53 + 2])
@pytest.mark.parametrize("total", [None, 0.0, 100.0])
def test_zero_none_and_hundred_are_distinct(
    store: SeriesStore, value: float, total: float | None
) -> None:
    store.put_bins([bin_at(0, value=value, total=total)])
    (found,) = all_bins(store)
    assert (found.value, found.total) == (value, total)


def test_writing_again_changes_nothing(store: SeriesStore) -> None:
    bins = [bin_at(step, key(str(code))) for step in range(3) for code in range(1, 4)]
    store.put_bins(bins)
    first = all_bins(store)
    store.put_bins(bins)
    store.put_bins(list(reversed(bins)))
    assert all_bins(store) == first
    assert len(first) == 9


def test_the_newest_value_of_a_bin_wins(store: SeriesStore) -> None:
    store.put_bins([bin_at(0, value=1.0), bin_at(0, key("1"), value=1.0), bin_at(1, value=1.0)])
    store.put_bins([bin_at(0, value=2.0, total=None)])
    assert [bin_.value for bin_ in store.read_bins(T0, END, series=key())] == [2.0, 1.0]
    (other,) = store.read_bins(T0, END, series=key("1"))
    assert other.value == 1.0
    assert next(iter(store.read_bins(T0, END, series=key()))).total is None


def test_the_last_value_of_a_bin_in_a_write_wins(store: SeriesStore) -> None:
    store.put_bins([bin_at(0, value=1.0), bin_at(0, value=9.0)])
    (found,) = all_bins(store)
    assert found.value == 9.0


def test_reads_are_ordered_by_time_then_series(store: SeriesStore) -> None:
    keys = [
        key("9", signal="presence"),
        key("10"),
        key("9"),
        key("IR", EntityKind.COUNTRY),
        key("IR-07", EntityKind.REGION),
        key("example.org", EntityKind.DOMAIN),
    ]
    bins = [bin_at(step, series, value=float(step)) for step in range(3) for series in keys]
    for bin_ in reversed(bins[7:]):
        store.put_bins([bin_])
    store.put_bins(bins[:7])
    assert all_bins(store) == sorted(bins, key=lambda bin_: (bin_.time, bin_.series))


def test_the_end_of_a_span_is_left_out(store: SeriesStore) -> None:
    store.put_bins([bin_at(step) for step in range(5)])
    found = store.read_bins(T0 + STEP, T0 + 3 * STEP)
    assert [bin_.time for bin_ in found] == [T0 + STEP, T0 + 2 * STEP]
    assert list(store.read_bins(T0 + STEP, T0 + STEP)) == []
    assert list(store.read_bins(T0 + 3 * STEP, T0)) == []


def test_reads_one_series_of_many(store: SeriesStore) -> None:
    keys = [key(str(code)) for code in range(1, 301)]
    store.put_bins([bin_at(step, series, value=step) for step in range(3) for series in keys])
    found = list(store.read_bins(T0, END, series=keys[150]))
    assert [(bin_.series, bin_.value) for bin_ in found] == [(keys[150], step) for step in range(3)]
    assert list(store.read_bins(T0, END, series=key("999"))) == []


def test_series_that_differ_in_one_part_are_separate(store: SeriesStore) -> None:
    keys = [key("IR", kind, signal) for kind in EntityKind for signal in ("presence", "latency")]
    store.put_bins([bin_at(0, series, value=place) for place, series in enumerate(keys)])
    for place, series in enumerate(keys):
        (found,) = store.read_bins(T0, END, series=series)
        assert found.value == place


@pytest.mark.parametrize(
    "code",
    [
        "with space, comma=equals \"quotes\" \\backslash\\ 'single'",
        "ends with backslash\\",
        "# looks like a comment",
        "تهران.ایران",
        "例え.テスト",
        "a'; drop table bins; --",
        "$1 ${x} %s {0} *?",
        "😀",
        "i",
        "null",
        "NaN",
    ],
)
def test_names_may_hold_any_character_that_can_be_printed(store: SeriesStore, code: str) -> None:
    series = key(code, EntityKind.DOMAIN, signal=code)
    store.put_bins([bin_at(0, series), bin_at(0, key("plain"))])
    store.put_levels([Level(T0, series, 0.5)])
    assert list(store.read_bins(T0, END, series=series)) == [bin_at(0, series)]
    (level,) = store.read_levels(T0, END, series=series)
    assert level.series == series


def test_times_keep_their_microseconds(store: SeriesStore) -> None:
    times = [T0 + timedelta(microseconds=1), T0 + timedelta(seconds=1, microseconds=999_999)]
    store.put_bins([Bin(time, key(), 1.0) for time in times])
    assert [bin_.time for bin_ in all_bins(store)] == times


def test_a_time_in_another_zone_is_the_same_instant(store: SeriesStore) -> None:
    tehran = T0.astimezone(datetime.strptime("+0330", "%z").tzinfo)
    store.put_bins([Bin(tehran, key(), 1.0)])
    (found,) = store.read_bins(tehran, END)
    assert found.time == T0
    assert found.time.utcoffset() == timedelta(0)


def test_the_closing_time_is_stored_with_the_bins_and_never_decreases(store: SeriesStore) -> None:
    store.put_bins([bin_at(0)], closed_until=T0 + STEP)
    assert store.closed_until() == T0 + STEP
    store.put_bins([bin_at(1)])
    assert store.closed_until() == T0 + STEP
    store.put_bins([bin_at(2)], closed_until=T0)
    assert store.closed_until() == T0 + STEP
    store.put_bins([], closed_until=T0 + 3 * STEP)
    assert store.closed_until() == T0 + 3 * STEP


def test_late_bins_before_the_promise_are_still_taken(store: SeriesStore) -> None:
    store.put_bins([bin_at(5)], closed_until=T0 + 6 * STEP)
    store.put_bins([bin_at(1)])
    assert [bin_.time for bin_ in all_bins(store)] == [T0 + STEP, T0 + 5 * STEP]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (bin_at(0, value=math.nan), "value is nan"),
        (bin_at(0, value=math.inf), "value is inf"),
        (bin_at(0, total=math.nan), "total is nan"),
        (Bin(T0.replace(tzinfo=None), key(), 1.0), "no zone"),
        (Bin(datetime.now(UTC) + timedelta(days=365), key(), 1.0), "in the future"),
        (Bin(datetime(1969, 1, 1, tzinfo=UTC), key(), 1.0), "before 1970"),
        (bin_at(0, key("")), "no name"),
        (bin_at(0, key("line\nbreak")), "cannot be printed"),
        (bin_at(0, key("half \ud83d")), "cannot be printed"),
    ],
)
def test_an_invalid_bin_is_reported_and_others_are_stored(
    store: SeriesStore, bad: Bin, message: str
) -> None:
    good = [bin_at(1), bin_at(2, key("7"))]
    with pytest.raises(InputError, match=message) as raised:
        store.put_bins([good[0], bad, good[1]], closed_until=T0 + 3 * STEP)
    assert "\n" not in str(raised.value)
    assert all_bins(store) == good
    assert store.closed_until() == T0 + 3 * STEP


def test_an_invalid_closing_time_is_refused_and_the_bins_are_stored(store: SeriesStore) -> None:
    with pytest.raises(InputError, match="closed_until"):
        store.put_bins([bin_at(0)], closed_until=datetime.now(UTC) + timedelta(days=365))
    assert all_bins(store) == [bin_at(0)]
    assert store.closed_until() is None


def test_reads_want_aware_times(store: SeriesStore) -> None:
    for read in (store.read_bins, store.read_levels, store.read_columns):
        with pytest.raises(InputError, match="no time zone"):
            read(T0.replace(tzinfo=None), END)


def level_at(
    step: int, series: SeriesKey | None = None, value: float | None = 0.07, **more: float | Baseline
) -> Level:
    return Level(T0 + step * STEP, series or key(), value, **more)


def test_levels_round_trip(store: SeriesStore) -> None:
    level = level_at(
        0, low=0.045, high=0.1, probability=0.999, coverage=0.5, networks=12, baseline=FROZEN
    )
    store.put_levels([level])
    assert list(store.read_levels(T0, END)) == [level]


@pytest.mark.parametrize("value", [None, 0.0, 1.0, 1.37])
def test_a_level_without_a_value_is_not_zero(store: SeriesStore, value: float | None) -> None:
    store.put_levels([level_at(0, value=value), level_at(0, key("1"), value=1.0)])
    (found,) = store.read_levels(T0, END, series=key())
    assert found.value == value
    assert (found.value is None) == (value is None)
    assert (found.low, found.high) == (None, None)


def test_levels_are_rewritten_ordered_and_cut_like_bins(store: SeriesStore) -> None:
    keys = [key("9"), key("10"), key("IR", EntityKind.COUNTRY)]
    levels = [level_at(step, series) for step in range(4) for series in keys]
    store.put_levels(list(reversed(levels)))
    store.put_levels(levels)
    store.put_levels([level_at(0, keys[0], value=None, baseline=FROZEN)])
    found = list(store.read_levels(T0, T0 + 3 * STEP))
    order = sorted(levels[:9], key=lambda level: (level.time, level.series))
    assert [(level.time, level.series) for level in found] == [
        (level.time, level.series) for level in order
    ]
    (changed,) = [level for level in found if level.value is None]
    assert changed.baseline == FROZEN
    assert [level.time for level in store.read_levels(T0, END, series=keys[1])] == [
        T0 + step * STEP for step in range(4)
    ]


def test_levels_and_bins_do_not_mix(store: SeriesStore) -> None:
    store.put_levels([level_at(0)])
    assert all_bins(store) == []
    store.put_bins([bin_at(1)])
    assert [level.time for level in store.read_levels(T0, END)] == [T0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (level_at(0, value=math.nan), "value is nan"),
        (level_at(0, low=math.inf), "low is inf"),
        (level_at(0, probability=math.nan), "probability is nan"),
        (Level(datetime.now(UTC) + timedelta(days=365), key(), 1.0), "in the future"),
        (Level(T0.replace(tzinfo=None), key(), 1.0), "no zone"),
    ],
)
def test_an_invalid_level_is_reported_and_others_are_stored(
    store: SeriesStore, bad: Level, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        store.put_levels([bad, level_at(1)])
    assert list(store.read_levels(T0, END)) == [level_at(1)]


def as_bins(columns: BinColumns) -> list[Bin]:
    rows = zip(columns.index, columns.times, columns.values, columns.totals, strict=True)
    return sorted(
        (
            Bin(
                datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time),
                columns.keys[place],
                value,
                None if math.isnan(total) else total,
            )
            for place, time, value, total in rows
        ),
        key=lambda bin_: (bin_.time, bin_.series),
    )


def test_columns_hold_the_same_bins(store: SeriesStore) -> None:
    keys = [key(str(code)) for code in range(1, 200)]
    bins = [
        bin_at(step, series, value=float(step), total=None if step == 1 else 5.0)
        for step in range(4)
        for series in keys
    ]
    store.put_bins(bins)
    assert as_bins(store.read_columns(T0, END)) == all_bins(store)
    some = keys[3:150]
    chosen = store.read_columns(T0 + STEP, T0 + 3 * STEP, series=[*some, key("none")])
    wanted = list(store.read_bins(T0 + STEP, T0 + 3 * STEP))
    assert as_bins(chosen) == [bin_ for bin_ in wanted if bin_.series in some]
    assert set(chosen.keys) == set(some)
    assert len(store.read_columns(T0, END, series=[]).values) == 0
    one = store.read_columns(T0, END, series=[keys[5]])
    assert as_bins(one) == list(store.read_bins(T0, END, series=keys[5]))


def test_columns_are_views_of_numbers(store: SeriesStore) -> None:
    store.put_bins([bin_at(0, value=3.0, total=None)])
    columns = store.read_columns(T0, END)
    assert np.asarray(columns.times).dtype == np.int64
    assert np.asarray(columns.values).tolist() == [3.0]
    assert np.isnan(np.asarray(columns.totals)).all()
    assert columns.values.readonly


def test_long_reads_see_every_row_once(store: SeriesStore) -> None:
    keys = [key(str(code)) for code in range(1, 40)]
    times = [T0 + timedelta(hours=7 * hop) for hop in range(60)]
    bins = [Bin(time, series, 1.0) for time in times for series in keys]
    store.put_bins(bins)
    found = list(store.read_bins(datetime(1971, 1, 1, tzinfo=UTC), END))
    assert found == sorted(bins, key=lambda bin_: (bin_.time, bin_.series))


def test_writes_during_a_read_are_safe(store: SeriesStore) -> None:
    store.put_bins([bin_at(step) for step in range(50)])
    reading = store.read_bins(T0, END, series=key())
    first = next(reading)
    store.put_bins([bin_at(step, key("5")) for step in range(50)])
    assert [first, *reading] == [bin_at(step) for step in range(50)]


def test_a_promise_about_the_future_is_taken_back(store: SeriesStore) -> None:
    store.reopen(T0)
    assert store.closed_until() is None
    store.put_bins([bin_at(0)], closed_until=T0 + STEP)
    store.put_bins([bin_at(1)], closed_until=T0 + 2 * STEP)
    store.put_bins([bin_at(2)], closed_until=T0 + 3 * STEP)
    store.reopen(T0 + 4 * STEP)
    assert store.closed_until() == T0 + 3 * STEP
    store.reopen(T0 + STEP)
    assert store.closed_until() == T0 + STEP
    assert len(all_bins(store)) == 3
    store.put_bins([], closed_until=T0 + 2 * STEP)
    assert store.closed_until() == T0 + 2 * STEP
