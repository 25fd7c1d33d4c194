"""Burst mode begins with a change of health and ends with its time or its daily budget."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from time import monotonic

import pytest

from netwatch.agent.event_rows import agent_event
from netwatch.agent.measure import burst_mode as module
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.measure.burst_mode import BurstMode

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)


def burst_mode(*, enabled: bool = True, budget: DailyBudget | None = None) -> BurstMode:
    return BurstMode(budget or DailyBudget(), clock=lambda: NOON, enabled=enabled)


def add(burst: BurstMode, *failures: str | None, name: str = "health-v4") -> None:
    for failure in failures:
        burst.add_event(agent_event(name, NOON, failure))


async def returns(wait: Awaitable[None]) -> bool:
    task = asyncio.ensure_future(wait)
    done, _ = await asyncio.wait([task], timeout=0.1)
    task.cancel()
    return bool(done)


async def test_the_first_state_of_each_family_is_not_a_change() -> None:
    burst = burst_mode()
    add(burst, None)
    add(burst, "lan_down", name="health-v6")
    add(burst, "budget_80", name="budget")
    add(burst, "vpn", None, name="flag-vpn")
    assert not await returns(burst.wait_change())
    add(burst, "intl_cut")
    assert await returns(burst.wait_change())


async def test_a_flapping_line_is_one_change_a_minute() -> None:
    burst = burst_mode()
    add(burst, None, "intl_cut", None, "intl_cut", None)
    assert await returns(burst.wait_change())
    assert not await returns(burst.wait_change())
    add(burst, "intl_cut")
    assert not await returns(burst.wait_change()), "a minute is not over"
    burst._last_change = monotonic() - 61
    assert await returns(burst.wait_change())


@pytest.mark.parametrize("enabled", [True, False])
async def test_burst_mode_needs_the_hosts_permission(*, enabled: bool) -> None:
    burst = burst_mode(enabled=enabled)
    add(burst, None, "intl_cut")
    assert await returns(burst.wait_active()) is enabled


async def test_burst_mode_ends_with_its_daily_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TICK", 0.01)
    budget = DailyBudget()
    burst = burst_mode(budget=budget)
    add(burst, None, "intl_cut")
    await asyncio.wait_for(burst.wait_active(), 5)
    budget.burst_seconds = 30 * 60 - 0.025
    await asyncio.wait_for(burst.wait_inactive(), 5)
    add(burst, None)
    assert not await returns(burst.wait_active())


async def test_burst_mode_ends_when_nothing_changes_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_TICK", 0.01)
    monkeypatch.setattr(module, "_DURATION", 0.05)
    burst = burst_mode()
    add(burst, None, "intl_cut")
    await asyncio.wait_for(burst.wait_active(), 5)
    await asyncio.wait_for(burst.wait_inactive(), 5)
