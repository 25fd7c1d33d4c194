"""The synthetic world keeps its own promises."""

from datetime import timedelta

import numpy as np
import pytest

from benchmarks.detection.domains import DomainSize, make_domain_world
from benchmarks.detection.faults import FAULTS
from benchmarks.detection.panel import Panel
from benchmarks.detection.population import make_population
from benchmarks.detection.signals import SIGNALS, autoregressive
from benchmarks.detection.truth import Event, Piece, truths_of_event
from benchmarks.detection.world import World, WorldSize, apply_piece, make_world

SIZE = WorldSize(countries=12, regions=2, networks=5, scored_weeks=7, width=60)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(11, SIZE)


def test_a_seed_is_a_world(world: World) -> None:
    again, other = make_world(11, SIZE), make_world(12, SIZE)
    assert again.truths == world.truths
    for name in SIGNALS:
        np.testing.assert_array_equal(again.panel.values[name], world.panel.values[name])
    assert other.truths != world.truths


def test_every_kind_of_event_and_fault_happens(world: World) -> None:
    kinds = {one.kind for one in world.truths}
    wanted = {
        "national_full", "curfew", "progressive", "national_partial", "exams", "restoration",
        "national_dip", "national_flapping", "national_short", "national_long", "outage", "short",
        "partial", "flapping", "long",
    }  # fmt: skip
    assert wanted | set(FAULTS) <= kinds
    assert any(kind.startswith("regional_") for kind in kinds)


def test_required_truths_show_in_the_true_levels(world: World) -> None:
    rows = {entity: row for row, entity in enumerate(world.panel.entities)}
    for one in world.truths:
        if one.required and one.end - one.start >= 120:
            bins = slice(one.start // 60 + 1, one.end // 60)
            assert world.levels[rows[one.entity], bins].min() <= one.level + 0.02
        assert one.start >= (world.training_until - world.panel.start) / timedelta(minutes=1)


def test_levels_are_ordinary_outside_of_events(world: World) -> None:
    ordinary = np.ones(world.levels.shape, dtype=bool)
    rows = {entity: row for row, entity in enumerate(world.panel.entities)}
    first = world.panel.index(world.training_until)
    ordinary[:, :first] = False
    for one in world.truths:
        if not one.fault:
            ordinary[rows[one.entity], one.start // 60 : one.end // 60 + 1] = False
    # Under 5 % of a region or country is no event yet.
    assert world.levels[ordinary].min() > 0.94
    assert np.median(world.levels[ordinary]) == 1


def test_values_stay_within_their_trials_and_are_sometimes_missing(world: World) -> None:
    for name, totals in world.panel.totals.items():
        values = world.panel.values[name]
        known = np.isfinite(values)
        assert (values[known] <= totals[known] + 1e-9).all()
        assert (values[known] >= 0).all()
    assert 0 < np.isnan(world.panel.values["probing"]).mean() < 0.05


def test_counts_of_an_event_match_its_level(world: World) -> None:
    """Over all national shutdowns, probing falls to about the true level."""
    rows = {entity: row for row, entity in enumerate(world.panel.entities)}
    values, errors = world.panel.values["probing"], []
    for one in world.truths:
        if one.required and one.kind == "national_long" and one.entity.startswith("country:"):
            row, bins = rows[one.entity], slice(one.start // 60 + 2, one.end // 60 - 1)
            usual = np.nanmedian(values[row, : world.panel.index(world.training_until)])
            share = np.nanmedian(values[row, bins]) / usual
            errors.append(abs(share - np.median(world.levels[row, bins])))
    assert np.median(errors) < 0.05


def test_the_frame_and_the_panel_are_the_same(world: World) -> None:
    frame = world.panel.frame()
    assert list(frame) == ["time", "entity", "signal", "value", "total", "parent", "weight"]
    assert str(frame["time"].dt.tz) == "UTC"
    back = Panel.of_frame(frame)
    assert (back.width, back.start) == (world.panel.width, world.panel.start)
    assert set(back.entities) == set(world.panel.entities)
    order = [world.panel.entities.index(name) for name in back.entities]
    for name in SIGNALS:
        np.testing.assert_array_equal(back.values[name], world.panel.values[name][order])
    assert back.parents == tuple(world.panel.parents[i] for i in order)


def test_a_piece_cuts_edge_bins_in_part() -> None:
    row = np.ones(5)
    apply_piece(row, 15, 40, 0.2, width=10)
    assert row.tolist() == pytest.approx([1, 0.6, 0.2, 0.2, 1])


def test_a_country_s_event_begins_once_a_twentieth_is_lost() -> None:
    random = np.random.default_rng(0)
    population = make_population(random, countries=1, regions=1, networks=4)
    sizes = np.array([4, 46, 50, 100])
    population = type(population)(
        sizes, population.region, population.country, population.region_country, population.offset
    )
    piece = Piece(np.arange(4), np.array([100, 200, 300, 400]), np.full(4, 900), np.zeros(4))
    event = Event("progressive", "country", 0, (piece,), frozenset())
    rows = {one.entity: one for one in truths_of_event(event, 0, population)}
    country = rows["country:AA"]
    # 4 of 200 is 2 %, with the 46 it is 25 %.
    assert (country.start, country.end, country.required) == (200, 900, True)
    assert country.level == pytest.approx(0)
    assert rows["asn:64512"].start == 100


def test_noise_has_the_memory_it_is_given() -> None:
    noise = autoregressive(np.random.default_rng(1), 200, 2000, memory=10)
    assert noise.std() == pytest.approx(1, rel=0.1)
    correlation = np.mean([np.corrcoef(row[:-10], row[10:])[0, 1] for row in noise])
    assert correlation == pytest.approx(np.exp(-1), abs=0.05)


def test_blocked_domains_are_reached_less() -> None:
    domains = make_domain_world(3, DomainSize(countries=3, sites=5))
    share = domains.panel.values["reachability"] / domains.panel.totals["reachability"]
    low = domains.levels < 0.5
    assert low.any()
    assert np.nanmean(share[low]) < 0.4
    assert np.nanmean(share[~low]) > 0.9
    assert {one.kind for one in domains.truths} == {"domain_block", "vantages_failed"}
