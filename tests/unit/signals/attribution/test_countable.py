"""Which measurements count, case by case, with the numbers of a drill."""

import numpy as np
import pytest

from benchmarks.detection.count_matrices import VantageTargetLabels, matrix, table_from_matrix
from netwatch.signals.attribution.contingency import VantageTargetTable
from netwatch.signals.attribution.countable import countable_cells, trust_vantages
from netwatch.signals.attribution.model import attribute


def table(
    failing: np.ndarray,
    *,
    networks: list[int] | None = None,
    labels: VantageTargetLabels | None = None,
    abroad: bool = True,
) -> VantageTargetTable:
    """Return a table of one measurement a pair; a period is often as long as a bin."""
    numbers = range(len(failing)) if networks is None else networks
    return table_from_matrix(np.ones(failing.shape), ~failing, list(numbers), labels, abroad=abroad)


def counted(one: VantageTargetTable) -> np.ndarray:
    return matrix(one, countable_cells(one, attribute(one)))


def drill(cut: int) -> tuple[np.ndarray, VantageTargetLabels]:
    """Return six agents abroad, twelve networks with two targets, so many of them cut."""
    homes = np.repeat(np.arange(12), 2)
    labels = VantageTargetLabels(target_asn=homes)
    return np.broadcast_to(homes < cut, (6, 24)), labels


@pytest.mark.parametrize("cut", range(13))
def test_a_shutdown_seen_by_all_counts_in_full(cut: int) -> None:
    """Also if all twelve networks are cut: six vantage networks do not fail together."""
    failing, labels = drill(cut)
    assert counted(table(failing, labels=labels)).all()


def test_a_shutdown_that_begins_within_the_bin_counts_in_full() -> None:
    failing, labels = drill(10)
    early = failing.copy()
    early[3:, 16:20] = False
    assert counted(table(early, labels=labels)).all()


def test_a_broken_vantage_is_ignored_while_others_count() -> None:
    failing, labels = drill(0)
    failing = failing.copy()
    failing[2] = True
    counts = counted(table(failing, labels=labels))
    assert counts.any(axis=1).tolist() == [True, True, False, True, True, True]


def test_a_broken_vantage_is_recognised_in_a_shutdown_too() -> None:
    """It fails at the two networks that are left."""
    failing, labels = drill(10)
    failing = np.repeat(failing, 1, axis=0)
    failing[2] = True
    tried = np.full(failing.shape, 3.0)
    one = table_from_matrix(tried, np.where(failing, 0.0, 3.0), np.arange(6), labels, abroad=True)
    assert counted(one).any(axis=1).tolist() == [True, True, False, True, True, True]


def test_a_single_vantage_that_reaches_nothing_gives_no_data() -> None:
    assert not counted(table(np.ones((1, 20), bool))).any()
    assert not counted(table(np.ones((1, 1), bool))).any()


def test_two_vantages_in_one_network_count_as_one() -> None:
    assert not counted(table(np.ones((2, 20), bool), networks=[0, 0])).any()


def test_a_single_vantage_that_reaches_something_is_online() -> None:
    failing = np.broadcast_to(np.arange(20) < 16, (1, 20))
    assert counted(table(failing)).all()


def test_a_single_vantage_with_working_controls_counts() -> None:
    controls = np.arange(20) < 5
    failing = ~controls[None, :]
    assert counted(table(failing, labels=VantageTargetLabels(controls=controls))).all()


def test_a_single_vantage_with_failing_controls_gives_no_data() -> None:
    controls = np.arange(20) < 5
    failing = (np.arange(20) < 12)[None, :]
    assert not counted(table(failing, labels=VantageTargetLabels(controls=controls))).any()


def test_failing_targets_in_several_countries_give_no_data() -> None:
    """All targets in three countries fail from everywhere: the vantages lost the Internet."""
    places = np.arange(24) % 3
    assert not counted(
        table(np.ones((6, 24), bool), labels=VantageTargetLabels(target_country=places))
    ).any()


def test_failing_controls_from_everywhere_give_no_data() -> None:
    controls = np.arange(24) < 5
    assert not counted(
        table(np.ones((6, 24), bool), labels=VantageTargetLabels(controls=controls))
    ).any()


def test_a_country_is_lost_while_controls_answer() -> None:
    controls = np.arange(24) < 5
    failing = np.broadcast_to(~controls, (6, 24))
    assert counted(table(failing, labels=VantageTargetLabels(controls=controls))).all()


def test_a_country_cut_off_counts_as_lost_although_reachable_from_inside() -> None:
    """Eight networks at home cannot outvote the three abroad."""
    failing = np.zeros((11, 24), bool)
    failing[8:, 4:] = True  # four targets elsewhere
    abroad = np.zeros((11, 24), bool)
    abroad[8:, 4:] = True
    abroad[:8, :4] = True
    tried = np.full(failing.shape, 3.0)
    networks = np.repeat(np.arange(6), [2, 2, 2, 2, 2, 1])
    one = table_from_matrix(tried, np.where(failing, 0.0, tried), networks, abroad=abroad)
    assert counted(one)[8:, 4:].any(axis=1).all()


def test_a_site_blocked_in_one_network_is_not_lost() -> None:
    failing = np.zeros((12, 20), bool)
    failing[:3, 7] = True
    one = table_from_matrix(
        np.full((12, 20), 3.0), np.where(failing, 0.0, 3.0), np.repeat(np.arange(4), 3)
    )
    counts = counted(one)
    assert not counts[:3, 7].any()
    counts[:3, 7] = True
    assert counts.all()


def test_a_vantage_without_measurements_is_not_trusted() -> None:
    tried = np.ones((3, 5))
    tried[1] = 0
    one = table_from_matrix(tried, tried, [0, 1, 2])
    assert trust_vantages(one, attribute(one)).tolist() == [True, False, True]
