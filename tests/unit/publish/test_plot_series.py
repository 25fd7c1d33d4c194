from datetime import UTC, datetime, timedelta

import pytest
from hourly_levels import hourly_levels

from netwatch.model.entities import Entity
from netwatch.model.series import Level, SeriesKey
from netwatch.publish.plot_series import gaps, ordinary_band, phases, resample, round_marks, trace

START = datetime(2019, 11, 16, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = SeriesKey("reachability", Entity.parse("country:IR"))


def _levels(*values: float | None, skip: tuple[int, ...] = ()) -> list[Level]:
    levels = hourly_levels("country:IR", START, values)
    return [level for at, level in enumerate(levels) if at not in skip]


def test_a_missing_level_is_a_gap() -> None:
    line = trace(_levels(1.0, None, 0.5, 0.5, 0.0, skip=(3,)))
    assert line.values == (100.0, None, 50.0, None, 0.0)
    assert gaps(line) == [
        (START + HOUR, START + 2 * HOUR),
        (START + 3 * HOUR, START + 4 * HOUR),
    ]


def test_adjacent_gaps_are_merged() -> None:
    line = trace(_levels(1.0, None, None, None, 1.0))
    assert gaps(line) == [(START + HOUR, START + 4 * HOUR)]


def test_a_line_ends_with_its_last_level_where_bins_have_become_shorter() -> None:
    levels = _levels(1.0, 1.0, 1.0) + [
        Level(START + 3 * HOUR + half, KEY, 0.5) for half in (timedelta(0), HOUR / 2)
    ]
    line = trace(levels)
    assert line.values == (100.0, 100.0, 100.0, 50.0)
    assert gaps(line) == []


def test_no_levels_give_an_empty_line() -> None:
    line = trace([])
    assert (line.values, gaps(line), phases(line), round_marks(line)) == ((), [], [], [])


def test_a_gap_ends_a_phase() -> None:
    line = trace(_levels(1.0, 0.07, 0.05, None, 0.05))
    assert [(depth, (end - start) / HOUR) for depth, start, end in phases(line)] == [
        ("ordinary", 1),
        ("near_total", 2),
        ("near_total", 1),
    ]


def test_a_mean_ignores_missing_levels() -> None:
    levels = _levels(1.0, None, 0.5, 0.0, None, None)
    assert resample(levels, START, START + 6 * HOUR, 2 * HOUR) == [100.0, 25.0, None]


def test_steps_cover_the_whole_span_and_nothing_outside() -> None:
    levels = _levels(1.0, 0.5, 0.2, 0.1)
    shown = resample(levels, START + HOUR, START + 3.5 * HOUR, HOUR)
    assert shown == [50.0, 20.0, 10.0]
    assert resample(levels, START, START, HOUR) == []


def test_the_ordinary_band_ignores_the_outage() -> None:
    line = trace(_levels(*[0.98, 1.0, 1.02] * 8, *[0.05] * 40))
    low, high = ordinary_band(line, START + 24 * HOUR)
    assert (low, high) == pytest.approx((98.0, 102.0))
    assert ordinary_band(line, None) == (95.0, 105.0)
    assert ordinary_band(line, START + 2 * HOUR) == (95.0, 105.0)


@pytest.mark.parametrize("step", [timedelta(seconds=1), timedelta(minutes=5), HOUR, 24 * HOUR])
@pytest.mark.parametrize("count", [1, 2, 60, 700])
def test_ticks_are_few_and_inside_the_line(step: timedelta, count: int) -> None:
    line = trace([Level(START + at * step, KEY, 1.0) for at in range(count)], step=step)
    marks = round_marks(line)
    assert len(marks) <= 7
    assert all(line.times[0] <= mark < line.times[-1] + line.step for mark in marks)
    if count >= 60:
        assert len(marks) >= 2
