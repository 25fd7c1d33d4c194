"""Whose turn it is, on a budget that is spent, behind a portal, and at night."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from netwatch.agent.health.health import Flag
from netwatch.agent.measure.admission import AdmissionControl
from netwatch.config import AgentConfig
from netwatch.model.measurement import Measurement, Target

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
SITE = Target("site", "tcp", "198.51.100.1")
ABROAD = Target("abroad", "tcp", "192.0.2.3", group="witness-international")
CANARY = Target("canary", "http", "192.0.2.4", group="witness-captive")


class Day:
    """A vantage's day: its clock is set by hand, and its notes are kept."""

    def __init__(self, **settings: str) -> None:
        self.now, self.flags, self.notes = NOON, set[Flag](), list[Measurement]()
        self.turns = AdmissionControl(
            AgentConfig(**settings),
            clock=lambda: self.now,
            flags=lambda: self.flags,
            note=self.notes.append,
        )

    async def goes(self, target: Target, *, again: bool = False) -> bool:
        """Tell whether a target has its turn; addresses are given time enough in between."""
        self.turns._politeness = type(self.turns._politeness)()
        if again:
            return await self.turns.wait_again(target, paused=False)
        return await self.turns.wait(target, period=300.0, paused=False)


def steps(day: Day) -> list[str | None]:
    return [note.failure for note in day.notes if note.target == "@budget"]


async def test_each_step_of_saving_is_told_and_so_is_its_end() -> None:
    day = Day(budget="low")
    limit = day.turns.budget.limit
    assert await day.goes(SITE)
    for share in (0.81, 0.91, 1.0):
        day.turns.budget.spent = int(share * limit)
        for _ in range(3):
            await day.goes(SITE)
    assert not await day.goes(SITE)
    assert await day.goes(ABROAD), "what tells of the line goes on"
    assert steps(day) == ["budget_80", "budget_90", "budget_100"]
    assert all(note.scope == "local" for note in day.notes)
    day.now += timedelta(days=1)
    assert await day.goes(SITE)
    assert steps(day)[-1] is None
    assert day.turns.skips.budget >= 1


@pytest.mark.parametrize(
    ("share", "left"),
    [
        (0.0, {"dns", "tcp", "icmp", "tls", "http", "transfer"}),
        (0.81, {"dns", "tcp", "icmp", "tls"}),
        (0.91, {"dns", "tcp"}),
        (1.0, set()),
    ],
)
async def test_what_is_left_at_each_step(share: float, left: set[str]) -> None:
    for probe in ("dns", "tcp", "icmp", "tls", "http", "transfer"):
        day = Day(budget="full")
        await day.goes(SITE)
        day.turns.budget.spent = int(share * day.turns.budget.limit)
        assert await day.goes(Target("one", probe, "198.51.100.7")) == (probe in left)


async def test_a_second_look_costs_like_a_first() -> None:
    day = Day(budget="low")
    assert await day.goes(SITE, again=True)
    assert day.turns.budget.promised == 250
    day.turns.budget.spent = day.turns.budget.limit
    assert not await day.goes(SITE, again=True)
    assert await day.goes(ABROAD, again=True)
    assert not await day.turns.wait_again(ABROAD, paused=True)
    assert day.turns.skips.paused == 1


async def test_a_second_look_that_would_come_too_late_is_none() -> None:
    day = Day()
    day.turns._politeness._tokens, day.turns._politeness._refilled = -100.0, monotonic()
    assert not await day.turns.wait_again(ABROAD, paused=False)
    assert day.turns.skips.polite == 1
    assert day.turns.budget.promised == 0, "what was not asked costs nothing"


async def test_who_has_no_turn_takes_no_place() -> None:
    """A list of hundreds that the budget leaves out must not hold up the witnesses."""
    day = Day(budget="low")
    assert await day.goes(SITE)
    day.turns.budget.spent = day.turns.budget.limit
    places = [Target(f"site-{n}", "tcp", f"10.{n}.0.1") for n in range(200)]
    for place in places:
        assert not await day.turns.wait(place, period=300.0, paused=False)
    assert await asyncio.wait_for(day.turns.wait(ABROAD, period=30.0, paused=False), 1)


async def test_behind_a_portal_every_tenth_round_is_enough() -> None:
    day = Day()
    day.flags.add(Flag.CAPTIVE)
    assert [await day.goes(SITE) for _ in range(20)] == ([True] + [False] * 9) * 2
    assert [await day.goes(ABROAD) for _ in range(10)] == [True] + [False] * 9
    assert all([await day.goes(CANARY) for _ in range(10)]), "it is what tells of the end"
    assert day.turns.skips.captive == 27
    day.flags.clear()
    assert await day.goes(SITE)


async def test_quiet_hours_leave_the_witnesses() -> None:
    day = Day(quiet_hours="11:00-13:00")
    assert not await day.goes(SITE)
    assert await day.goes(ABROAD)
    day.now += timedelta(hours=2)
    assert await day.goes(SITE)
