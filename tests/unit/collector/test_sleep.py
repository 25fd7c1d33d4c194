"""A collector on a machine that slept: its agents first send what they could not send meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.config import AnalysisConfig
from netwatch.model.steady_clock import SteadyClock
from netwatch.store.memory import MemoryStore
from netwatch.wire.memory import MemoryBroker, MemoryTransport

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
GRACE, WIDTH, SLEPT = 2.0, timedelta(seconds=1), 3600.0


class Machine:
    """A machine whose clocks may stand still; `hidden` seconds the monotonic clock did not see."""

    def __init__(self) -> None:
        self.slept = self.hidden = 0.0
        self.clock = SteadyClock(self.wall, self.seconds)

    def seconds(self) -> float:
        return monotonic() + self.slept

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.seconds() + self.hidden)


async def until_closed(store: MemoryStore, time: datetime) -> None:
    for _ in range(600):
        await asyncio.sleep(0.1)
        if (store.closed_until() or START) > time:
            return
    raise AssertionError(f"nothing was closed after {time}: {store.closed_until()}")


@pytest.mark.parametrize("is_hidden", [False, True])
async def test_nothing_is_closed_before_agents_had_time_to_send_their_backlog(
    tmp_path: Path, *, is_hidden: bool
) -> None:
    """A laptop was suspended; or a virtual machine was paused, and its time was set afterwards."""
    machine, broker = Machine(), MemoryBroker()
    store = MemoryStore(clock=machine.clock)
    store.put_bins([], closed_until=machine.clock())
    batch_log = BatchLog(tmp_path / "batches.sqlite")
    deps = CollectorDeps(
        connect=lambda will: MemoryTransport(broker, will=will),
        batch_log=batch_log,
        store=store,
        targets={},
        clock=machine.clock,
        config=AnalysisConfig(bin=WIDTH, late_data_grace=timedelta(seconds=GRACE)),
    )
    task = asyncio.create_task(run_collector(deps))
    try:
        await until_closed(store, machine.clock())
        woke, before = monotonic(), machine.clock()
        if is_hidden:
            machine.hidden = SLEPT
            machine.clock.hear(machine.clock.line + SLEPT)
            machine.clock()
        else:
            machine.slept = SLEPT
        await until_closed(store, before + timedelta(seconds=SLEPT / 2))
        assert monotonic() - woke >= GRACE
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        batch_log.close()
