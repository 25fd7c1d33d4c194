"""The real command: how soon it measures, how much memory it takes, and whether that grows.

`netwatch agent run` is started as a child process with 400 targets of every kind at one probe a
second, with a broker and a collector that acknowledges; then again with an hour's work in
every minute. The kernel reports its memory; the slope is that of a least-squares
line through it after the warm-up, in MB per hour of work.

    python -m benchmarks.agent_process [--json] [--hours N]
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import tomli_w

from benchmarks.agent_stage import mixed_targets, stage
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.model.measurement import Target
from netwatch.protocols import Message, Transport
from netwatch.store.memory import MemoryStore
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.mqtt import MqttTransport

__all__ = ["Life", "Place", "least_squares", "live", "place"]

TARGETS = 400
STARTS = 5
SPEED = 60
"""How much faster than real time the accelerated hours go."""
WARM_UP = 0.5
"""Hours of work before memory is looked at."""
USER, PASSWORD = "netwatch", "stage"
GOALS = {"megabytes": 60.0, "first_result_seconds": 2.0, "slope": 0.2}
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Place:
    """A folder with a configuration, and the collector that its agent talks to."""

    folder: Path
    config: Path
    metrics: CollectorMetrics

    @property
    def spool(self) -> Path:
        return self.folder / "data" / "spool-stage.sqlite"


@dataclass
class Life:
    """What was seen of one run of the command: moments are seconds since its start."""

    moments: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    log_bytes: list[int] = field(default_factory=list)
    cpu_seconds: float = 0.0
    acknowledged: int = 0


@asynccontextmanager
async def place(
    targets: Sequence[Target], *, period: float, flush_interval: float
) -> AsyncIterator[Place]:
    """Run a broker and a collector; yields a configuration with which an agent finds them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with EmbeddedBroker(users={USER: PASSWORD}) as broker:
            settings = {
                "data": str(folder / "data"),
                "broker": {"embedded": True, "port": broker.port, "password": PASSWORD},
                "vantage": {"id": "stage", "country": "XX", "asn": 64500},
                "agent": {"period": f"{period:g}s", "flush_interval": f"{flush_interval:g}s",
                          "budget": "full"},
                "target": [
                    {"id": one.id, "probe": one.probe, "host": one.host, "port": one.port,
                     "path": one.path, "asn": one.asn, "country": one.country}
                    for one in targets
                ],
            }  # fmt: skip
            config = folder / "netwatch.toml"
            config.write_text(tomli_w.dumps(settings))

            def connect(will: Message | None) -> Transport:
                return MqttTransport(
                    host="127.0.0.1", port=broker.port, username=USER, password=PASSWORD, will=will
                )

            batch_log = BatchLog(folder / "batches.sqlite")
            collector = CollectorDeps(
                connect=connect,
                batch_log=batch_log,
                store=MemoryStore(),
                targets={one.id: one for one in targets},
                clock=lambda: datetime.now(UTC),
            )
            task = asyncio.ensure_future(run_collector(collector))
            try:
                yield Place(folder, config, collector.metrics)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                batch_log.close()


def start(found: Place) -> "subprocess.Popen[bytes]":
    """Start the command as a volunteer's machine does."""
    command = [sys.executable, "-m", "netwatch", "agent", "run", "-c", str(found.config)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


async def live(found: Place, seconds: float, *, every: float = 1.0) -> Life:
    """Run the command for so long and look at it every so often."""
    life = Life()
    since = time.perf_counter()
    process = start(found)
    try:
        while time.perf_counter() - since < seconds:
            await asyncio.sleep(every)
            if process.poll() is not None:
                raise RuntimeError("the agent ended by itself")
            look(process.pid, found, life, time.perf_counter() - since)
        life.cpu_seconds = cpu_seconds(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
    life.acknowledged = by_label(found.metrics.batches)["stored"]
    return life


def look(pid: int, found: Place, life: Life, moment: float) -> None:
    """Take down what a process has in memory, open, and in its write-ahead log."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    log = found.spool.with_name(found.spool.name + "-wal")
    life.moments.append(moment)
    life.megabytes.append(resident * PAGE / 2**20)
    life.files.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
    life.log_bytes.append(log.stat().st_size if log.exists() else 0)


async def start_once(number: int) -> float:
    """Return the seconds from the command's start until the first target was probed to its end."""
    ended = asyncio.Event()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(1)
        ended.set()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        targets = [
            Target(f"start-{number}-{one}", "tcp", "127.0.0.1", port=port) for one in range(TARGETS)
        ]
        async with place(targets, period=TARGETS, flush_interval=10) as found:
            since = time.perf_counter()
            process = start(found)
            try:
                await asyncio.wait_for(ended.wait(), 60)
                return time.perf_counter() - since
            finally:
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(process.wait)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def least_squares(moments: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the line that misses `values` least."""
    return statistics.linear_regression(moments, values).slope


async def measure(hours: float) -> dict[str, object]:
    """Start it a few times, let it idle along, then give it hours of work."""
    with stage() as ports:
        starts = sorted([await start_once(number) for number in range(STARTS)])
        targets = mixed_targets(TARGETS, ports)
        async with place(targets, period=TARGETS, flush_interval=10) as found:
            calm = await live(found, 45)
        period, flush_interval = TARGETS / SPEED, 10 / SPEED
        async with place(targets, period=period, flush_interval=flush_interval) as found:
            busy = await live(found, (hours + WARM_UP) * 3600 / SPEED)
    first = next(n for n, one in enumerate(busy.moments) if one > WARM_UP * 3600 / SPEED)
    worked = [moment * SPEED / 3600 for moment in busy.moments[first:]]
    return {
        "first_result_seconds": starts,
        "megabytes": statistics.median(calm.megabytes[-10:]),
        "cpu_percent_at_one_a_second": 100 * calm.cpu_seconds / calm.moments[-1],
        "hours_of_work": hours,
        "megabytes_when_busy": [busy.megabytes[first], busy.megabytes[-1]],
        "slope": least_squares(worked, busy.megabytes[first:]),
        "files": [min(busy.files[first:]), max(busy.files[first:])],
        "largest_log_bytes": max(busy.log_bytes),
        "batches": busy.acknowledged,
        "goals": GOALS,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--hours", type=float, default=1.0, help="hours of work")
    chosen = options.parse_args()
    found = asyncio.run(measure(chosen.hours))
    if chosen.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        if name != "goals":
            goal = f"   goal < {GOALS[name]:g}" if name in GOALS else ""
            text = " ".join(f"{one:.2f}" for one in value) if isinstance(value, list) else value
            print(f"{name:32}{text if isinstance(text, str) else f'{text:.2f}':>28}{goal}")


if __name__ == "__main__":
    main()
