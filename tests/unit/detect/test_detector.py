"""The detector on made-up series: what it calls, what it learns, and what it must not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from series import (
    COUNTRY,
    HOUR,
    START,
    Bins,
    by_key,
    country_atlas,
    hours,
    key,
    network_bins,
    noisy,
    run,
)

from netwatch.detect.detector import BayesFilterDetector
from netwatch.model.baseline_basis import BaselineKind
from netwatch.model.entities import EntityTree
from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, Level, SeriesKey

ONE = key("asn:64496")
NATION = key(str(COUNTRY))
TWO_DAYS = timedelta(days=2)


def detector(
    atlas: EntityTree | None = None, *, width: timedelta = HOUR, history: timedelta = TWO_DAYS
) -> BayesFilterDetector:
    return BayesFilterDetector(atlas or EntityTree(), width=width, min_history=history)


def single(values: list[float | None], *, total: float | None = None) -> Bins:
    """Return one series with a value an hour."""
    return [
        (time, [] if value is None else [Bin(time, ONE, value, total)])
        for time, value in zip(hours(len(values)), values, strict=True)
    ]


def steady(count: int, *, level: float = 1000.0, seed: int = 0) -> list[float | None]:
    noise = noisy(seed)
    return [level * noise() for _ in range(count)]


def day_shape(time: datetime) -> float:
    """Return a strong day: a fifth at night of what it is at noon."""
    return 0.6 - 0.4 * float(np.cos(2 * np.pi * time.hour / 24))


def levels_of(values: list[float | None]) -> list[Level]:
    return list(by_key(run(detector(), single(values)), ONE))


def test_a_young_series_has_no_level() -> None:
    assert run(detector(), single(steady(3))) == [[], [], []]
    assert levels_of(steady(47)) == []


def test_a_series_with_history_has_a_level_in_every_bin() -> None:
    levels = levels_of([*steady(48), 500.0, None, 1000.0])
    assert [level.time for level in levels] == hours(51)[48:]
    assert levels[0].value == pytest.approx(0.5, abs=0.02)
    assert levels[1].value is None
    assert levels[2].value == pytest.approx(1.0, abs=0.02)


def test_eight_bins_are_the_least_that_makes_an_ordinary_level() -> None:
    sparse: list[float | None] = [None] * 96
    for number in range(0, 96, 16):
        sparse[number] = 1000.0
    assert levels_of(sparse) == []


def test_a_loss_is_sure_within_two_hours() -> None:
    levels = levels_of([*steady(96), 20.0, 20.0, 20.0])
    assert all(level.probability < 0.1 for level in levels[:-3])
    assert levels[-2].probability > 0.95
    assert levels[-1].high is not None
    assert levels[-1].high < 0.5


def test_noise_is_not_a_loss() -> None:
    levels = levels_of(steady(24 * 28))
    assert max(level.probability for level in levels) < 0.5


def test_a_dip_is_judged_by_the_hour_of_the_day() -> None:
    values: list[float | None] = [1000 * day_shape(time) for time in hours(24 * 6)]
    noon, night = 24 * 5 + 12, 24 * 5
    for place in (noon, noon + 1):
        values[place] = 200.0
    levels = {level.time: level for level in levels_of(values)}
    times = hours(24 * 6)
    night_level, noon_level = levels[times[night]], levels[times[noon + 1]]
    assert night_level.value == pytest.approx(1.0, abs=0.1)
    assert night_level.probability < 0.2
    assert noon_level.value == pytest.approx(0.2, abs=0.05)
    assert noon_level.probability > 0.95
    assert noon_level.baseline.kind is BaselineKind.HOUR_OF_DAY


def test_quiet_weekends_are_ordinary_after_four_weeks_of_history() -> None:
    values: list[float | None] = [
        400.0 if time.weekday() >= 5 else 1000.0 for time in hours(24 * 7 * 6)
    ]
    history = detector(history=timedelta(weeks=5))
    levels = list(by_key(run(history, single(values)), ONE))
    assert [level.value for level in levels] == pytest.approx([1.0] * len(levels), abs=0.1)
    assert max(level.probability for level in levels) < 0.3
    assert levels[-1].baseline.kind is BaselineKind.HOUR_OF_WEEK


def test_a_slightly_quieter_weekend_is_learned() -> None:
    noise = noisy(3)
    values: list[float | None] = [
        (960.0 if time.weekday() >= 5 else 1000.0) * noise() for time in hours(24 * 7 * 8)
    ]
    levels = levels_of(values)
    weekend = [level.value for level in levels[-24 * 2 :]]
    assert np.mean([value for value in weekend if value is not None]) == pytest.approx(1, abs=0.02)
    assert max(level.probability for level in levels) < 0.8


def test_an_outage_in_the_training_span_is_left_out() -> None:
    history = BayesFilterDetector(EntityTree(), width=HOUR, min_history=timedelta(days=6))
    values = steady(24 * 6)
    values[60:84] = [20.0] * 24
    levels = list(by_key(run(history, single([*values, 1000.0, 1000.0])), ONE))
    assert [level.value for level in levels] == pytest.approx([1.0, 1.0], abs=0.05)


def test_nineteen_days_of_outage_are_not_learned() -> None:
    history, outage = steady(24 * 14), [40.0] * (24 * 19)
    trained = detector()
    run(trained, single(history))
    later = [(time + 14 * 24 * HOUR, row) for time, row in single(outage)]
    moved = [(time, [replace(entry, time=time) for entry in row]) for time, row in later]
    levels = list(by_key(run(trained, moved, frozen={ONE}), ONE))
    assert levels[-1].value == pytest.approx(0.04, abs=0.005)
    assert levels[-1].baseline.frozen_since == datetime(2026, 3, 16, tzinfo=UTC)


def test_even_unfrozen_a_deep_loss_is_hardly_learned() -> None:
    levels = levels_of([*steady(24 * 14), *[40.0] * (24 * 19)])
    assert levels[-1].value == pytest.approx(0.04, abs=0.01)


def test_a_series_that_is_always_zero_is_dead() -> None:
    levels = levels_of([0.0] * 60)
    assert {level.value for level in levels} == {None}
    assert {level.baseline.kind for level in levels} == {BaselineKind.DEAD}


def test_missing_data_is_not_a_loss_but_a_measured_zero_is() -> None:
    silent = levels_of([*steady(96), *[None] * 24])
    assert silent[-1].value is None
    assert silent[-1].probability < 0.2
    zero = levels_of([*steady(96), 0.0, 0.0, 0.0])
    assert zero[-1].value == 0.0
    assert zero[-1].probability > 0.99


def test_missing_bins_do_not_change_the_ordinary_level() -> None:
    gap: list[float | None] = [None] * 30
    levels = levels_of([*steady(96), *gap, 1000.0])
    assert levels[-1].value == pytest.approx(1.0, abs=0.03)


def test_shares_need_answers_enough_to_be_sure() -> None:
    def shares(total: float) -> list[Level]:
        values: list[float | None] = [total] * 72 + [0.0, 0.0]
        return list(by_key(run(detector(), single(values, total=total)), ONE))

    many = shares(50)
    assert many[-1].value == 0.0
    assert many[-1].probability > 0.99
    assert many[-1].high is not None
    assert many[-1].high < 0.15
    few = shares(1)
    assert few[-2].probability < many[-2].probability


def test_a_country_is_the_mean_of_its_networks() -> None:
    bins = network_bins(hours(72), lambda network, time: 1.0)
    cut = network_bins(
        [START + number * HOUR for number in (72, 73, 74)],
        lambda network, time: 0.0 if network < 2 else 1.0,
    )
    levels = list(by_key(run(detector(country_atlas()), bins + cut), NATION))
    assert levels[-1].value == pytest.approx(4 / 6, abs=0.02)
    assert (levels[-1].networks, levels[-1].coverage) == (6, 1.0)
    assert levels[-1].probability > 0.95
    assert levels[0].probability < 0.05


def test_a_network_without_data_lowers_the_coverage_alone() -> None:
    bins = network_bins(
        hours(80), lambda network, time: None if network < 2 and time >= START + 72 * HOUR else 1.0
    )
    levels = list(by_key(run(detector(country_atlas()), bins), NATION))
    assert levels[-1].coverage == pytest.approx(4 / 6)
    assert levels[-1].value == pytest.approx(1.0, abs=0.02)
    assert levels[-1].probability < 0.1


def test_too_little_coverage_gives_no_value() -> None:
    bins = network_bins(
        hours(80), lambda network, time: None if network < 5 and time >= START + 72 * HOUR else 0.9
    )
    levels = list(by_key(run(detector(country_atlas()), bins), NATION))
    assert levels[-1].value is None


def test_bins_of_a_wider_scope_do_not_replace_those_of_networks() -> None:
    bins = network_bins(hours(60), lambda network, time: 1.0)
    doctored = [(time, [*row, Bin(time, NATION, 1.0)]) for time, row in bins]
    assert run(detector(country_atlas()), doctored) == run(detector(country_atlas()), bins)


def test_the_order_of_bins_within_an_interval_does_not_matter() -> None:
    bins = network_bins(hours(90), lambda network, time: 0.2 if time > hours(80)[-1] else 1.0)
    turned = [(time, row[::-1]) for time, row in bins]
    plain = run(detector(country_atlas()), bins)
    other = run(detector(country_atlas()), turned)
    for left, right in zip(plain, other, strict=True):
        ours = {level.series: level for level in left}
        theirs = {level.series: level for level in right}
        assert ours.keys() == theirs.keys()
        for series, level in ours.items():
            assert theirs[series].value == pytest.approx(level.value, abs=1e-12)
            assert theirs[series].probability == pytest.approx(level.probability, abs=1e-9)


def course() -> Bins:
    """Return networks that train, are cut in the night, come back one by one, with a gap."""

    def level(network: int, time: datetime) -> float | None:
        hour = (time - START) // HOUR
        if hour in {75, 91}:
            return None
        if 80 <= hour < 100 + network:
            return 0.1
        return day_shape(time)

    return network_bins(hours(120), level)


def test_a_restored_state_continues_bit_for_bit_at_any_time() -> None:
    bins, atlas = course(), country_atlas()
    frozen: set[SeriesKey] = {NATION, ONE}
    whole = run(detector(atlas), bins, frozen=frozen)
    for stop in (1, 20, 47, 48, 60, 81, 90, 101, 110):
        first = detector(atlas)
        run(first, bins[:stop], frozen=frozen)
        second = detector(atlas)
        second.load(first.save())
        assert second.save() == first.save()
        assert run(second, bins[stop:], frozen=frozen) == whole[stop:], f"stopped at {stop}"


def test_a_frozen_country_freezes_what_lies_within_it() -> None:
    bins, country = course(), NATION.entity
    every = {NATION, *(entry.series for _, row in bins for entry in row)}
    frozen = run(detector(country_atlas()), bins, frozen=every)
    assert run(detector(country_atlas()), bins, frozen={NATION}) == frozen
    assert run(detector(country_atlas()), bins, frozen={SeriesKey("", country)}) == frozen
    free = run(detector(country_atlas()), bins)
    assert free != frozen
    assert run(detector(country_atlas()), bins, frozen={SeriesKey("bgp", country)}) == free


def test_a_series_that_is_fitted_during_an_incident_is_frozen_from_then_on() -> None:
    first, second = run(detector(), single(steady(50)), frozen={ONE})[-2:]
    assert first[0].time == hours(50)[48]
    assert first[0].baseline.frozen_since == first[0].time
    assert second[0].baseline.frozen_since == first[0].time


def test_a_used_detector_can_restore_another_state() -> None:
    bins, atlas = course(), country_atlas()
    other = detector(atlas)
    run(other, [(time, row[::-1]) for time, row in bins[:90]], frozen={ONE})
    first = detector(atlas)
    run(first, bins[:90], frozen={ONE})
    other.load(first.save())
    assert run(other, bins[90:], frozen={ONE}) == run(first, bins[90:], frozen={ONE})


def test_a_state_of_another_width_or_kind_is_refused() -> None:
    trained = detector()
    run(trained, single(steady(5)))
    saved = trained.save()
    with pytest.raises(StoreError, match="another version or bin width"):
        detector(width=timedelta(minutes=5)).load(saved)
    for damaged in (b"", b"nonsense", saved[:-40], saved[: len(saved) // 2]):
        with pytest.raises(StoreError, match="checkpoint: damaged"):
            detector().load(damaged)


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(
        st.one_of(st.none(), st.floats(0.001, 1e9), st.sampled_from([0.0, 1e-6, 1.0])),
        min_size=50,
        max_size=70,
    ),
    st.sampled_from([None, 1e9]),
)
def test_levels_are_consistent_for_any_input(
    values: list[float | None], total: float | None
) -> None:
    for step in run(detector(), single(values, total=total)):
        for level in step:
            assert 0 <= level.probability <= 1
            assert (level.value is None) == (level.low is None) == (level.high is None)
            if level.value is not None and level.low is not None and level.high is not None:
                assert np.isfinite([level.value, level.low, level.high]).all()
                assert level.low >= 0
                assert level.low <= level.high
