"""Which faults are listed, after how many bins a target is confirmed down, and the alerts."""

from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.detection.count_matrices import VantageTargetLabels, table_from_matrix
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.signals.attribution.contingency import VantageTargetTable
from netwatch.signals.attribution.model import attribute
from netwatch.signals.bins import build_bins
from netwatch.signals.operator_alerts import (
    FaultKind,
    OperatorAlerts,
    confirm_down,
    list_faults,
)

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
TARGETS = {
    f"site{number}": Target(f"site{number}", "tcp", "192.0.2.1", asn=64500, country="US")
    for number in range(5)
}
DEAD = "site3"


class Bench:
    """One vantage, whose bins are counted one after another."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []
        self.alerts = OperatorAlerts(lambda kind, line: self.published.append((kind, line)))

    def count(self, number: int, *failing: str, measured: tuple[str, ...] = tuple(TARGETS)) -> bool:
        """Count one bin; return whether it made an alert."""
        before = len(self.published)
        rows = []
        for name in measured:
            failure = "generic_timeout_error" if name in failing else None
            scope = "timeout" if failure else ""
            rows.append((
                Vantage("v1", "DE", 64510),
                Measurement(
                    name, "tcp", START + number * WIDTH, failure, scope, failure is None, 0.1
                ),
            ))  # fmt: skip
        build_bins(rows, TARGETS, width=WIDTH, alerts=self.alerts)
        return len(self.published) > before


def test_a_single_network_reports_a_dead_target_in_the_third_bin() -> None:
    bench = Bench()
    assert [bench.count(number, DEAD) for number in range(4)] == [False, False, True, True]
    assert bench.published[0] == (
        "dead_target", f"{DEAD} answer no vantage: dead, or their network is out"
    )  # fmt: skip


def test_an_answer_starts_the_count_again() -> None:
    bench = Bench()
    outcome = [bench.count(0, DEAD), bench.count(1, DEAD), bench.count(2)]
    outcome += [bench.count(number, DEAD) for number in range(3, 6)]
    assert outcome == [False] * 5 + [True]


def test_a_bin_without_measurements_of_the_target_leaves_its_count() -> None:
    bench = Bench()
    others = tuple(name for name in TARGETS if name != DEAD)
    assert not bench.count(0, DEAD)
    assert not bench.count(1, DEAD)
    assert not bench.count(2, measured=others)
    assert bench.count(3, DEAD)


def test_a_bin_counted_again_for_late_data_does_not_count_twice() -> None:
    bench = Bench()
    assert not any(bench.count(number, DEAD) for number in (0, 1, 1, 0))
    assert bench.count(2, DEAD)


def table(
    successes: np.ndarray, networks: list[int], labels: VantageTargetLabels | None = None
) -> VantageTargetTable:
    return table_from_matrix(np.full(successes.shape, 2.0), successes, networks, labels)


def confirmed(tables: list[VantageTargetTable]) -> list[list[int]]:
    """Return the targets confirmed down in each of consecutive bins."""
    failed_bins, confirmed_down = np.zeros(len(tables[0].controls), np.intp), []
    for one in tables:
        down, failed_bins = confirm_down(one, attribute(one), failed_bins)
        confirmed_down.append(np.flatnonzero(down).tolist())
    return confirmed_down


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
