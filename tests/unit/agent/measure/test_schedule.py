from collections import Counter
from random import Random

import pytest

from netwatch.agent.measure.schedule import Schedule, phase_of
from netwatch.model.measurement import Target


def target(number: int) -> Target:
    return Target(f"t{number}", "tcp", "192.0.2.1")


def schedule(count: int, *, period: float = 300.0, start: float = 1000.0) -> Schedule:
    targets = [target(number) for number in range(count)]
    return Schedule("a1", targets, period=lambda _: period, start=start, random=Random(7))


def test_each_target_runs_once_a_period_for_ever() -> None:
    plan = schedule(20)
    seen: Counter[str] = Counter()
    now = 1000.0
    while plan.due_at() < 1000.0 + 300.0 * 10:
        now = plan.due_at()
        seen.update(found.id for found in plan.take_due(now))
    assert set(seen) == {f"t{number}" for number in range(20)}
    assert all(9 <= count <= 11 for count in seen.values())
    assert plan.missed == 0


def test_targets_are_spread_over_the_period() -> None:
    plan = schedule(3000)
    per_second = Counter(int(entry.due) for entry in plan._rounds)
    assert max(per_second.values()) < 30  # 10 on average
    assert len(per_second) == 300


def test_agents_do_not_probe_a_target_together() -> None:
    phases = {round(phase_of(f"a{number}", target(0)), 6) for number in range(1000)}
    assert len(phases) > 990
    assert phase_of("a1", target(0)) == phase_of("a1", target(0))


def test_missed_rounds_are_counted_and_not_made_up() -> None:
    plan = schedule(1, period=10.0)
    first = plan.due_at()
    assert len(plan.take_due(first + 1000.0)) == 1
    assert plan.missed == 100
    assert plan.take_due(first + 1000.0) == []
    assert first + 1000.0 < plan.due_at() < first + 1000.0 + 12.0


def test_no_targets_are_never_due() -> None:
    assert schedule(0).due_at() == float("inf")
    assert schedule(0).take_due(1e9) == []


@pytest.mark.parametrize("period", [0.3, 300.0])
def test_jitter_stays_within_a_tenth(period: float) -> None:
    plan = schedule(1, period=period)
    offset = plan.due_at()
    for number in range(1, 200):
        plan.take_due(plan.due_at())
        assert abs(plan.due_at() - offset - number * period) <= 0.1 * period + 1e-9
