"""The drills tell right answers from wrong ones; netwatch's own are in the detector's tests."""

import numpy as np
import pytest

from benchmarks.detection.baselines.ioda import judge_ioda
from benchmarks.detection.fault_drills import DRILLS, Drill, complaints, make_drill
from benchmarks.detection.panel import Detection, Levels, Verdict


def call(drill: Drill, start: int, end: int, entity: str = "country:AA") -> Detection:
    at = drill.world.time(start)
    return Detection(entity, at, drill.world.time(end), at, at, 0.1)


def oracle(drill: Drill) -> Verdict:
    calls = tuple(call(drill, first, last) for first, last in drill.calls)
    return Verdict(calls, Levels(drill.world.levels))


@pytest.mark.parametrize("name", DRILLS)
def test_the_right_answer_draws_no_complaint(name: str) -> None:
    drill = make_drill(name, width=60)
    assert complaints(drill, oracle(drill)) == []


@pytest.mark.parametrize("name", [name for name in DRILLS if "outage" in name or "curfew" in name])
def test_silence_is_wrong_where_something_happens(name: str) -> None:
    drill = make_drill(name, width=60)
    assert len(complaints(drill, Verdict(()))) == len(drill.calls)


@pytest.mark.parametrize("name", ["broker_down", "vantage_broken", "clock_shift"])
def test_a_false_alarm_is_named(name: str) -> None:
    drill = make_drill(name, width=60)
    first, last = drill.quiet[0]
    for entity in ("country:BB", "asn:64512"):
        wrong = complaints(drill, Verdict((call(drill, first + 60, last, entity),)))
        assert len(wrong) == 1
        assert entity in wrong[0]


def test_a_migration_may_be_called_for_three_days_but_not_nationally() -> None:
    drill = make_drill("prefix_migration", width=60)
    start = drill.shut_after - 3 * 1440
    short, long = call(drill, start, start + 2880, "asn:64514"), call(drill, start, start + 9999)
    assert complaints(drill, Verdict((short,))) == []
    assert len(complaints(drill, Verdict((long,)))) == 2


def test_a_learned_outage_shows_in_the_level() -> None:
    drill = make_drill("outage_31_days", width=60)
    learned = np.where(drill.world.levels < 0.5, 0.3, 1.0)
    calls = oracle(drill).detections
    assert complaints(drill, Verdict(calls, Levels(learned))) == ["the level ends +23.0 points off"]


def test_a_late_end_and_a_split_are_wrong() -> None:
    drill = make_drill("outage_7_days", width=60)
    first, last = drill.calls[0]
    late = Verdict((call(drill, first, last + 600),))
    assert "ends +600 minutes off" in complaints(drill, late)[0]
    split = Verdict((call(drill, first, first + 600), call(drill, first + 900, last)))
    assert "2 runs" in complaints(drill, split)[0]


def test_the_rolling_median_fails_drills_that_it_must_fail() -> None:
    """IODA's own rule learns a 31-day outage, and falls for a dead signal."""
    drill = make_drill("outage_31_days", width=60)
    verdict = judge_ioda(drill.world.panel, drill.world.training_until)["IODA critical (50/50/10)"]
    assert complaints(drill, verdict)
