from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from netwatch.incidents.changepoints import change_points, segment_levels
from netwatch.model.entities import Entity
from netwatch.model.series import Level, SeriesKey

_KEY = SeriesKey("reachability", Entity.parse("country:IR"))
_START = datetime(2019, 11, 16, 16, 30, tzinfo=UTC)
_HALF_HOUR = timedelta(minutes=30)


def _levels(values: list[float | None], width: timedelta = _HALF_HOUR) -> list[Level]:
    return [
        Level(_START + index * width, _KEY, None)
        if value is None
        else Level(_START + index * width, _KEY, value, max(0.0, value - 0.03), value + 0.03)
        for index, value in enumerate(values)
    ]


def _noisy(steps: list[tuple[float, int]], noise: float, memory: float, seed: int) -> list[float]:
    """Steps (level, bins) with noise that grows with the root of the level."""
    draws = np.random.default_rng(seed)
    slow, values = 0.0, []
    for level, bins in steps:
        for _ in range(bins):
            slow = memory * slow + draws.normal(0, noise * np.sqrt(1 - memory**2))
            values.append(max(0.0, level + slow * np.sqrt(level)))
    return values


def test_steps_of_a_progressive_loss_and_a_partial_return() -> None:
    steps = [(0.7, 8), (0.4, 8), (0.07, 100), (0.38, 4), (0.04, 60)]
    segments = segment_levels(_levels(_noisy(steps, 0.03, 0.3, 1)), _HALF_HOUR)
    assert [round(one.level, 1) for one in segments] == [0.7, 0.4, 0.1, 0.4, 0.0]
    assert [one.bins for one in segments] == [8, 8, 100, 4, 60]
    assert segments[3].start == _START + 116 * _HALF_HOUR
    assert segments[3].end == segments[4].start == _START + 120 * _HALF_HOUR
    assert all(one.low < one.level < one.high for one in segments)


def test_a_flat_noisy_loss_is_one_segment() -> None:
    counts = [
        len(segment_levels(_levels(_noisy([(0.3, 300)], 0.1, 0.6, seed)), _HALF_HOUR))
        for seed in range(20)
    ]
    assert counts.count(1) >= 16


def test_a_gap_adds_no_bins_but_may_lie_in_a_segment() -> None:
    values = [0.1] * 10 + [None] * 5 + [0.1] * 10
    (segment,) = segment_levels(_levels(values), _HALF_HOUR)
    assert segment.bins == 20
    assert segment.end - segment.start == 25 * _HALF_HOUR
    assert segment_levels(_levels([None, None]), _HALF_HOUR) == ()
    assert segment_levels([], _HALF_HOUR) == ()


def test_a_single_outlier_is_not_a_segment() -> None:
    values: list[float | None] = [0.1] * 30
    values[12] = 0.9
    assert len(segment_levels(_levels(values), _HALF_HOUR)) == 1


def test_zero_stays_zero() -> None:
    (segment,) = segment_levels(_levels([0.0] * 8), _HALF_HOUR)
    assert (segment.level, segment.low) == (0.0, 0.0)


def test_lengths_are_in_time_not_in_bins() -> None:
    minute = timedelta(minutes=5)
    values: list[float | None] = [0.1] * 40 + [0.6] * 3 + [0.1] * 40
    assert len(segment_levels(_levels(values, minute), minute)) == 1
    assert len(segment_levels(_levels(values), _HALF_HOUR)) == 3


def test_change_points_are_the_best_there_are() -> None:
    """Against every way to cut a short series in three."""
    values = np.array(_noisy([(0.9, 7), (0.3, 9), (0.6, 8)], 0.05, 0.0, 3))

    def cost(first: int, second: int) -> float:
        parts = (values[:first], values[first:second], values[second:])
        return float(sum(((part - part.mean()) ** 2).sum() for part in parts))

    pairs = [(a, b) for a in range(2, 21) for b in range(a + 2, 23)]
    assert change_points(values, min_bins=2, noise=0.05) == list(
        min(pairs, key=lambda pair: cost(*pair))
    )


@pytest.mark.parametrize("size", [0, 1, 3])
def test_too_short_a_series_has_no_change(size: int) -> None:
    assert change_points(np.ones(size), min_bins=2, noise=0.1) == []
