"""The disk under the spool runs full: the agent measures on, and recovers by itself."""

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from certificates import Authority
from namespaces import need_namespaces
from qa.bench import Bench, Watch, prepare
from qa.observatory import Observatory, count, relay
from qa.vantage import IT, Job
from qa.whole import PAUSE, House
from servers import free_port, until

from netwatch.model.measurement import Target

pytestmark = pytest.mark.timeout(120)
MIB = 1024 * 1024


def now() -> datetime:
    return datetime.now(UTC)


def newest(watch: Watch) -> datetime:
    """Return when the newest row on the disk was measured."""
    return max(one.measurement.time for one in watch.heard)


class Visitors:
    """A site that counts who comes, and when."""

    def __init__(self) -> None:
        self.times: list[datetime] = []

    async def __call__(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        self.times.append(now())
        await reader.read(1)

    def since(self, time: datetime) -> int:
        return sum(one > time for one in self.times)


async def wait(watch: Watch, condition: Callable[[], bool]) -> None:
    assert await watch.until(condition, seconds=40)


async def test_a_full_disk_stops_no_measuring_and_is_got_over(tmp_path: Path) -> None:
    """1 MiB of disk, filled to the last byte by somebody else, then free again."""
    need_namespaces()
    prepare()
    folder = tmp_path / "agent"
    folder.mkdir()
    async with Bench(0, tmp_path, Authority(tmp_path)) as bench:
        visitors = Visitors()
        host, port = await bench.tcp(visitors)
        targets = tuple(Target(f"{IT}-{number}", "tcp", host, port=port) for number in range(20))
        observatory = await bench.stack.enter_async_context(Observatory(tmp_path, targets))
        door = free_port(host)
        house = House(str(folder), (host, door), disk=MIB)
        async with Watch(Job(targets, period=0.5, house=house)) as watch:
            await wait(watch, lambda: len(watch.heard) > 20)
            ballast = watch.root / folder.relative_to("/") / "ballast"
            written = await asyncio.to_thread(fill, ballast)
            assert written > 0
            # Nobody fetches what is kept, so what is free inside its files is soon used up.
            await wait(watch, lambda: visitors.since(newest(watch)) > 120)
            full, silent = newest(watch), len(watch.heard)
            ballast.unlink()
            await wait(watch, lambda: len(watch.heard) >= silent + 120)
            channel = socket.create_server((host, door))
            await bench.stack.enter_async_context(relay(channel, observatory.port))
            (watch.root / folder.relative_to("/") / PAUSE).touch()
            await until(
                lambda: observatory.counted() == count(one.measurement for one in watch.heard),
                seconds=40,
            )
    # Everything that was asked while the disk was full is there.
    measured = [one.measurement for one in watch.heard if one.measurement.probe == "tcp"]
    assert sum(one.time > full for one in measured) >= 110


def fill(path: Path) -> int:
    """Write until the disk takes no more; return how many bytes it took."""
    written = 0
    with path.open("wb", buffering=0) as ballast:
        try:
            while True:
                written += ballast.write(b"x" * 4096)
        except OSError:
            return written
