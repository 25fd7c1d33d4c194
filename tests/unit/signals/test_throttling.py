"""Slower than ever, against the vantage's own pace."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from benchmarks.detection.fleet import area_under_curve, make_fleet
from netwatch.model.measurement import Measurement, Observation, Target, Vantage
from netwatch.signals.attribution.contingency import VantageTargetLabels, table_from_matrix
from netwatch.signals.attribution.model import attribute
from netwatch.signals.attribution.trust import trust_vantages
from netwatch.signals.relative_speed import count_speed, slowness
from netwatch.signals.throttling import Speeds, judge_speed

SEEDS = (101, 102, 103)
START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)


def speeds(seed: int = 1) -> Speeds:
    """Return eight vantages in four networks at twenty targets, all at their ordinary pace."""
    random = np.random.default_rng(seed)
    usual = np.exp(random.normal(-1, 0.5, (8, 20)))
    return Speeds(
        slowness=usual * np.exp(random.normal(0, 0.1, (8, 20))),
        usual=usual,
        counts=np.full((8, 20), 3.0),
        networks=np.repeat(np.arange(4), 2),
        controls=np.arange(20) < 5,
        trusted=np.ones(8, bool),
    )


def slowed(where: object, factor: float = 2.0) -> Speeds:
    found = speeds()
    found.slowness[where] *= factor
    return found


def test_a_path_at_half_its_rate_stands_out() -> None:
    found = judge_speed(slowed(np.s_[4:6, 9]))
    assert found.network_score.argmax() == 2 * 20 + 9
    assert found.network_slowness[2, 9] == pytest.approx(np.log(2), abs=0.25)
    assert np.sort(found.network_score.ravel())[-2] < found.network_score.max() / 2
    assert (np.delete(found.score[4:6], 9, axis=1) < found.score[4:6, 9].min()).all()


def test_a_slow_line_is_no_throttle() -> None:
    found = judge_speed(slowed(np.s_[4, :], 5.0))
    assert found.network_score.max() < 5
    assert np.abs(found.slowness[4]).max() < 0.5


def test_a_slow_target_is_no_throttle() -> None:
    found = judge_speed(slowed(np.s_[:, 9], 3.0))
    assert found.network_score[:, 9].max() < 4


def test_all_but_the_controls_slow_is_a_throttle_of_all() -> None:
    found = judge_speed(slowed(np.s_[4:6, 5:]))
    assert np.median(found.network_slowness[2, 5:]) == pytest.approx(np.log(2), abs=0.15)


def test_no_data_stays_no_data_and_nobody_untrusted_is_asked() -> None:
    one = slowed(np.s_[4:6, 9])
    one.slowness[0, 0] = np.nan
    one.usual[1, 1] = np.nan
    found = judge_speed(replace(one, trusted=np.arange(8) != 7))
    assert np.isnan(found.slowness[0, 0])
    assert np.isnan(found.slowness[1, 1])
    assert np.isnan(found.score[7]).all()
    assert np.isfinite(found.network_score).all()
    nobody = judge_speed(replace(one, trusted=np.zeros(8, bool)))
    assert np.isnan(nobody.network_score).all()


def test_area_under_the_curve_at_half_rate_on_synthetic_fleets() -> None:
    """20 agents and 50 targets: .95, by rate and by time."""
    for seed in SEEDS:
        fleet = make_fleet(seed)
        scores: dict[str, list[np.ndarray]] = {"rate": [], "seconds": []}
        for number, tried in enumerate(fleet.trials):
            got = fleet.successes[number]
            table = table_from_matrix(
                tried, got, fleet.network, VantageTargetLabels(controls=fleet.controls)
            )
            common = (
                got.astype(float),
                fleet.network,
                fleet.controls,
                trust_vantages(table, attribute(table)),
            )
            by_rate = Speeds(1 / fleet.rate[number], np.ones_like(fleet.usual_seconds), *common)
            by_time = Speeds(fleet.seconds[number], fleet.usual_seconds, *common)
            scores["rate"].append(judge_speed(by_rate).network_score)
            scores["seconds"].append(judge_speed(by_time).network_score)
        for found in scores.values():
            assert area_under_curve(np.array(found).ravel(), fleet.slowed.ravel()) >= 0.95


VANTAGES = [Vantage(f"v{number}", "IR", 64500 + number % 2) for number in range(4)]
BOOK = {
    "site": Target("site", "transfer", "192.0.2.1", domain="site.example"),
    "control": Target("control", "tcp", "192.0.2.2", domain="c.example", group="control"),
}


def measured(target: str, operation: str, seconds: float, detail: str = "") -> Measurement:
    steps = (Observation(operation, None, seconds, detail),)
    return Measurement(
        target, "any", START, None, "", host_responded=True, seconds=seconds, observations=steps
    )


def test_a_halved_rate_halves_the_series_and_a_slow_line_does_not() -> None:
    def value(line: float, throttle: float) -> dict[str, float]:
        rows = []
        for vantage in VANTAGES:
            rows.append((vantage, measured("site", "transfer", line * throttle, "1000")))
            rows.append((vantage, measured("control", "connect", line)))
        found = count_speed(START, rows, BOOK, trusted=set(VANTAGES))
        return {one.series.signal: one.value for one in found}

    assert value(1, 1) == {
        "speed:AS64500": pytest.approx(1000),
        "speed:AS64501": pytest.approx(1000),
        "speed:IR": pytest.approx(1000),
    }
    assert value(3, 1) == value(1, 1)
    assert value(1, 2)["speed:IR"] == pytest.approx(500)


def test_what_says_nothing_about_pace_is_left_out() -> None:
    failed = Measurement(
        "site", "tcp", START, "connection_reset", "reset", host_responded=True, seconds=1.0
    )
    assert slowness(failed) is None
    assert slowness(measured("site", "transfer", 1.0, "")) is None
    assert slowness(measured("site", "resolve", 1.0)) is None
    assert slowness(measured("site", "tls_handshake", 0.2)) == 0.2
    rows = [(VANTAGES[0], measured("site", "transfer", 1.0, "1000"))]
    assert count_speed(START, rows, BOOK, trusted=set(VANTAGES)) == []  # its controls are silent
    assert count_speed(START, rows, {"site": BOOK["site"]}, trusted=set()) == []
    alone = count_speed(START, rows, {"site": BOOK["site"]}, trusted=set(VANTAGES))
    assert alone[0].value == 1000
    assert alone[0].total is None
    portal = [(vantage, replace(row, scope="local")) for vantage, row in rows]
    assert count_speed(START, portal, {"site": BOOK["site"]}, trusted=set(VANTAGES)) == []
