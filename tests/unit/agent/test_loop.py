"""A whole agent: its budget survives a restart, and withdrawn consent stops the uplink."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers import until

from netwatch.agent import loop
from netwatch.agent import pause as pause_module
from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.loop import AgentDeps, run_agent
from netwatch.agent.measure.budget import BUDGETS
from netwatch.agent.pause import PauseReason
from netwatch.agent.saved_state import SavedState, load_state, save_state
from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint
from netwatch.config import AgentConfig, Duration
from netwatch.model.measurement import Observation, Target, Vantage
from netwatch.protocols import Probe
from netwatch.wire.batch_codec import unpack_batch
from netwatch.wire.memory import MemoryBroker, MemoryTransport
from netwatch.wire.topics import ALL_BATCHES

SITE = Target("site", "http", "198.51.100.1")
CONFIG = AgentConfig(
    period=Duration(seconds=0.2), flush_interval=Duration(seconds=0.1), budget="low"
)


class Outside(Probe):
    """Responds as a machine elsewhere would, without a packet."""

    name = "http"

    def __init__(self) -> None:
        self.runs = 0

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        self.runs += 1
        return (Observation("connect", None, 0.01),)


class Pause:
    """Why the agent pauses."""

    reason = PauseReason.NONE


@pytest.fixture(autouse=True)
def _no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test probes this machine's own gateway."""
    monkeypatch.setattr(loop, "GatewayMonitor", lambda: GatewayMonitor(routes=dict))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    path = tmp_path / "a1.sqlite"
    with Spool(path, vantage=Vantage("a1"), created_at=datetime.now(UTC)) as opened:
        yield opened


@asynccontextmanager
async def running(
    spool: Spool, probe: Outside, *, broker: MemoryBroker | None = None, pause: Pause | None = None
) -> AsyncIterator[None]:
    broker, pause = broker or MemoryBroker(), pause or Pause()
    deps = AgentDeps(
        pause_reason=lambda: pause.reason,
        vantage=Vantage("a1"),
        targets=[SITE],
        probes={"http": probe},
        endpoints=[Endpoint("link", "", lambda will: MemoryTransport(broker, will=will))],
        spool=spool,
        clock=DisciplinedClock(lambda: datetime.now(UTC), boot="ab" * 8, kernel=lambda: None),
        config=CONFIG,
    )
    task = asyncio.ensure_future(run_agent(deps))
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def saved(spool: Spool) -> SavedState:
    state = load_state(spool, SavedState)
    assert state is not None
    return state


async def test_the_daily_budget_survives_a_restart(spool: Spool) -> None:
    first = Outside()
    async with running(spool, first):
        await until(lambda: first.runs == 1)
    state = saved(spool)
    assert state.budget.spent == 20_000
    # Above 80 % no page is fetched.
    state.budget.spent = int(0.81 * BUDGETS["low"])
    save_state(spool, state)
    second = Outside()
    async with running(spool, second):
        await asyncio.sleep(0.5)
    assert second.runs == 0
    assert saved(spool).budget.spent == state.budget.spent


async def test_a_damaged_state_does_not_stop_the_agent(spool: Spool) -> None:
    spool.set_meta(MetaKey.AGENT_STATE, b"\xff\x00 nonsense")
    probe = Outside()
    async with running(spool, probe):
        await until(lambda: probe.runs == 1)
    assert saved(spool).budget.spent == 20_000


async def test_a_sleep_of_the_machine_is_one_gap(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = 5.0
    monkeypatch.setattr(loop, "suspended_seconds", lambda: asleep)

    def gaps() -> list[float]:
        batches = [unpack_batch(one.payload) for one in spool.oldest(100)]
        rows = [one for batch in batches for one in batch.measurements]
        return [one.seconds for one in rows if one.target == "@gap"]

    async with running(spool, Outside()):
        await asyncio.sleep(0.2)
        asleep += 7200.0
        await until(lambda: bool(gaps()))
        await asyncio.sleep(0.5)
    assert gaps() == [7200.0]


async def test_withdrawn_consent_stops_sending_and_a_pause_does_not(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pause_module, "_POLL_INTERVAL", 0.02)
    broker, pause, probe = MemoryBroker(), Pause(), Outside()
    received = 0

    async def receive() -> None:
        nonlocal received
        async with MemoryTransport(broker) as transport:
            await transport.subscribe(ALL_BATCHES)
            async for _ in transport.messages():
                received += 1

    receiving = asyncio.ensure_future(receive())
    async with running(spool, probe, broker=broker, pause=pause):
        await until(lambda: received > 1)
        pause.reason = PauseReason.HOST
        before = received
        await until(lambda: received > before)  # the pause event, at least
        pause.reason = PauseReason.CONSENT
        await asyncio.sleep(0.5)
        until_withdrawal, pending = received, spool.count_pending()
        assert pending > 0
        await asyncio.sleep(0.6)
        assert received == until_withdrawal, "nothing is sent"
        assert spool.count_pending() >= pending, "nothing is discarded"
        pause.reason = PauseReason.NONE
        await until(lambda: received > until_withdrawal)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
