"""What may be said aloud, and after how many rounds."""

import numpy as np

from netwatch.signals.attribution.contingency import (
    VantageTargetLabels,
    VantageTargetTable,
    table_from_matrix,
)
from netwatch.signals.attribution.faults import FaultKind, confirm_down, list_faults
from netwatch.signals.attribution.model import attribute


def table(
    successes: np.ndarray, networks: list[int], labels: VantageTargetLabels | None = None
) -> VantageTargetTable:
    return table_from_matrix(np.full(successes.shape, 2.0), successes, networks, labels)


def rounds(tables: list[VantageTargetTable]) -> list[list[int]]:
    """Return the targets called down in each of consecutive bins."""
    counted, found = np.zeros(tables[0].shape[2], np.intp), []
    for one in tables:
        down, counted = confirm_down(one, attribute(one), counted)
        found.append(np.flatnonzero(down).tolist())
    return found


def test_two_networks_call_a_target_down_at_once() -> None:
    successes = np.full((4, 10), 2.0)
    successes[:, 3] = 0
    assert rounds([table(successes, [0, 0, 1, 1])]) == [[3]]


def test_a_lone_network_needs_three_rounds_on_end() -> None:
    well = np.full((2, 10), 2.0)
    ill = well.copy()
    ill[:, 3] = 0
    course = [table(one, [0, 0]) for one in (ill, ill, well, ill, ill, ill, ill)]
    assert rounds(course) == [[], [], [], [], [], [3], [3]]


def test_a_gap_is_no_recovery() -> None:
    ill = np.full((1, 10), 2.0)
    ill[:, 3] = 0
    gap = table_from_matrix(np.zeros((1, 10)), np.zeros((1, 10)), [0])
    course = [table(ill, [0]), gap, table(ill, [0]), table(ill, [0])]
    assert rounds(course) == [[], [], [], [3]]


def test_one_of_two_networks_convicts_nobody() -> None:
    successes = np.full((4, 10), 2.0)
    successes[:2, 3] = 0
    assert rounds([table(successes, [0, 0, 1, 1])] * 4) == [[]] * 4


def test_every_culprit_by_its_name() -> None:
    successes = np.full((12, 30), 2.0)
    successes[2] = 0  # a broken vantage
    successes[:, 4] = 0  # a dead target
    successes[:, 10:15] = 0  # a cut network
    successes[9:, 20] = 0  # a blocked site
    labels = VantageTargetLabels(homes=np.arange(30) // 5)
    found = list_faults(attribute(table(successes, np.repeat(np.arange(4), 3).tolist(), labels)))
    assert [(one.culprit, one.row, one.column) for one in found] == [
        (FaultKind.VANTAGE, 2, -1),
        (FaultKind.TARGET, -1, 4),
        (FaultKind.PATH, 3, 20),
        (FaultKind.NETWORK, -1, 2),
    ]
    assert min(one.probability for one in found) > 0.9


def test_a_border_that_closed_is_named() -> None:
    successes = np.full((12, 20), 2.0)
    successes[6:, 5:] = 0
    abroad = np.zeros((12, 20), bool)
    abroad[6:, 5:] = True
    one = table_from_matrix(
        np.full((12, 20), 2.0), successes, np.repeat(np.arange(6), 2), abroad=abroad
    )
    found = list_faults(attribute(one))
    border = [entry.column for entry in found if entry.culprit is FaultKind.BORDER]
    assert sorted(border) == list(range(5, 20))
    assert not any(entry.culprit is FaultKind.VANTAGE for entry in found)
