"""One thing happens to a small world, and the detector gives the one right answer to it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from benchmarks.detection.fault_drills import DRILLS, complaints, make_drill
from benchmarks.detection.ours import judge_ours
from netwatch.lab.backtest.runner import run_backtest

QUICK = {"public_holiday", "prefix_migration", "vantage_broken"}
START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "width"),
    [
        pytest.param(
            name, width, marks=() if width == 60 and name in QUICK else (pytest.mark.long,)
        )
        for name in DRILLS
        for width in (5, 30, 60)
    ],
)
def test_a_drill_has_the_expected_outcome(name: str, width: int) -> None:
    drill = make_drill(name, width=width)
    verdict = judge_ours(drill.world.panel, drill.world.training_until)["netwatch"]
    assert complaints(drill, verdict) == []


def probed(
    minutes: int, *, left: float, asked: float | None, signal: str = "probing"
) -> pd.DataFrame:
    """Return a network that falls to `left` at noon of its sixth day, for six hours."""
    random = np.random.default_rng(11)
    times = pd.date_range(START, periods=int(6.5 * 1440 / minutes), freq=f"{minutes}min")
    fell = (times >= START + 5.5 * DAY) & (times < START + 5.75 * DAY)
    chance = np.where(fell, 0.9 * left, 0.9)
    value = random.binomial(400, chance) if asked is None else random.binomial(int(asked), chance)
    table = pd.DataFrame({"time": times, "entity": "asn:64500", "signal": signal, "value": value})
    return table if asked is None else table.assign(total=asked)


@pytest.mark.parametrize("asked", [None, 40.0], ids=["counts", "answers"])
@pytest.mark.parametrize("minutes", [5, 30, 60])
def test_a_collapse_that_probing_alone_sees_is_sure_within_two_bins(
    minutes: int, asked: float | None
) -> None:
    _, incidents = run_backtest(probed(minutes, left=0.1, asked=asked))
    [incident] = incidents
    fell, width = START + 5.5 * DAY, timedelta(minutes=minutes)
    assert datetime.fromisoformat(str(incident["started_at"])) == fell
    assert datetime.fromisoformat(str(incident["confirmed_at"])) <= fell + 2 * width


def test_routes_alone_open_nothing_above_a_network() -> None:
    """Two fifths of every network's routes go, and nobody else sees a thing."""
    table = probed(30, left=0.6, asked=None, signal="bgp")
    national = pd.concat(
        [table.assign(entity=f"asn:{64500 + one}", parent="country:XT") for one in range(5)]
    )
    _, incidents = run_backtest(national)
    assert [one for one in incidents if one["confirmed_at"] and one["entity"] == "country:XT"] == []
