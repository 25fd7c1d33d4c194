"""The disk of the spool is full: the agent continues to measure, and recovers by itself."""

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from certificates import Authority
from namespaces import need_namespaces
from qa.bench import Bench, Watch, prepare
from qa.full_agent import PAUSE, AgentSetup
from qa.observatory import Observatory, relay
from qa.vantage import SUBJECT, Job
from servers import free_port, until

from netwatch.model.measurement import Target

pytestmark = pytest.mark.timeout(120)
MIB = 1024 * 1024


def now() -> datetime:
    return datetime.now(UTC)


def newest(watch: Watch) -> datetime:
    """Return when the newest stored measurement was made."""
    return max(one.measurement.time for one in watch.reports)


class Connections:
    """A site that records the time of each connection."""

    def __init__(self) -> None:
        self.times: list[datetime] = []

    async def __call__(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        self.times.append(now())
        await reader.read(1)

    def since(self, time: datetime) -> int:
        return sum(one > time for one in self.times)


async def wait(watch: Watch, condition: Callable[[], bool]) -> None:
    assert await watch.until(condition, seconds=40)


async def test_an_agent_measures_through_a_full_disk(tmp_path: Path) -> None:
    """1 MiB of disk, filled to the last byte, then freed."""
    need_namespaces()
    prepare()
    folder = tmp_path / "agent"
    folder.mkdir()
    async with Bench(0, tmp_path, Authority(tmp_path)) as bench:
        connections = Connections()
        host, port = await bench.tcp(connections)
        targets = tuple(
            Target(f"{SUBJECT}-{number}", "tcp", host, port=port) for number in range(20)
        )
        observatory = await bench.stack.enter_async_context(Observatory(tmp_path, targets))
        broker_port = free_port(host)
        setup = AgentSetup(str(folder), (host, broker_port), disk=MIB)
        async with Watch(Job(targets, period=0.5, setup=setup)) as watch:
            await wait(watch, lambda: len(watch.reports) > 20)
            ballast = watch.root / folder.relative_to("/") / "ballast"
            written = await asyncio.to_thread(fill, ballast)
            assert written > 0
            # Without a collector the spool's free pages are soon used up.
            await wait(watch, lambda: connections.since(newest(watch)) > 120)
            full, silent = newest(watch), len(watch.reports)
            ballast.unlink()
            await wait(watch, lambda: len(watch.reports) >= silent + 120)
            channel = socket.create_server((host, broker_port))
            await bench.stack.enter_async_context(relay(channel, observatory.port))
            (watch.root / folder.relative_to("/") / PAUSE).touch()
            await until(lambda: observatory.has_exactly(watch.measurements()), seconds=40)
    # Everything that was measured while the disk was full is there.
    measured = [one for one in watch.measurements() if one.probe == "tcp"]
    assert sum(one.time > full for one in measured) >= 110


def fill(path: Path) -> int:
    """Write until the disk is full; return the number of bytes written."""
    written = 0
    with path.open("wb", buffering=0) as ballast:
        try:
            while True:
                written += ballast.write(b"x" * 4096)
        except OSError:
            return written
