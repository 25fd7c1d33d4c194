from collections import Counter
from random import Random

import pytest

from netwatch.agent.measure.schedule import Schedule, phase
from netwatch.model.measurement import Target


def target(number: int) -> Target:
    return Target(f"t{number}", "tcp", "192.0.2.1")


def schedule(count: int, *, period: float = 300.0, start: float = 1000.0) -> Schedule:
    targets = [target(number) for number in range(count)]
    return Schedule("a1", targets, period=lambda _: period, start=start, random=Random(7))


def test_each_target_runs_once_a_period() -> None:
    plan = schedule(20)
    rounds: Counter[str] = Counter()
    now = 1000.0
    while plan.next_due() < 1000.0 + 300.0 * 10:
        now = plan.next_due()
        rounds.update(target.id for target in plan.pop_due(now))
    assert set(rounds) == {f"t{number}" for number in range(20)}
    assert all(9 <= count <= 11 for count in rounds.values())
    assert plan.missed == 0


def test_targets_are_spread_over_the_period() -> None:
    plan = schedule(3000)
    per_second = Counter(int(entry.due_at) for entry in plan._heap)
    assert max(per_second.values()) < 30  # 10 on average
    assert len(per_second) == 300


def test_agents_do_not_probe_a_target_together() -> None:
    phases = {round(phase(f"a{number}", target(0)), 6) for number in range(1000)}
    assert len(phases) > 990
    assert phase("a1", target(0)) == phase("a1", target(0))


def test_missed_rounds_are_counted_and_skipped() -> None:
    plan = schedule(1, period=10.0)
    first = plan.next_due()
    assert len(plan.pop_due(first + 1000.0)) == 1
    assert plan.missed == 100
    assert plan.pop_due(first + 1000.0) == []
    assert first + 1000.0 < plan.next_due() < first + 1000.0 + 12.0


def test_no_targets_are_never_due() -> None:
    assert schedule(0).next_due() == float("inf")
    assert schedule(0).pop_due(1e9) == []


@pytest.mark.parametrize("period", [0.3, 300.0])
def test_jitter_stays_within_a_tenth(period: float) -> None:
    plan = schedule(1, period=period)
    offset = plan.next_due()
    for number in range(1, 200):
        plan.pop_due(plan.next_due())
        assert abs(plan.next_due() - offset - number * period) <= 0.1 * period + 1e-9
