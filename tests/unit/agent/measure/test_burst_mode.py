"""What a change of health sets off: a way is followed, and for a while more is measured."""

import asyncio
from datetime import UTC, datetime
from time import monotonic

import pytest

from netwatch.agent.health.health_monitor import note_of
from netwatch.agent.measure import burst_mode as hurry
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.measure.burst_mode import BurstMode
from netwatch.model.measurement import Measurement

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)


def alertness(*, may_hurry: bool = True, budget: DailyBudget | None = None) -> BurstMode:
    return BurstMode(budget or DailyBudget(), clock=lambda: NOON, hurry=may_hurry)


def say(alert: BurstMode, *words: str | None, name: str = "health-v4") -> None:
    for word in words:
        alert.hear(note_of(name, word, NOON))


async def comes(waiting: "asyncio.Future[None]") -> bool:
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    waiting.cancel()
    return bool(done)


async def test_the_first_state_is_no_change_and_each_family_has_its_own() -> None:
    alert = alertness()
    say(alert, None)
    say(alert, "lan_down", name="health-v6")
    say(alert, "budget_80", name="budget")
    say(alert, "vpn", None, name="flag-vpn")
    assert not await comes(asyncio.ensure_future(alert.changed()))
    say(alert, "intl_cut")
    assert await comes(asyncio.ensure_future(alert.changed()))


async def test_a_line_that_flaps_is_followed_once_a_minute() -> None:
    alert = alertness()
    say(alert, None, "intl_cut", None, "intl_cut", None)
    assert await comes(asyncio.ensure_future(alert.changed()))
    assert not await comes(asyncio.ensure_future(alert.changed()))
    say(alert, "intl_cut")
    assert not await comes(asyncio.ensure_future(alert.changed())), "a minute is not over"
    alert._followed = monotonic() - 61
    assert await comes(asyncio.ensure_future(alert.changed()))


@pytest.mark.parametrize("may_hurry", [True, False])
async def test_only_a_host_that_allows_it_is_hurried(*, may_hurry: bool) -> None:
    alert = alertness(may_hurry=may_hurry)
    say(alert, None, "intl_cut")
    assert await comes(asyncio.ensure_future(alert.hurried())) is may_hurry


async def test_hurry_ends_with_the_days_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hurry, "_TICK", 0.01)
    budget = DailyBudget()
    alert = alertness(budget=budget)
    say(alert, None, "intl_cut")
    await asyncio.wait_for(alert.hurried(), 5)
    budget.hurried = 30 * 60 - 0.025
    await asyncio.wait_for(alert.calm(), 5)
    say(alert, None)
    assert not await comes(asyncio.ensure_future(alert.hurried()))


async def test_hurry_ends_when_nothing_changes_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hurry, "_TICK", 0.01)
    monkeypatch.setattr(hurry, "_LONG", 0.05)
    alert = alertness()
    say(alert, None, "intl_cut")
    await asyncio.wait_for(alert.hurried(), 5)
    await asyncio.wait_for(alert.calm(), 5)


def test_a_way_that_was_followed_is_a_note_and_counts_for_no_target() -> None:
    found = Measurement("way", "traceroute", NOON, None, "", host_responded=True, seconds=1.0)
    assert BurstMode.as_note(found).target == "@way-way"
