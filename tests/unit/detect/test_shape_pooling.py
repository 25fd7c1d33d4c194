"""A series that comes late is judged by its neighbours' day and week, not by its first hours."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from series import HOUR, START, Bins, by_key, country_atlas, hours, key, noisy, run

from netwatch.detect.detector import BayesFilterDetector
from netwatch.model.series import Bin, Level

LATE = "asn:64501"
DAY = timedelta(days=1)
ARRIVES = START + 4 * 7 * DAY + DAY
"""A Tuesday, four weeks after the others."""


def shape(time: datetime) -> float:
    """A strong day, and weekends at two fifths."""
    day = 0.7 - 0.3 * float(np.cos(2 * np.pi * time.hour / 24))
    return day * (0.4 if time.weekday() >= 5 else 1.0)


def world(weeks: int, *, lost: tuple[datetime, datetime] | None = None) -> Bins:
    """Return hourly traffic of six networks, one of which arrives late."""
    noise, bins = noisy(2, spread=0.02), Bins()
    for time in hours(24 * 7 * weeks):
        row = []
        for number in range(6):
            name = f"asn:{64496 + number}"
            if name == LATE and time < ARRIVES:
                continue
            cut = name == LATE and lost is not None and lost[0] <= time < lost[1]
            value = 1000 * (number + 1) * shape(time) * noise() * (0.05 if cut else 1.0)
            row.append(Bin(time, key(name, "traffic"), value))
        bins.append((time, row))
    return bins


def evaluate(bins: Bins) -> list[Level]:
    detector = BayesFilterDetector(country_atlas(), width=HOUR, min_history=28 * DAY)
    return list(by_key(run(detector, bins), key(LATE, "traffic")))


def test_a_late_series_is_judged_after_two_days() -> None:
    levels = evaluate(world(5))
    assert levels[0].time == ARRIVES + 2 * DAY


def test_its_first_weekend_is_that_of_its_neighbours() -> None:
    levels = evaluate(world(6))
    weekend = [level for level in levels if level.time.weekday() >= 5][:48]
    assert [level.value for level in weekend] == pytest.approx([1.0] * 48, abs=0.15)
    assert max(level.probability for level in weekend) < 0.5


def test_a_loss_on_a_first_weekend_is_detected() -> None:
    saturday = ARRIVES + 4 * DAY + 10 * HOUR
    levels = evaluate(world(6, lost=(saturday, saturday + 8 * HOUR)))
    sure = [level.time for level in levels if level.probability > 0.95]
    assert sure
    assert saturday <= sure[0] <= saturday + 2 * HOUR
    assert sure[-1] <= saturday + 10 * HOUR
