"""The one command, and the seam through which netwatch's own detector is judged."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection.injection import (
    InjectionSize,
    data_folder,
    inject,
    make_injected_world,
    repeat_weeks,
    thin,
)
from benchmarks.detection.ours import judge_ours
from benchmarks.detection.panel import Detection, Levels, Panel
from benchmarks.detection.parameters import read_parameters
from benchmarks.detection.run import main
from netwatch.lab.backtest.detections import (
    detections_of_incidents,
    low_runs,
    split_by_levels,
)
from netwatch.model.entities import Entity
from netwatch.model.incident import AffectedEntity, Incident

START = datetime(2024, 1, 1, tzinfo=UTC)


def test_tuning_and_held_out_seeds_are_disjoint() -> None:
    tuning, held_out = read_parameters("tuning"), read_parameters("held-out")
    assert not {seed for seed, _ in tuning.worlds} & {seed for seed, _ in held_out.worlds}
    assert tuning.domains[0] != held_out.domains[0]
    assert {size.width for _, size in held_out.worlds} == {5, 30, 60}
    assert len(read_parameters("held-out", quick=True).worlds) == 1


def test_the_command_writes_figures_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--only", "richter", "ooni", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Richter .5/.8" in shown
    body = json.loads((tmp_path / "detection-networks.json").read_text(encoding="utf-8"))
    figures = body["detectors"]["Richter .5/.8 (telescope)"]["figures"]
    assert figures["precision"]["value"] > 0.5
    assert figures["f1"]["low"] <= figures["f1"]["value"] <= figures["f1"]["high"]
    assert len(body["about"]["parameters"]) == 64
    assert (tmp_path / "detection-networks.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (tmp_path / "detection-domains.svg").read_text(encoding="utf-8")
    words = (tmp_path / "detection-networks.txt").read_text(encoding="utf-8")
    assert "Richter .5/.8 (telescope): F1 0." in words


def test_an_incident_and_its_affected_entities_become_detections(
    make_incident: Callable[..., Incident],
) -> None:
    def at(hour: int, minute: int = 0) -> datetime:
        return START + timedelta(hours=hour, minutes=minute)

    incident = make_incident(
        entity=Entity.parse("country:AA"),
        started_at=at(10),
        provisional_at=at(10, 10),
        confirmed_at=at(10, 15),
        affected=(
            AffectedEntity(Entity.parse("asn:1"), at(10), None, 1.0),
            AffectedEntity(Entity.parse("asn:2"), at(14), at(16), 1.0),
        ),
    )
    country, first, second = detections_of_incidents([incident], width=timedelta(minutes=5))
    assert country.entity == "country:AA"
    assert country.trough_level == pytest.approx(0.07)
    assert country.confirmed_at == at(10, 15)
    assert (first.entity, first.confirmed_at) == ("asn:1", country.confirmed_at)
    assert second.confirmed_at == at(14, 5)
    assert second.ended_at == at(16)


def test_levels_of_the_backtest_are_in_the_order_of_the_panel() -> None:
    values = np.full((2, 24 * 4), 100.0)
    values[0, 80:90] = 10
    panel = Panel(START, 60, ("asn:2", "asn:1"), ("", ""), np.ones(2), {"probing": values}, {})
    verdict = judge_ours(panel, START + timedelta(days=2))["netwatch"]
    assert verdict.levels is not None
    assert verdict.levels.level.shape == values.shape
    assert verdict.levels.level[0, 85] == pytest.approx(0.1, abs=0.02)
    assert verdict.levels.level[1, 85] == pytest.approx(1.0, abs=0.02)
    assert {one.entity for one in verdict.detections} == {"asn:2"}


def test_thinning_keeps_the_noise_that_counts_have() -> None:
    random = np.random.default_rng(1)
    values, level = np.full(20_000, 200.0), np.full(20_000, 0.25)
    left = thin(random, values, level, counts=True)
    assert left.mean() == pytest.approx(50, abs=0.5)
    assert left.var() == pytest.approx(200 * 0.25 * 0.75, rel=0.1)
    assert thin(random, values, level, counts=False)[0] == 50
    assert np.isnan(thin(random, np.array([np.nan]), np.array([0.5]), counts=True))[0]


def test_injection_leaves_the_rest_of_a_series_alone() -> None:
    random = np.random.default_rng(2)
    recorded = random.normal(90, 1, (1, 48 * 14))
    panel = Panel(START, 30, ("country:IR",), ("",), np.ones(1), {"probing": recorded}, {})
    copies = repeat_weeks(panel, random, weeks=8, copies=6)
    assert copies.bins == 8 * 336
    world = inject(random, copies, START + timedelta(weeks=4), counts=False)
    untouched = world.levels == 1
    np.testing.assert_array_equal(
        world.panel.values["probing"][untouched], copies.values["probing"][untouched]
    )
    assert len(world.truths) > 20
    assert untouched[:, : 4 * 336].all()
    for one in world.truths:
        row = world.panel.entities.index(one.entity)
        inside = world.levels[row, one.start // 30 + 1 : one.end // 30]
        assert inside == pytest.approx(one.level)


def test_injection_into_the_recorded_weeks_before_a_shutdown() -> None:
    folder = data_folder()
    if folder is None:
        pytest.skip("NETWATCH_DATA names no folder of recorded series")
    world = make_injected_world(1, InjectionSize(str(folder), copies=4))
    assert set(world.panel.values) == {"bgp", "probing", "telescope", "traffic"}
    assert len(world.truths) > 10
    assert np.nanmedian(world.panel.values["probing"][world.levels == 1]) > 85


def test_losses_are_separate_after_a_gap_of_more_than_half_of_the_first() -> None:
    nan = float("nan")
    runs = np.array([0, 1, 1, 0.4, 1, nan, 0, 0, 0, 0, 0, 0, 0, 0.9, 0, 0])
    # One bin back ends nothing; seven bins of five minutes are more than 30 minutes.
    assert low_runs(runs, width=timedelta(minutes=5)) == [(1, 6), (13, 14)]
    assert low_runs(runs, width=timedelta(minutes=1)) == [(1, 14)]


def test_an_incident_of_two_nights_is_two_detections() -> None:
    level = np.ones((1, 96))
    level[0, 10:18] = level[0, 34:42] = 0.1
    probability = (level < 0.5).astype(float)
    probability[0, 34] = 0.3
    panel = Panel(START, 60, ("country:AA",), ("",), np.ones(1), {"probing": level}, {})
    at = START + timedelta(hours=11)
    whole = Detection("country:AA", at, START + timedelta(hours=42), at, at, 0.1)
    levels = Levels(level, None, None, probability)
    first, second = split_by_levels([whole], levels, panel.grid, entities=panel.entities)
    assert first.ended_at == START + timedelta(hours=18)
    assert (second.started_at, second.ended_at) == (
        START + timedelta(hours=34),
        START + timedelta(hours=42),
    )
    assert second.confirmed_at == START + timedelta(hours=36)
