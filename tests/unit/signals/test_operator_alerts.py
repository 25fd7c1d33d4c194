"""Alerts over consecutive bins, as the collector reports them."""

from datetime import UTC, datetime, timedelta

from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.signals.bins import build_bins
from netwatch.signals.operator_alerts import OperatorAlerts

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
        self.found: list[tuple[str, str]] = []
        self.alerts = OperatorAlerts(lambda kind, line: self.found.append((kind, line)))

    def count(self, number: int, *failing: str, measured: tuple[str, ...] = tuple(TARGETS)) -> bool:
        """Count one bin; return whether it made an alert."""
        before = len(self.found)
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
        return len(self.found) > before


def test_a_single_network_reports_a_dead_target_in_the_third_bin() -> None:
    bench = Bench()
    assert [bench.count(number, DEAD) for number in range(4)] == [False, False, True, True]
    assert bench.found[0] == (
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
