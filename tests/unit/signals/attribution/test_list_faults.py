"""Which faults are listed, and after how many bins a target is confirmed down."""

import numpy as np

from benchmarks.detection.count_matrices import VantageTargetLabels, table_from_matrix
from netwatch.signals.attribution.contingency import VantageTargetTable
from netwatch.signals.attribution.list_faults import FaultKind, confirm_down, list_faults
from netwatch.signals.attribution.model import attribute


def table(
    successes: np.ndarray, networks: list[int], labels: VantageTargetLabels | None = None
) -> VantageTargetTable:
    return table_from_matrix(np.full(successes.shape, 2.0), successes, networks, labels)


def confirmed(tables: list[VantageTargetTable]) -> list[list[int]]:
    """Return the targets confirmed down in each of consecutive bins."""
    failed_bins, found = np.zeros(len(tables[0].controls), np.intp), []
    for one in tables:
        down, failed_bins = confirm_down(one, attribute(one), failed_bins)
        found.append(np.flatnonzero(down).tolist())
    return found


def test_two_networks_confirm_a_target_down_at_once() -> None:
    successes = np.full((4, 10), 2.0)
    successes[:, 3] = 0
    assert confirmed([table(successes, [0, 0, 1, 1])]) == [[3]]


def test_a_single_network_needs_three_consecutive_bins() -> None:
    working = np.full((2, 10), 2.0)
    failing = working.copy()
    failing[:, 3] = 0
    order = (failing, failing, working, failing, failing, failing, failing)
    assert confirmed([table(one, [0, 0]) for one in order]) == [[], [], [], [], [], [3], [3]]


def test_a_gap_is_not_a_recovery() -> None:
    failing = np.full((1, 10), 2.0)
    failing[:, 3] = 0
    one = table(failing, [0])
    gap = table_from_matrix(np.zeros((1, 10)), np.zeros((1, 10)), [0])
    assert confirmed([one, gap, one, one]) == [[], [], [], [3]]


def test_one_of_two_networks_confirms_nothing() -> None:
    successes = np.full((4, 10), 2.0)
    successes[:2, 3] = 0
    assert confirmed([table(successes, [0, 0, 1, 1])] * 4) == [[]] * 4


def test_each_kind_of_fault_is_listed() -> None:
    successes = np.full((12, 30), 2.0)
    successes[2] = 0  # a broken vantage
    successes[:, 4] = 0  # a dead target
    successes[:, 10:15] = 0  # a cut network
    successes[9:, 20] = 0  # a blocked site
    labels = VantageTargetLabels(target_asn=np.arange(30) // 5)
    one = table(successes, np.repeat(np.arange(4), 3).tolist(), labels)
    attribution = attribute(one)
    down, _ = confirm_down(one, attribution, np.zeros(30, np.intp))
    faults = list_faults(attribution, down)
    assert {kind: numbers.tolist() for kind, numbers in faults.items()} == {
        FaultKind.DEAD_TARGET: [4],
        FaultKind.BROKEN_VANTAGE: [2],
        FaultKind.NOISY_VANTAGE: [],
        FaultKind.BLOCKED_PATH: [20],
    }
    assert attribution.cut[2] > 0.9


def test_a_closed_border_is_not_a_broken_vantage() -> None:
    successes = np.full((12, 20), 2.0)
    successes[6:, 5:] = 0
    abroad = np.zeros((12, 20), bool)
    abroad[6:, 5:] = True
    one = table_from_matrix(
        np.full((12, 20), 2.0), successes, np.repeat(np.arange(6), 2), abroad=abroad
    )
    faults = list_faults(attribute(one), np.zeros(20, bool))
    assert not len(faults[FaultKind.BROKEN_VANTAGE])
