"""The synthetic fleet, and the plain blamer that others have to beat."""

import numpy as np
import pytest

from benchmarks.detection.blame import Blame, Table, blame_plainly, score_blame
from benchmarks.detection.fleet import FleetSize, area_under_curve, make_fleet
from benchmarks.detection.run_blame import blame_with_netwatch


def test_the_area_counts_pairs() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    truth = np.array([True, True, False, False])
    # 0.9 beats both, 0.5 ties one and beats the other: 3.5 of 4 pairs.
    assert area_under_curve(scores, truth) == pytest.approx(3.5 / 4)
    assert area_under_curve(np.append(scores, np.nan), np.append(truth, True)) == pytest.approx(
        3.5 / 4
    )
    assert np.isnan(area_under_curve(scores, np.ones(4, dtype=bool)))


def test_every_simulated_fault_is_visible_in_the_table() -> None:
    fleet = make_fleet(1, FleetSize(bins=200))
    share = fleet.successes / np.maximum(fleet.trials, 1)
    seen = fleet.trials > 0
    blocked = fleet.blocked[:, fleet.network, :]
    broken = np.broadcast_to(fleet.broken[:, :, None], seen.shape)
    dead = np.broadcast_to(fleet.dead[:, None, :], seen.shape)
    fine = seen & ~blocked & ~broken & ~dead
    assert share[fine].mean() > 0.85
    assert share[seen & broken].mean() < 0.4
    assert share[seen & dead].mean() < 0.1
    assert share[seen & blocked].mean() < 0.25
    slowed = fleet.slowed[:, fleet.network, :]
    assert np.nanmedian(fleet.rate[slowed & fine]) == pytest.approx(0.5, abs=0.03)
    assert np.nanmedian(fleet.rate[~slowed & fine]) == pytest.approx(1, abs=0.03)
    wait = fleet.seconds / fleet.usual_seconds
    assert np.nanmedian(wait[slowed & fine]) == pytest.approx(2, abs=0.1)


def test_controls_are_never_blocked_and_liars_lie() -> None:
    fleet = make_fleet(2, FleetSize(bins=50, lying=0.3))
    assert fleet.lying.sum() == 6
    for state in (fleet.blocked, fleet.slowed):
        assert not state[:, :, fleet.controls].any()
    assert not fleet.dead[:, fleet.controls].any()
    share = fleet.successes.sum(axis=0)[fleet.lying] / fleet.trials.sum(axis=0)[fleet.lying]
    targets = share[:, ~fleet.controls].mean(axis=1)
    assert set(np.round(targets).astype(int)) == {0, 1}


def test_a_fleet_is_its_seed() -> None:
    first, again = make_fleet(3), make_fleet(3)
    np.testing.assert_array_equal(first.successes, again.successes)
    assert (make_fleet(4).successes != first.successes).any()


def test_the_plain_blamer_finds_vantages_better_than_paths() -> None:
    """Means find broken vantages; a block is hidden in them, which leaves room to do better."""
    scores = score_blame(blame_plainly, seeds=(1,))
    assert scores.vantage > 0.97
    assert scores.target > 0.97
    assert 0.7 < scores.path < 0.999


def test_a_constant_answer_is_worth_a_half() -> None:
    def shrug(table: Table) -> Blame:
        networks = np.unique(table.network).size
        path = np.zeros((networks, table.controls.size))
        return Blame(np.zeros(table.network.size), np.zeros(table.controls.size), path)

    scores = score_blame(shrug, seeds=(1,))
    assert scores.vantage == scores.target == scores.path == 0.5


def test_netwatch_separates_the_three_better_than_means() -> None:
    ours = score_blame(blame_with_netwatch, seeds=(1,))
    plain = score_blame(blame_plainly, seeds=(1,))
    assert ours.vantage >= 0.99
    assert ours.path >= 0.97
    assert ours.path > plain.path
