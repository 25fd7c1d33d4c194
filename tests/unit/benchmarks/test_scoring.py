"""The judge himself: matching, scores, intervals."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.detection.bootstrap import differences, draw_weights, score
from benchmarks.detection.panel import Detection, Levels, Panel, Verdict
from benchmarks.detection.scoring import judge
from benchmarks.detection.truth import Truth
from benchmarks.detection.world import World, WorldSize, make_world
from netwatch.lab.backtest.matching import Prediction, match_entity, predictions_of

START = datetime(2024, 1, 1, tzinfo=UTC)


def truth(
    start: int,
    end: int,
    *,
    kind: str = "outage",
    fault: bool = False,
    level: float = 0.1,
    required: bool = True,
) -> Truth:
    return Truth(
        event=0,
        kind=kind,
        fault=fault,
        entity="asn:1",
        start=start,
        end=end,
        level=level,
        required=required,
        size=50,
    )


def detection(
    start: int, end: int | None, *, said: int | None = None, confirmed: bool = True
) -> Detection:
    at = START + timedelta(minutes=start + 5 if said is None else said)
    until = None if end is None else START + timedelta(minutes=end)
    begun = START + timedelta(minutes=start)
    return Detection("asn:1", begun, until, at, at if confirmed else None, 0.1)


def small_world(truths: Sequence[Truth], *, bins: int = 2016) -> World:
    entities = ("asn:1",)
    rows = np.ones((len(entities), bins))
    for one in truths:
        if not one.fault:
            rows[entities.index(one.entity), one.start // 5 : one.end // 5] = one.level
    count = len(entities)
    panel = Panel(START, 5, entities, ("",) * count, np.ones(count), {"bgp": rows * 100}, {})
    sizes = np.full(count, 50)
    return World(panel, START, tuple(truths), rows, ("country:AA",) * count, sizes, "small")


def figures(
    world: World, detections: Sequence[Detection], levels: Levels | None = None
) -> dict[str, float]:
    outcome = judge(world, Verdict(tuple(detections), levels))
    names = sorted(set(outcome.clusters["cluster"]))
    scores = score([outcome], draw_weights(len(names), 50, seed=1), names)
    return {name: figure.value for name, figure in scores.figures.items()}


@pytest.mark.parametrize(
    ("start", "matched"), [(984, False), (985, True), (1000, True), (1099, True), (1100, False)]
)
def test_a_match_starts_at_most_a_quarter_hour_early_and_before_the_end(
    start: int,
    matched: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    found = match_entity([truth(1000, 1100)], [Prediction(start, 1200, start)], tolerance=15)
    assert (found.matches[0] is not None) == matched


def test_a_run_that_was_already_open_is_not_a_detection() -> None:
    found = match_entity([truth(1000, 1100)], [Prediction(500, 1090, 505)], tolerance=15)
    assert found.matches == (None,)
    assert len(found.false) == 1


def test_pairs_are_one_to_one_by_largest_overlap() -> None:
    runs = [Prediction(1000, 1020, 1005), Prediction(1040, 1100, 1045)]
    found = match_entity([truth(1000, 1100)], runs, tolerance=15)
    assert found.matches == (runs[1],)
    assert found.fragments == (runs[0],)
    assert found.false == ()


def test_runs_half_an_hour_apart_are_merged() -> None:
    runs = [detection(100, 120), detection(150, 160), detection(200, None)]
    found = predictions_of(runs, START, end=1000, confidence="confirmed")["asn:1"]
    assert [(one.start, one.end) for one in found] == [(100, 160), (200, 1000)]


def test_the_confirmed_tier_excludes_unconfirmed_runs() -> None:
    runs = [detection(100, 120, confirmed=False)]
    assert predictions_of(runs, START, end=1000, confidence="confirmed") == {}
    assert len(predictions_of(runs, START, end=1000, confidence="provisional")["asn:1"]) == 1


def test_rates_delays_and_errors_add_up() -> None:
    world = small_world([truth(1002, 1100), truth(3000, 3100), truth(6000, 6100, level=0.5)])
    runs = [detection(1000, 1110, said=1010), detection(3005, 3100), detection(5000, 5050)]
    found = figures(world, runs)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["false_per_week"] == pytest.approx(1 / (2016 * 5 / 10_080))
    assert found["false_time"] == pytest.approx(50 / (2016 * 5))
    # 1010 - 1002 and 3010 - 3000 minutes; the bin of the onset closes at 1005 and at 3005.
    assert (found["delay_p50"], found["delay_p90"]) == (8, 10)
    assert (found["late_p50"], found["late_p90"]) == (1, 1)
    assert (found["onset_error_p90"], found["end_error_p90"]) == (5, 10)


def test_an_excused_row_is_neither_a_hit_nor_a_miss() -> None:
    world = small_world([truth(1000, 1100), truth(3000, 3100, required=False)])
    with_it = figures(world, [detection(1000, 1100), detection(3000, 3100)])
    without = figures(world, [detection(1000, 1100)])
    assert with_it["precision"] == without["precision"] == 1
    assert with_it["recall"] == without["recall"] == 1


def test_an_alarm_on_a_fault_is_false_and_named() -> None:
    world = small_world([truth(1000, 1100), truth(3000, 3100, fault=True, kind="broker_down")])
    outcome = judge(world, Verdict((detection(3000, 3100), detection(5000, 5100))))
    assert outcome.alarms[["verdict", "fault"]].to_numpy().tolist() == [
        ["false", "broker_down"],
        ["false", ""],
    ]


def test_level_error_coverage_and_brier() -> None:
    world = small_world([truth(1000, 2000)])
    inside = world.levels[0] < 0.95
    level = np.where(world.levels < 1, 0.14, 1.0)
    levels = Levels(level, level - 0.05, level + 0.01, inside[None, :].astype(float))
    found = figures(world, [detection(1000, 2000)], levels)
    assert found["level_error"] == pytest.approx(0.04)
    assert found["event_level_error_p50"] == pytest.approx(0.04)
    assert np.isnan(found["large_level_error"])  # the network has 50 blocks
    assert found["coverage"] == 1
    assert found["brier"] == 0
    narrow = Levels(level, level - 0.01, level + 0.01, 1 - inside[None, :].astype(float))
    found = figures(world, [detection(1000, 2000)], narrow)
    assert found["coverage"] == 0
    assert found["brier"] == 1


def test_reliability_is_the_observed_frequency() -> None:
    world = small_world([truth(1000, 2000)])
    said = np.where(world.levels < 1, 0.93, 0.04)
    outcome = judge(world, Verdict((), Levels(world.levels, None, None, said)))
    names = ["small/country:AA"]
    rows = score([outcome], draw_weights(1, 5, seed=1), names).reliability
    assert [bins for _, _, bins in rows] == [2016 - 200, 200]
    assert [share for _, share, _ in rows] == [0, 1]
    assert [said for said, _, _ in rows] == pytest.approx([0.04, 0.93])


def test_an_oracle_is_perfect_and_silence_is_not() -> None:
    size = WorldSize(countries=4, regions=2, networks=4, scored_weeks=4, width=60)
    world = make_world(5, size)
    oracle = [
        Detection(
            one.entity,
            world.time(one.start),
            world.time(one.end),
            at := world.time(one.start),
            at,
            0,
        )
        for one in world.truths
        if one.required
    ]
    found = figures(world, oracle)
    assert found["precision"] == found["recall"] == found["f1"] == 1
    assert found["false_per_week"] == found["delay_p90"] == found["onset_error_p90"] == 0
    silent = figures(world, [])
    assert silent["recall"] == silent["f1"] == 0
    assert np.isnan(silent["precision"])


def test_intervals_are_drawn_by_country_and_differences_are_paired() -> None:
    size = WorldSize(countries=6, regions=2, networks=4, scored_weeks=4, width=60)
    world = make_world(6, size)
    rows = [one for one in world.truths if one.required]
    half = [detection_of(world, one) for one in rows if "country:AA" not in home(world, one.entity)]
    every = [detection_of(world, one) for one in rows]
    names = sorted({f"{world.name}/{country}" for country in world.countries})
    weights = draw_weights(len(names), 400, seed=2)
    good = score([judge(world, Verdict(tuple(every)))], weights, names)
    poor = score([judge(world, Verdict(tuple(half)))], weights, names)
    assert good.figures["recall"].low == good.figures["recall"].high == 1
    assert poor.figures["recall"].low < poor.figures["recall"].value < poor.figures["recall"].high
    gain = differences(good, poor, ["recall"])["recall"]
    assert gain.value == pytest.approx(1 - poor.figures["recall"].value)
    assert gain.low >= 0
    assert differences(good, good, ["f1"])["f1"].high == 0


def detection_of(world: World, one: Truth) -> Detection:
    at = world.time(one.start)
    return Detection(one.entity, at, world.time(one.end), at, at, 0)


def home(world: World, entity: str) -> str:
    return world.countries[world.panel.entities.index(entity)]
