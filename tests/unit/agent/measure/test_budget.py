from datetime import UTC, datetime, timedelta

import pytest

from netwatch.agent.measure.budget import BUDGETS, DailyBudget
from netwatch.plugins import load_plugin

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
PAGE = 20_000


def reserve(
    budget: DailyBudget, cost: int = PAGE, *, essential: bool = False, witness: bool = False
) -> bool:
    return budget.reserve(cost, NOON, essential=essential, witness=witness)


@pytest.mark.parametrize(
    ("spent", "allowed"),
    [
        (0.0, {"tcp", "dns", "icmp", "tls", "quic", "http", "transfer"}),
        (0.81, {"tcp", "dns", "icmp", "tls", "quic"}),
        (0.91, {"tcp", "dns"}),
        (1.0, set()),
    ],
)
def test_each_saving_level_skips_more_probes(spent: float, allowed: set[str]) -> None:
    for name in ("tcp", "dns", "icmp", "tls", "quic", "http", "transfer"):
        probe = load_plugin("probes", name)
        budget = DailyBudget(limit=10_000_000)
        budget.level(NOON)
        budget.spent = int(spent * budget.limit)
        fits = reserve(budget, probe.cost_bytes, essential=probe.essential)
        assert fits == (name in allowed)
        assert reserve(budget, witness=True)


def test_a_new_day_is_a_new_budget() -> None:
    budget = DailyBudget(limit=BUDGETS["low"])
    budget.level(NOON)
    budget.spent = budget.limit
    assert budget.level(NOON) == 3
    assert budget.level(NOON + timedelta(days=1)) == 0


def test_a_day_at_half_a_probe_a_second_fits_the_standard_budget() -> None:
    budget = DailyBudget()
    names = ["dns"] * 40 + ["tcp"] * 40 + ["icmp"] * 16 + ["tls"] * 4
    costs = [load_plugin("probes", name).cost_bytes for name in names]
    for number in range(43_200):
        cost = costs[number % 100]
        assert reserve(budget, cost)
        budget.commit(cost, 0)
    assert budget.spent < BUDGETS["standard"]


def test_the_bytes_that_were_moved_count() -> None:
    budget = DailyBudget()
    for moved, spent in ((1_500, 1_500), (60_000, 61_500), (0, 81_500)):
        assert reserve(budget)
        budget.commit(PAGE, moved)
        assert (budget.spent, budget.reserved) == (spent, 0)
    # Midnight may come in between.
    assert reserve(budget)
    budget.level(NOON + timedelta(days=1))
    budget.commit(PAGE, 1_500)
    assert (budget.spent, budget.reserved) == (1_500, 0)


def test_reservations_limit_concurrent_probes_and_raise_no_level() -> None:
    budget = DailyBudget(limit=100_000)
    assert [reserve(budget) for _ in range(6)] == [True] * 4 + [False] * 2
    assert budget.level(NOON) == 0
    for _ in range(3):
        budget.commit(PAGE, 700)
    budget.release(PAGE)
    assert (budget.spent, budget.reserved) == (2_100, 0)
    assert reserve(budget)
    budget.commit(PAGE, 79_000)
    assert budget.level(NOON) == 1
    assert budget.level(NOON + timedelta(days=1)) == 0


def test_counts_survive_a_restart() -> None:
    """An agent that restarts every hour does not spend a day's budget every hour."""
    budget = DailyBudget(limit=BUDGETS["low"])
    for _ in range(5):
        assert reserve(budget)
        budget.commit(PAGE, 0)
    assert budget.reserve_change_probe(NOON)
    assert budget.reserve_burst(NOON, 60.0)
    after = DailyBudget(limit=BUDGETS["standard"])
    after.restore(budget)
    assert (after.spent, after.change_probes, after.burst_seconds) == (100_000, 1, 60.0)
    assert after.limit == BUDGETS["standard"], "the limit is the configuration's"
    assert after.level(NOON) == 0
    assert after.level(NOON + timedelta(days=1)) == 0
    assert (after.spent, after.change_probes, after.burst_seconds) == (0, 0, 0.0)


def test_a_clock_that_is_set_back_grants_no_day_twice() -> None:
    budget = DailyBudget(limit=100_000)
    assert reserve(budget)
    budget.commit(PAGE, 20_000)
    assert budget.level(NOON - timedelta(days=1)) == 0
    assert budget.spent == 20_000
    # A clock that was years ahead does not hold the budget for years.
    assert budget.level(NOON - timedelta(days=900)) == 0
    assert budget.spent == 0


def test_twenty_on_change_probes_a_day() -> None:
    budget = DailyBudget()
    assert [budget.reserve_change_probe(NOON) for _ in range(21)] == [True] * 20 + [False]
    assert budget.reserve_change_probe(NOON + timedelta(days=1))


def test_half_an_hour_of_burst_mode_a_day_while_the_budget_lasts() -> None:
    budget = DailyBudget()
    assert sum(budget.reserve_burst(NOON, 60.0) for _ in range(100)) == 30
    assert budget.reserve_burst(NOON + timedelta(days=1), 60.0)
    budget.spent = int(0.85 * budget.limit)
    assert not budget.reserve_burst(NOON + timedelta(days=1), 60.0)
