from datetime import UTC, datetime, timedelta

import pytest

from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.measure.rate_limits import BUDGETS
from netwatch.model.measurement import Target

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)


def target(host: str, probe: str = "tcp") -> Target:
    return Target(f"{host}-{probe}", probe, host)


@pytest.mark.parametrize(
    ("spent", "allowed"),
    [
        (0.0, {"tcp", "dns", "icmp", "tls", "quic", "http", "transfer"}),
        (0.81, {"tcp", "dns", "icmp", "tls", "quic"}),
        (0.91, {"tcp", "dns"}),
        (1.0, set()),
    ],
)
def test_a_budget_saves_in_steps(spent: float, allowed: set[str]) -> None:
    for probe in ("tcp", "dns", "icmp", "tls", "quic", "http", "transfer"):
        budget = DailyBudget(limit=10_000_000)
        budget.step(NOON)
        budget.spent = int(spent * budget.limit)
        fits = budget.allows(target("198.51.100.1", probe), NOON, witness=False)
        assert fits == (probe in allowed)
        assert budget.allows(target("198.51.100.1", "http"), NOON, witness=True)


def test_a_new_day_is_a_new_budget() -> None:
    budget = DailyBudget(limit=BUDGETS["low"])
    budget.step(NOON)
    budget.spent = budget.limit
    assert budget.step(NOON) == 3
    assert budget.step(NOON + timedelta(days=1)) == 0


def test_a_day_at_half_a_probe_a_second_fits_the_standard_budget() -> None:
    budget = DailyBudget()
    mix = ["dns"] * 40 + ["tcp"] * 40 + ["icmp"] * 16 + ["tls"] * 4
    for number in range(43_200):
        place = target("198.51.100.1", mix[number % 100])
        assert budget.allows(place, NOON, witness=False)
        budget.settle(place, 0)
    assert budget.spent < BUDGETS["standard"]


def test_what_was_really_moved_counts() -> None:
    budget = DailyBudget()
    page = target("198.51.100.1", "http")
    for moved, spent in ((1_500, 1_500), (60_000, 61_500), (0, 81_500)):
        assert budget.allows(page, NOON, witness=False)
        budget.settle(page, moved)
        assert (budget.spent, budget.promised) == (spent, 0)
    # Midnight may come in between.
    assert budget.allows(page, NOON, witness=False)
    budget.step(NOON + timedelta(days=1))
    budget.settle(page, 1_500)
    assert (budget.spent, budget.promised) == (1_500, 0)
    budget.spent = 0
    here = target("127.0.0.1", "http")
    budget.settle(here, 50_000)
    assert budget.spent == 0


def test_what_is_under_way_is_set_aside_and_undoes_no_step() -> None:
    """Many at once must not pass the limit together; nor does a promise begin a step."""
    budget, page = DailyBudget(limit=100_000), target("198.51.100.1", "http")
    assert [budget.allows(page, NOON, witness=False) for _ in range(6)] == [True] * 4 + [False] * 2
    assert budget.step(NOON) == 0
    for _ in range(3):
        budget.settle(page, 700)
    budget.give_back(page)
    assert (budget.spent, budget.promised) == (2_100, 0)
    assert budget.allows(page, NOON, witness=False)
    budget.settle(page, 79_000)
    assert budget.step(NOON) == 1
    assert budget.step(NOON + timedelta(days=1)) == 0


def test_counts_survive_a_restart() -> None:
    """Whoever is restarted every hour does not spend a day's budget every hour."""
    budget = DailyBudget(limit=BUDGETS["low"])
    for _ in range(5):
        assert budget.allows(target("198.51.100.1", "http"), NOON, witness=False)
        budget.settle(target("198.51.100.1", "http"), 0)
    assert budget.allows_trace(NOON)
    assert budget.allows_hurry(NOON, 60.0)
    after = DailyBudget(limit=BUDGETS["standard"])
    after.take_up(budget.dump())
    assert (after.spent, after.traces, after.hurried) == (100_000, 1, 60.0)
    assert after.limit == BUDGETS["standard"], "the limit is the host's to set, not the past's"
    assert after.step(NOON) == 0
    assert after.step(NOON + timedelta(days=1)) == 0
    assert (after.spent, after.traces, after.hurried) == (0, 0, 0.0)


@pytest.mark.parametrize("written", [None, b"", b"{", b'"x"', b'{"spent": "much"}'])
def test_damaged_counts_begin_anew(written: bytes | None) -> None:
    budget = DailyBudget()
    budget.take_up(written)
    assert (budget.spent, budget.traces) == (0, 0)


def test_counts_that_cannot_be_are_none() -> None:
    budget = DailyBudget()
    budget.take_up(b'{"spent": -5, "traces": -1, "hurried": -1.0, "day": 20461}')
    assert (budget.spent, budget.traces, budget.hurried) == (0, 0, 0.0)


def test_a_clock_that_is_set_back_grants_no_day_twice() -> None:
    budget = DailyBudget(limit=100_000)
    assert budget.allows(target("198.51.100.1", "http"), NOON, witness=False)
    budget.settle(target("198.51.100.1", "http"), 20_000)
    assert budget.step(NOON - timedelta(days=1)) == 0
    assert budget.spent == 20_000
    # A clock that was years ahead does not hold the budget for years.
    assert budget.step(NOON - timedelta(days=900)) == 0
    assert budget.spent == 0


def test_twenty_ways_a_day() -> None:
    budget = DailyBudget()
    assert [budget.allows_trace(NOON) for _ in range(21)] == [True] * 20 + [False]
    assert budget.allows_trace(NOON + timedelta(days=1))


def test_half_an_hour_of_hurry_a_day_while_the_budget_lasts() -> None:
    budget = DailyBudget()
    assert sum(budget.allows_hurry(NOON, 60.0) for _ in range(100)) == 30
    assert budget.allows_hurry(NOON + timedelta(days=1), 60.0)
    budget.spent = int(0.85 * budget.limit)
    assert not budget.allows_hurry(NOON + timedelta(days=1), 60.0)
