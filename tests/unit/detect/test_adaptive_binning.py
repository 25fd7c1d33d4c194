"""Few counts: bins are put together until they can say something, and then they do."""

from datetime import timedelta

import numpy as np
import pytest
from series import START, by_key, key, run

from netwatch.detect.adaptive_binning import choose_bin_factor, rebin
from netwatch.detect.detector import BayesFilterDetector
from netwatch.model.entities import EntityTree
from netwatch.model.series import Bin, Level

FIVE = timedelta(minutes=5)
PER_DAY = 288
NAME = key("asn:64496", "traffic")


def replies(rate: float, days: int, *, gone: tuple[int, int] = (0, 0), seed: int = 4) -> list[int]:
    """Return Poisson counts in bins of five minutes, none at all in the bins `gone`."""
    counts = np.random.default_rng(seed).poisson(rate, days * PER_DAY)
    counts[slice(*gone)] = 0
    return [int(count) for count in counts]


def evaluate(counts: list[int], *, teach: int = 7) -> list[Level]:
    detector = BayesFilterDetector(EntityTree(), width=FIVE, min_history=timedelta(days=teach))
    bins = [
        (START + number * FIVE, [Bin(START + number * FIVE, NAME, count)])
        for number, count in enumerate(counts)
    ]
    return list(by_key(run(detector, bins), NAME))


@pytest.mark.parametrize(
    ("rate", "bins"), [(20.0, 1), (3.2, 1), (2.0, 3), (0.6, 6), (0.3, 12), (0.01, 12)]
)
def test_the_window_follows_the_rate(rate: float, bins: int) -> None:
    values = np.array(replies(rate, 28), dtype=float)[:, None]
    assert choose_bin_factor(values, FIVE).tolist() == [bins]


def test_fractions_and_zeros_are_not_rebinned() -> None:
    shares = np.random.default_rng(1).uniform(0.5, 1.0, (500, 1))
    assert choose_bin_factor(shares, FIVE).tolist() == [1]
    assert choose_bin_factor(np.zeros((500, 1)), FIVE).tolist() == [1]


def test_no_window_is_longer_than_an_hour_nor_splits_a_bin() -> None:
    values = np.array(replies(0.1, 7), dtype=float)[:, None]
    assert choose_bin_factor(values, timedelta(minutes=20)).tolist() == [3]
    assert choose_bin_factor(values, timedelta(minutes=60)).tolist() == [1]
    assert choose_bin_factor(values, timedelta(hours=2)).tolist() == [1]


def test_windows_follow_the_clock_and_mostly_missing_ones_are_empty() -> None:
    times = [START + number * FIVE for number in range(1, 9)]
    values = np.array([1.0, 2.0, np.nan, np.nan, 6.0, 1.0, 1.0, 1.0])[:, None]
    starts, means = rebin(times, values, bins=3, width=FIVE)
    assert starts == [times[0], times[2], times[5]]
    np.testing.assert_allclose(means[:, 0], [1.5, np.nan, 1.0])


def test_hours_without_replies_are_a_loss_though_empty_bins_are_ordinary() -> None:
    """Every second bin is empty in ordinary times; eight hours of them are not."""
    gone = (9 * PER_DAY, 9 * PER_DAY + 96)
    levels = evaluate(replies(0.6, 11, gone=gone))
    valued = [level for level in levels if level.value is not None]
    assert len(valued) == len(levels) // 6
    start = START + 9 * timedelta(days=1)
    sure = [level.time for level in valued if level.probability > 0.95]
    assert sure
    assert start <= sure[0] <= start + timedelta(hours=4)
    assert sure[-1] <= start + timedelta(hours=10)
    during = [level for level in valued if start <= level.time < start + timedelta(hours=8)]
    assert [level.value for level in during] == [0.0] * 16
    assert all(level.high is not None and level.high < 1.2 for level in during)


@pytest.mark.parametrize("seed", range(4))
def test_few_counts_give_no_alarm_by_themselves(seed: int) -> None:
    levels = evaluate(replies(0.6, 13, seed=seed))
    assert max(level.probability for level in levels) < 0.9
    values = [level.value for level in levels if level.value is not None]
    assert np.mean(values) == pytest.approx(1.0, abs=0.1)


def test_a_reply_an_hour_is_judged_by_the_hour() -> None:
    gone = (20 * PER_DAY, 21 * PER_DAY)
    levels = evaluate(replies(1 / 12, 22, gone=gone), teach=14)
    valued = [level for level in levels if level.value is not None]
    assert len(valued) == len(levels) // 12
    ordinary = [level.value for level in valued[:120] if level.value is not None]
    assert np.mean(ordinary) == pytest.approx(1.0, abs=0.3)
    before = [level.probability for level in valued if level.time < START + timedelta(days=20)]
    assert max(before) < 0.9
    # A chain that returns every six hours cannot be surer of one count an hour.
    assert valued[24 * 7 - 1].probability > 0.8


def test_a_half_missing_window_has_a_value_and_an_empty_one_does_not() -> None:
    counts = replies(0.6, 8)
    detector = BayesFilterDetector(EntityTree(), width=FIVE, min_history=timedelta(days=7))
    bins = []
    for number, count in enumerate(counts):
        time = START + number * FIVE
        hour = number - 7 * PER_DAY
        missing = 6 <= hour < 9 or 12 <= hour < 18
        bins.append((time, [] if missing else [Bin(time, NAME, count)]))
    levels = list(by_key(run(detector, bins), NAME))[1:]
    assert levels[10].value is not None
    assert levels[16].value is None


def test_a_restored_state_continues_within_a_window() -> None:
    counts = replies(0.6, 8)
    bins = [
        (START + number * FIVE, [Bin(START + number * FIVE, NAME, count)])
        for number, count in enumerate(counts)
    ]
    whole = BayesFilterDetector(EntityTree(), width=FIVE, min_history=timedelta(days=7))
    expected = run(whole, bins)
    stop = 7 * PER_DAY + 100
    first = BayesFilterDetector(EntityTree(), width=FIVE, min_history=timedelta(days=7))
    run(first, bins[:stop])
    second = BayesFilterDetector(EntityTree(), width=FIVE, min_history=timedelta(days=7))
    second.load(first.save())
    assert run(second, bins[stop:]) == expected[stop:]
