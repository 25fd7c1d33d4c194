"""Attribution on synthetic tables: each of the four causes is recognised."""

import numpy as np
import pytest

from benchmarks.detection.count_matrices import VantageTargetLabels, matrix, table_from_matrix
from benchmarks.detection.fleet import Fleet, FleetSize, area_under_curve, make_fleet
from netwatch.signals.attribution.capped_shares import cap_weights
from netwatch.signals.attribution.contingency import VantageTargetTable
from netwatch.signals.attribution.countable import countable_cells, trust_vantages
from netwatch.signals.attribution.likelihoods import CellEvidence
from netwatch.signals.attribution.model import Attribution, attribute, controls_fail

SEEDS = (101, 102, 103)


def even(
    vantages: int, targets: int, labels: VantageTargetLabels | None = None, **cells: object
) -> VantageTargetTable:
    """Return a table of two trials a pair, all successful except the cells set to fail."""
    successes = np.full((vantages, targets), 2.0)
    for where in cells.values():
        successes[where] = 0
    return table_from_matrix(np.full_like(successes, 2), successes, np.arange(vantages), labels)


def attribute_all(fleet: Fleet) -> list[tuple[VantageTargetTable, Attribution]]:
    tables = [
        table_from_matrix(tried, got, fleet.network, VantageTargetLabels(controls=fleet.controls))
        for tried, got in zip(fleet.trials, fleet.successes, strict=True)
    ]
    return [(table, attribute(table)) for table in tables]


def test_a_broken_vantage_does_not_make_targets_dead() -> None:
    attribution = attribute(even(6, 20, broken=np.s_[2, :]))
    assert attribution.broken[2] > 0.99
    assert np.delete(attribution.broken, 2).max() < 0.01
    assert max(attribution.dead.max(), attribution.blocked.max()) < 0.05
    assert attribution.trust[2] < 0.01


def test_a_dead_target_does_not_make_vantages_broken() -> None:
    attribution = attribute(even(6, 20, dead=np.s_[:, 4]))
    assert attribution.dead[4] > 0.99
    assert np.delete(attribution.dead, 4).max() < 0.01
    assert max(attribution.broken.max(), attribution.blocked.max(), attribution.noise.max()) < 0.1


def test_a_blocked_site_is_a_blocked_path_only() -> None:
    successes = np.full((8, 20), 2.0)
    successes[4:, 7] = 0
    table = table_from_matrix(np.full((8, 20), 2.0), successes, [0, 0, 1, 1, 2, 2, 2, 2])
    attribution = attribute(table)
    assert attribution.blocked[2, 7] > 0.95
    attribution.blocked[2, 7] = 0
    assert attribution.blocked.max() < 0.05
    assert max(attribution.dead.max(), attribution.broken.max()) < 0.1


def test_a_cut_network_differs_from_single_dead_targets() -> None:
    homes = np.repeat(np.arange(5), 4)
    labels = VantageTargetLabels(target_asn=homes)
    attribution = attribute(even(6, 20, labels, cut=np.s_[:, 8:12]))
    assert attribution.cut.argmax() == 2
    assert attribution.cut[2] > 0.99
    assert attribution.dead[8:12].min() > 0.99
    attribution = attribute(even(6, 20, labels, dead=np.s_[:, ::4]))
    assert attribution.cut.max() < 0.2
    assert attribution.dead[::4].min() > 0.99


def test_a_failing_network_does_not_make_targets_dead() -> None:
    successes = np.full((9, 20), 2.0)
    successes[3:6] = 0
    networks = np.repeat(np.arange(3), 3)
    table = table_from_matrix(np.full((9, 20), 2.0), successes, networks)
    # Without controls, broken vantages and blocked paths look alike; neither is a dead target.
    assert attribute(table).dead.max() < 0.05
    labels = VantageTargetLabels(controls=np.arange(20) < 5)
    table = table_from_matrix(np.full((9, 20), 2.0), successes, networks, labels)
    assert attribute(table).broken.round(2).tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]


def test_control_failures_exclude_a_vantage_unless_the_control_is_faulty() -> None:
    controls = np.arange(10) < 5
    table = even(6, 10, VantageTargetLabels(controls=controls), lost=np.s_[0, :3], gone=np.s_[:, 4])
    assert controls_fail(table).tolist() == [True, False, False, False, False, False]
    assert trust_vantages(table, attribute(table)).tolist() == [False, *[True] * 5]
    table = even(6, 10, VantageTargetLabels(controls=controls), all=np.s_[:, :])
    assert controls_fail(table).all()
    assert not countable_cells(table, attribute(table)).any()


def test_areas_under_the_curve_on_synthetic_fleets() -> None:
    """20 agents and 50 targets: vantage faults at .99, site blocks at .97, and dead targets."""
    for seed in SEEDS:
        fleet = make_fleet(seed)
        attributions = [one for _, one in attribute_all(fleet)]
        broken = np.concatenate([one.broken for one in attributions])
        dead = np.concatenate([one.dead for one in attributions])
        blocked = np.concatenate([one.blocked.ravel() for one in attributions])
        assert area_under_curve(broken, fleet.broken.ravel()) >= 0.99
        assert area_under_curve(dead, fleet.dead.ravel()) >= 0.99
        assert area_under_curve(blocked, fleet.blocked.ravel()) >= 0.97


def _levels(table: VantageTargetTable) -> np.ndarray:
    """Return the level of ten networks of five targets, and of all of them."""
    counted = countable_cells(table, attribute(table))
    got = matrix(table, np.where(counted, table.successes, 0))
    tried = matrix(table, np.where(counted, table.trials, 0))
    parts = [np.s_[:, start : start + 5] for start in range(0, 50, 5)] + [np.s_[:, :]]
    return np.array([got[part].sum() / tried[part].sum() for part in parts])


@pytest.mark.parametrize("kind", ["fleet", "down", "up", "random"])
def test_thirty_percent_of_liars_move_no_level(kind: str) -> None:
    """Levels from all vantages stay within 5 points of those from the honest ones alone.

    For the whole that holds in every bin. A network of five targets, measured 200 times, has a
    noise of its own of that size: there it holds for 99 bins of 100.
    """
    moved = []
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        fleet = make_fleet(seed, FleetSize(lying=0.3))
        if kind != "fleet":
            share = {"down": 0.0, "up": 1.0, "random": 0.5}[kind]
            lies = random.binomial(fleet.trials, share)
            fleet.successes[:, fleet.lying] = lies[:, fleet.lying]
        honest, labels = ~fleet.lying, VantageTargetLabels(controls=fleet.controls)
        for tried, got in zip(fleet.trials, fleet.successes, strict=True):
            alone = table_from_matrix(tried[honest], got[honest], fleet.network[honest], labels)
            whole = table_from_matrix(tried, got, fleet.network, labels)
            moved.append(np.abs(_levels(whole) - _levels(alone)))
    assert np.max(moved, axis=0)[-1] < 0.05
    assert np.quantile(moved, 0.99) < 0.05


def test_a_swarm_in_one_network_counts_as_one_network() -> None:
    """A hundred forged agents of one network claim that two networks of targets are gone."""
    successes = np.full((106, 20), 2.0)
    successes[6:, :8] = 0
    networks = np.minimum(np.arange(106), 6)
    table = table_from_matrix(np.full_like(successes, 2), successes, networks, abroad=True)
    attribution = attribute(table)
    assert attribution.dead.max() < 0.05
    counted = matrix(table, countable_cells(table, attribution))
    assert counted[:6].all()
    assert not counted[6:, :8].any()


def test_evidence_has_the_sign_of_the_counts_and_is_bounded() -> None:
    trials, successes = np.array([3.0, 3.0, 0.0, 40.0]), np.array([3.0, 0.0, 0.0, 0.0])
    evidence = CellEvidence(trials, successes).cut_vs_healthy(np.full(4, 0.035))
    assert evidence[0] < -3
    assert evidence[1] == pytest.approx(4)
    assert evidence[2:].tolist() == [0, 4]
    one = CellEvidence(np.array([1.0]), np.array([0.0]))
    # 1 failure of 1: 6 * 6! 0! / 7! = 6 / 7 against .035.
    assert one.cut_vs_healthy(np.array([0.035])) == pytest.approx(np.log(6 / 7 / 0.035))
    # Random answers: 1 / 2.
    assert one.random_vs_cut == pytest.approx(np.log(7 / 12))


def test_a_vantage_holds_a_fifth_of_the_weight_at_most() -> None:
    weights = cap_weights(np.array([10.0] + [1.0] * 7), np.arange(8))
    assert weights[0] / weights.sum() == pytest.approx(0.2)
    assert weights[1:].tolist() == [1] * 7
    assert cap_weights(np.ones(1), np.zeros(1, int)).tolist() == [1]


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="successes"):
        table_from_matrix([[1.0]], [[2.0]], [0])
    with pytest.raises(ValueError, match="networks"):
        table_from_matrix([[1.0]], [[1.0]], [0, 1])
    with pytest.raises(ValueError, match="labels"):
        table_from_matrix([[1.0]], [[1.0]], [0], VantageTargetLabels(controls=[False, True]))


def test_on_a_day_without_failures_no_vantage_is_suspect() -> None:
    attribution = attribute(even(6, 800))
    assert attribution.trust.min() > 0.8
    assert attribution.noise.max() < 0.2
