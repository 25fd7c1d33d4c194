"""Each rival on a series small enough to work out by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.detection.baselines.chocolatine import fit, forecast_flags
from benchmarks.detection.baselines.common import coarser, filled, hold, weekly_profile
from benchmarks.detection.baselines.disco import bursts
from benchmarks.detection.baselines.focus import Hull, watch
from benchmarks.detection.baselines.ihr import deviations
from benchmarks.detection.baselines.ioda import judge_ioda, median_ratio
from benchmarks.detection.baselines.neighbours import judge_neighbours, nearest_forecast
from benchmarks.detection.baselines.ooni import blocked_hours, judge_ooni
from benchmarks.detection.baselines.richter import disruptions
from benchmarks.detection.baselines.seasonal import judge_seasonal
from benchmarks.detection.panel import Panel, Verdict
from netwatch.arrays import Floats

START = datetime(2024, 1, 1, tzinfo=UTC)
NAN = float("nan")


def panel(
    width: int, totals: dict[str, Floats] | None = None, **values: Sequence[float] | Floats
) -> Panel:
    rows = {name: np.atleast_2d(np.array(row, dtype=float)) for name, row in values.items()}
    count = next(iter(rows.values())).shape[0]
    names = tuple(f"asn:{64512 + i}" for i in range(count))
    return Panel(START, width, names, ("",) * count, np.ones(count), rows, totals or {})


def spans(verdict: Verdict) -> list[tuple[timedelta, timedelta | None]]:
    return [
        (found.started_at - START, None if found.ended_at is None else found.ended_at - START)
        for found in verdict.detections
    ]


def test_ioda_takes_the_lower_median_without_the_present() -> None:
    ratio = median_ratio(np.array([100, 200, 40, 90.0]), window=10, longest=10, paint=0.8)
    # Of [100, 200] the lower is 100; 40 is painted over with 100, so [100, 100, 200] remains.
    assert ratio[2] == pytest.approx(0.4)
    assert ratio[3] == pytest.approx(0.9)


def test_ioda_uses_only_bins_within_the_window() -> None:
    ratio = median_ratio(np.array([100, 100, 150, 150, 150, 150.0]), window=2, longest=9, paint=0.8)
    # Two bins of history: [100, 100], [100, 150], then [150, 150].
    assert ratio[2:].tolist() == pytest.approx([1.5, 1.5, 1.0, 1.0])


def test_ioda_makes_the_extreme_the_new_normal() -> None:
    row = np.array([100.0] * 6 + [40.0] * 6)
    ratio = median_ratio(row, window=6, longest=4, paint=0.8)
    # Painted for four bins; with the fifth the raw values become the history.
    assert ratio[6:10].tolist() == pytest.approx([0.4] * 4)
    assert ratio[10:].tolist() == pytest.approx([1.0, 1.0])


def test_ioda_has_no_ratio_below_twenty() -> None:
    assert np.isnan(
        median_ratio(np.array([19.0] * 5 + [0.0]), window=9, longest=9, paint=0.8)
    ).all()


def test_ioda_variants_differ_as_their_thresholds_do() -> None:
    bgp, probing = [100.0] * 48 + [90.0, 40.0, 100.0], [100.0] * 48 + [70.0, 70.0, 100.0]
    found = judge_ioda(panel(60, bgp=bgp, probing=probing), START + timedelta(hours=24))
    hour = timedelta(hours=1)
    assert spans(found["IODA any of 3 (99/80/25)"]) == [(48 * hour, 50 * hour)]
    assert spans(found["IODA 2 of 3 (99/80/25)"]) == [(48 * hour, 50 * hour)]
    assert spans(found["IODA critical (50/50/10)"]) == [(49 * hour, 50 * hour)]
    first = found["IODA any of 3 (99/80/25)"].detections[0]
    assert first.provisional_at == START + 49 * hour
    assert first.trough_level == pytest.approx(0.7)


def test_chocolatine_finds_its_own_coefficients() -> None:
    random = np.random.default_rng(3)
    noise = random.normal(size=6000)
    row = np.zeros(6000)
    for i in range(1, 6000):
        row[i] = 0.7 * row[i - 1] + noise[i] + 0.2 * noise[i - 1]
    model = fit(row[None, :] + 5, week=10, step=1)
    assert model.keep[0] == pytest.approx(0.7, abs=0.06)
    assert model.echo[0] == pytest.approx(0.2, abs=0.08)
    assert model.mean[0] == pytest.approx(5, abs=0.3)


def test_chocolatine_calls_a_drop_and_leaves_noise_alone() -> None:
    random = np.random.default_rng(4)
    week = 168
    season = 1000 + 300 * np.sin(np.arange(6 * week) * 2 * np.pi / 24)
    row = season + random.normal(0, 10, season.size)
    row[5 * week + 40 : 5 * week + 60] = 300
    flags, share = forecast_flags(row[None, :], first=4 * week, week=week, step=1)
    assert flags[0, 5 * week + 40 : 5 * week + 60].all()
    assert flags[0, : 5 * week + 40].mean() < 0.05
    assert np.nanmedian(share[0, 4 * week :]) == pytest.approx(1, abs=0.02)


def test_chocolatine_ignores_a_series_of_zeros() -> None:
    row = np.zeros((1, 600))
    row[0, ::3] = 5
    flags, _ = forecast_flags(row, first=400, week=100, step=1)
    assert not flags.any()


def test_ihr_counts_robust_deviations() -> None:
    distance, share = deviations(np.array([[100, 102, 98, 100, 80.0]]), 4)
    # Median 100, mean distance 1, least distance 1 % of 100: scale 1.4826 x 2.
    assert distance[0, 4] == pytest.approx(-20 / 2.9652)
    assert share[0, 4] == pytest.approx(0.8)
    assert np.isnan(distance[0, :4]).all()


def test_ihr_wants_most_of_its_history() -> None:
    distance, _ = deviations(np.array([[100, NAN, NAN, 100, 80.0]]), 4)
    assert np.isnan(distance[0, 4])


def test_richter_begins_below_half_and_ends_at_four_fifths_of_the_minimum() -> None:
    row = np.array([[100, 80, 90, 100, 39, 50, 63, 64, 100.0]])
    # The minimum is 80: below 40 begins, 64 ends.
    assert disruptions(row, window=4)[0].tolist() == [False] * 4 + [True] * 3 + [False] * 2


def test_richter_ignores_small_series() -> None:
    assert not disruptions(np.array([[39.0] * 6 + [0.0] * 3]), window=4).any()


def test_nearest_days_forecast_the_days_after_them() -> None:
    days = np.array([[1, 10], [5, 50]] * 10, dtype=float)
    forecast = nearest_forecast(days.reshape(1, -1), day=2)
    # After a (5, 50) day always came a 1, and after (50, 1) a 10.
    assert forecast[0, -4:].tolist() == [1, 10, 5, 50]
    assert np.isnan(forecast[0, :4]).all()


def test_nearest_days_want_two_low_hours() -> None:
    row = np.full(24 * 20, 100.0)
    row[300] = 10
    row[400:403] = 10
    found = judge_neighbours(panel(60, probing=row), START + timedelta(days=7))
    hour = timedelta(hours=1)
    assert spans(found["kNN, Cloudflare-like"]) == [(401 * hour, 403 * hour)]


def test_disco_calls_a_burst_and_not_a_trickle() -> None:
    steady, burst = np.full(200, 20.0), np.full(200, 20.0)
    steady[50:] = np.maximum(15, 20 - np.arange(150) // 30)
    burst[100:120] = 5
    burst[120:] = 13
    assert not bursts(steady, width=5).any()
    low = np.flatnonzero(bursts(burst, width=5))
    # 15 of 20 left; half of them are back with 12.5.
    assert low.tolist() == list(range(100, 120))


def test_ooni_needs_six_hours_of_full_blocking_and_eleven_to_clear() -> None:
    score = np.array([0.0] * 10 + [1.0] * 20 + [0.0] * 20)
    flags = blocked_hours(score)
    # 0.65 an hour passes 3.5 in the 6th; back, 0.35 an hour passes it in the 11th.
    assert np.flatnonzero(flags).tolist() == list(range(15, 40))


def test_ooni_never_sees_a_third_and_skips_empty_hours() -> None:
    assert not blocked_hours(np.full(200, 0.35)).any()
    assert blocked_hours(np.full(11, 0.7)).tolist() == [False] * 10 + [True]
    gaps = np.array([1.0, NAN] * 6)
    assert np.flatnonzero(blocked_hours(gaps)).tolist() == [10, 11]


def test_ooni_halves_its_memory_over_long_gaps() -> None:
    score = np.full(60, NAN)
    score[:5] = 1
    score[53] = 1
    # 3.25 after five hours; 49 h later it is 3.25 x 0.5^(49/48) + 0.65, far from 3.5.
    assert not blocked_hours(score).any()


def test_ooni_reads_the_failed_share() -> None:
    total = np.full((1, 40), 9.0)
    value = np.full((1, 40), 9.0)
    value[0, 20:] = 1
    found = judge_ooni(panel(60, {"reachability": total}, reachability=value), START)
    assert spans(found["OONI CUSUM"]) == [(timedelta(hours=25), None)]


def test_focus_is_the_best_likelihood_ratio() -> None:
    hull = Hull()
    values = [hull.add(count, 10.0) for count in (10, 10, 2, 2)]
    assert values[:2] == [0, 0]
    # The last two bins: 4 counts where 20 were due, 20 - 4 + 4 ln(4/20).
    assert values[3] == pytest.approx(16 + 4 * np.log(0.2))


def test_focus_prunes_nothing_that_could_win() -> None:
    random = np.random.default_rng(5)
    hull, counts = Hull(), random.poisson(6, 300)
    counts[150:] = random.poisson(4, 150)
    longest = 0
    for end, count in enumerate(counts.tolist(), 1):
        found = hull.add(count, 6.0)
        longest = max(longest, len(hull.points))
        best = 0.0
        for start in range(end):
            seen, due = counts[start:end].sum(), 6.0 * (end - start)
            if seen < due:
                best = max(best, due - seen + (seen * np.log(seen / due) if seen else 0))
        assert found == pytest.approx(best)
    assert longest < 30


def test_focus_alarms_on_a_drop_and_ends_after_three_ordinary_bins() -> None:
    counts = np.full(400, 50.0)
    counts[300:320] = 10
    flags, share = watch(counts, np.full(400, 50.0), first=200, per_day=24)
    assert np.flatnonzero(flags).tolist() == list(range(300, 322))
    assert share[305] == pytest.approx(0.2, rel=0.01)


def test_seasonal_naive_compares_with_last_week() -> None:
    random = np.random.default_rng(6)
    row = 100 + random.normal(0, 1, 168 * 4)
    row[168 * 3 + 10 : 168 * 3 + 14] = 50
    found = judge_seasonal(panel(60, probing=row), START + timedelta(weeks=2))
    hour = timedelta(hours=1)
    name = "seasonal naive + MAD (probing)"
    assert spans(found[name]) == [((168 * 3 + 10) * hour, (168 * 3 + 14) * hour)]


def test_common_steps() -> None:
    rows = np.array([[1, NAN, 3, NAN, NAN, 6.0]])
    assert filled(rows).tolist() == [[1, 1, 3, 3, 3, 6]]
    assert filled(np.array([[NAN, 2.0]])).tolist() == [[2, 2]]
    known, flags = np.array([[True, False, True]]), np.array([[True, False, False]])
    assert hold(flags, known).tolist() == [[True, True, False]]
    hourly = coarser(panel(30, bgp=[1, 3, 5, NAN, NAN, NAN]), 60)
    assert hourly.width == 60
    assert hourly.values["bgp"][0, :2].tolist() == [2, 5]
    assert np.isnan(hourly.values["bgp"][0, 2])
    weekly = panel(60, bgp=np.tile(np.arange(168.0), 3))
    assert weekly_profile(weekly.values["bgp"], weekly, 336)[0, :5].tolist() == [0, 1, 2, 3, 4]
