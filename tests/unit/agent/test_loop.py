"""A whole agent that is stopped and started again: what it did today it still knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers import until

from netwatch.agent import loop
from netwatch.agent import pause as pausing
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.loop import AgentDeps, run_agent
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.measure.rate_limits import BUDGETS
from netwatch.agent.pause import PauseReason
from netwatch.agent.spool.spool import Spool
from netwatch.config import AgentConfig
from netwatch.model.duration import Duration
from netwatch.model.measurement import Observation, Target, Vantage
from netwatch.protocols import Probe
from netwatch.wire.memory import MemoryBroker, MemoryTransport
from netwatch.wire.topics import ALL_BATCHES

SITE = Target("site", "http", "198.51.100.1")
CONFIG = AgentConfig(
    period=Duration(seconds=0.2), flush_interval=Duration(seconds=0.1), budget="low"
)


class Outside(Probe):
    """Answers as a machine elsewhere would, without a packet."""

    name = "http"

    def __init__(self) -> None:
        self.asked = 0

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        self.asked += 1
        return (Observation("connect", None, 0.01),)


class Held:
    """Who holds the agent."""

    by = PauseReason.NOBODY


@pytest.fixture(autouse=True)
def _no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own gateway is not asked by a test."""
    monkeypatch.setattr(loop, "GatewayMonitor", lambda: GatewayMonitor(look=dict))


@asynccontextmanager
async def running(
    spool: Spool, probe: Outside, *, broker: MemoryBroker | None = None, held: Held | None = None
) -> AsyncIterator[None]:
    broker, held = broker or MemoryBroker(), held or Held()
    parts = AgentDeps(
        paused=lambda: held.by is not PauseReason.NOBODY,
        holder=lambda: held.by,
        vantage=Vantage("a1"),
        targets=[SITE],
        probes={"http": probe},
        connect=lambda will: MemoryTransport(broker, will=will),
        spool=spool,
        clock=lambda: datetime.now(UTC),
        config=CONFIG,
    )
    task = asyncio.ensure_future(run_agent(parts))
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def today(spool: Spool) -> DailyBudget:
    budget = DailyBudget()
    budget.take_up(spool.get_meta("today"))
    return budget


async def test_a_days_budget_is_one_days_whatever_is_restarted(tmp_path: Path) -> None:
    with Spool(
        tmp_path / "a1.sqlite", vantage=Vantage("a1"), created_at=datetime.now(UTC)
    ) as spool:
        first = Outside()
        async with running(spool, first):
            await until(lambda: first.asked == 1)
        spent = today(spool).spent
        assert spent == 20_000
        # As if it had gone on all day: above 80 % no page is asked for.
        written = today(spool)
        written.spent = int(0.81 * BUDGETS["low"])
        spool.set_meta("today", written.dump())
        second = Outside()
        async with running(spool, second):
            await asyncio.sleep(0.5)
        assert second.asked == 0
        assert today(spool).spent == written.spent


async def test_damaged_counts_stop_nobody(tmp_path: Path) -> None:
    with Spool(
        tmp_path / "a1.sqlite", vantage=Vantage("a1"), created_at=datetime.now(UTC)
    ) as spool:
        spool.set_meta("today", b"\xff\x00 nonsense")
        probe = Outside()
        async with running(spool, probe):
            await until(lambda: probe.asked == 1)
        assert today(spool).spent == 20_000


async def test_withdrawn_consent_stops_all_that_goes_out_and_a_pause_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pausing, "_LOOK", 0.02)
    broker, held, probe = MemoryBroker(), Held(), Outside()
    heard = 0

    async def listen() -> None:
        nonlocal heard
        async with MemoryTransport(broker) as link:
            await link.subscribe(ALL_BATCHES)
            async for _ in link.messages():
                heard += 1

    listening = asyncio.ensure_future(listen())
    with Spool(
        tmp_path / "a1.sqlite", vantage=Vantage("a1"), created_at=datetime.now(UTC)
    ) as spool:
        async with running(spool, probe, broker=broker, held=held):
            await until(lambda: heard > 1)
            held.by = PauseReason.HOST
            before = heard
            await until(lambda: heard > before)  # the note of the pause, at the least
            held.by = PauseReason.CONSENT
            await asyncio.sleep(0.5)
            silent, waiting = heard, spool.count_pending()
            assert waiting > 0
            await asyncio.sleep(0.6)
            assert heard == silent, "nothing goes out"
            assert spool.count_pending() >= waiting, "and nothing is thrown away"
            held.by = PauseReason.NOBODY
            await until(lambda: heard > silent)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
