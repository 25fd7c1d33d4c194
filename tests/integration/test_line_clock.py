"""A whole agent on sockets while its wall clock changes: recorded times stay true.

The server notes when it was really asked. Rows and questions correspond one to one, so every
repaired time is held against the truth.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from servers import until

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.loop import AgentDeps, run_agent
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.config import AgentConfig, AnalysisConfig
from netwatch.model.duration import Duration
from netwatch.model.measurement import Target, Vantage
from netwatch.store.memory import MemoryStore
from netwatch.wire.memory import MemoryBroker, MemoryTransport
from netwatch_probes.tcp import TcpProbe

YEARS, HOURS = timedelta(days=-730), timedelta(hours=6)
PERIOD = 0.1


class Wall:
    """A wall clock that the test sets."""

    def __init__(self, wrong: timedelta) -> None:
        self.wrong = wrong

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.wrong


class Scene:
    """A server that logs request times, an agent with its own clock, and a collector."""

    def __init__(self, folder: Path, wall: Wall) -> None:
        self.asked: list[datetime] = []
        self.wall = wall
        self.broker = MemoryBroker()
        self.folder = folder
        self.batch_log = BatchLog(folder / "batches.sqlite")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            target = Target("one", "tcp", "127.0.0.1", port=port, asn=64500, country="XX")
            collector = CollectorDeps(
                connect=lambda will: MemoryTransport(self.broker, will=will),
                batch_log=self.batch_log,
                store=MemoryStore(),
                targets={"one": target},
                accept_unsigned=True,
                clock=lambda: datetime.now(UTC),
                config=AnalysisConfig(
                    bin=Duration(seconds=0.5), late_data_grace=Duration(seconds=0.5)
                ),
            )
            work = [run_collector(collector), self._agent(target)]
            tasks = [asyncio.ensure_future(one) for one in work]
            try:
                yield
                assert not any(task.done() for task in tasks), tasks
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _agent(self, target: Target) -> None:
        vantage = Vantage("a1", "XX", 64501)
        with Spool(self.folder / "a1.sqlite", vantage=vantage, created_at=self.wall()) as spool:
            deps = AgentDeps(
                vantage=vantage,
                targets=[target],
                probes={"tcp": TcpProbe()},
                endpoints=[
                    Endpoint("link", "", lambda will: MemoryTransport(self.broker, will=will))
                ],
                spool=spool,
                config=AgentConfig(
                    period=Duration(seconds=PERIOD), flush_interval=Duration(seconds=0.2)
                ),
                clock=DisciplinedClock(self.wall, boot="ab" * 8, kernel=lambda: None),
            )
            await run_agent(deps)

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(datetime.now(UTC))
        writer.close()

    def presence_changes(self) -> list[datetime]:
        """Return the times of the measurements in the batch log."""
        far = timedelta(days=9999)
        now = datetime.now(UTC)
        rows = self.batch_log.measurements(now - far, now + far)
        return sorted(row.time for _, row in rows if row.target == "one")

    async def measure(self, count: int) -> None:
        """Wait for `count` more requests."""
        goal = len(self.asked) + count
        await until(lambda: len(self.asked) >= goal)


@pytest.mark.parametrize("wrong", [YEARS, HOURS, timedelta(0)], ids=str)
async def test_times_are_true_whatever_the_wall_clock_does(
    tmp_path: Path, wrong: timedelta
) -> None:
    scene = Scene(tmp_path, Wall(wrong))
    async with scene.running():
        for jump in (HOURS, YEARS, timedelta(seconds=2)):
            await scene.measure(6)
            scene.wall.wrong += jump
        await scene.measure(6)
        await until(lambda: len(scene.presence_changes()) >= 20)
    recorded, asked = scene.presence_changes(), sorted(scene.asked)
    worst = max(abs(one - other) for one, other in zip(recorded, asked, strict=False))
    assert worst < timedelta(seconds=1)
    # The schedule ignores the wall clock: no probe was skipped or hurried.
    gaps = [(other - one).total_seconds() for one, other in pairwise(asked)]
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(PERIOD, rel=0.5)
    scene.batch_log.close()
