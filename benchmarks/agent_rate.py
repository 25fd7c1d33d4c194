"""How much of the bare speed of connecting the agent keeps, and what others pay for a probe.

All connect to the same server, which runs in a process of its own, in the same run,
alternating: bare `loop.sock_connect`; schedule, runner, probe and spool of the agent; and
Debian's prometheus-blackbox-exporter, where it is installed, asked over its own door by a
driver whose own work is not counted.

    python -m benchmarks.agent_rate [--json] [--rounds N]
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.agent_exporter import PROGRAM, Exporter, ask, exporter
from netwatch.agent.measure.measure_loop import MeasureLoop
from netwatch.agent.spool.spool import Spool
from netwatch.config import AgentConfig
from netwatch.model.duration import Duration
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch_probes.tcp import TcpProbe

Way = Callable[[int], Awaitable[tuple[int, float, float]]]
SECONDS = 2.0
ROUNDS = 3
TOGETHER = 64
RESET = struct.pack("ii", 1, 0)
BARE, AGENT, RIVAL = "bare sock_connect", "agent path", "blackbox exporter"
GOALS = {BARE: 0.5, RIVAL: 4.0}


class Rate(NamedTuple):
    """Probes a second of the clock and of the processor."""

    per_second: float
    per_cpu_second: float


def serve(listener: socket.socket) -> None:
    """Accept and close for ever, without a loop's overhead."""
    while True:
        connection, _ = listener.accept()
        connection.close()


async def bare(port: int) -> tuple[int, float, float]:
    """Connect as fast as the loop can; return connections, seconds and CPU seconds."""
    loop = asyncio.get_running_loop()
    done = 0
    end = time.perf_counter() + SECONDS

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < end:
            with socket.socket() as connection:
                connection.settimeout(0)
                await loop.sock_connect(connection, ("127.0.0.1", port))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            done += 1

    since, spent = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(work())
    return done, time.perf_counter() - since, time.process_time() - spent


async def agent(port: int) -> tuple[int, float, float]:
    """Let the agent measure targets that are due all the time, and keep what it measures."""
    with tempfile.TemporaryDirectory() as folder:
        vantage = Vantage("bench", "XX", 64500)
        spool = Spool(Path(folder) / "spool.sqlite", vantage=vantage, created_at=datetime.now(UTC))
        targets = [Target(f"t{n}", "tcp", "127.0.0.1", port=port) for n in range(2000)]
        measurer = MeasureLoop(
            vantage.id,
            targets,
            probes={"tcp": TcpProbe()},
            clock=lambda: datetime.now(UTC),
            config=AgentConfig(period=Duration(seconds=0.05), concurrency=TOGETHER),
        )
        held: list[Measurement] = []
        done = 0
        since, spent = time.perf_counter(), time.process_time()
        work = asyncio.ensure_future(measurer.run(held.append))
        while time.perf_counter() - since < SECONDS:
            await asyncio.sleep(0.25)
            done += len(held)
            spool.append(held)
            held.clear()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        done += len(held)
        spool.append(held)
        spool.flush()
        took = (time.perf_counter() - since, time.process_time() - spent)
        spool.close()
    return done, *took


def measure(port: int, rival: Exporter | None, rounds: int) -> list[dict[str, Rate]]:
    """Run all, alternating; return what each did in each round."""
    ways: dict[str, Way] = {BARE: bare, AGENT: agent}
    if rival is not None:
        ways[RIVAL] = partial(ask, rival, seconds=SECONDS, together=TOGETHER)
    found: list[dict[str, Rate]] = []
    for _ in range(rounds):
        row = {}
        for name, way in ways.items():
            done, seconds, spent = asyncio.run(way(port))
            row[name] = Rate(done / seconds, done / spent)
        found.append(row)
    return found


def compare(found: list[dict[str, Rate]], other: str) -> list[float]:
    """Return the agent's probes per CPU second in those of another, round by round."""
    return sorted(row[AGENT].per_cpu_second / row[other].per_cpu_second for row in found)


@contextmanager
def target() -> Iterator[int]:
    """Run the server that all connect to; yields its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        server = multiprocessing.get_context("fork").Process(
            target=serve, args=(listener,), daemon=True
        )
        server.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.kill()
            server.join()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def report(found: list[dict[str, Rate]]) -> None:
    print(f"{'median of ' + str(len(found)):28}{'probes/s':>12}{'per CPU second':>18}")
    for name in found[0]:
        rate, cheap = (statistics.median(row[name][place] for row in found) for place in (0, 1))
        print(f"{name:28}{rate:12,.0f}{cheap:18,.0f}")
    for other, goal in GOALS.items():
        if other not in found[0]:
            print(f"agent / {other}: skipped, {PROGRAM} is not installed")
            continue
        ratios = compare(found, other)
        print(
            f"agent / {other}, per CPU second: {statistics.median(ratios):.2f}"
            f" ({ratios[0]:.2f} to {ratios[-1]:.2f}; goal {goal:.1f})"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--rounds", type=int, default=ROUNDS, help="how often, alternating")
    chosen = options.parse_args()
    with target() as port, exporter(free_port()) as rival:
        found = measure(port, rival, chosen.rounds)
    if not chosen.json:
        report(found)
        return
    print(
        json.dumps(
            {
                "rounds": [{name: rate._asdict() for name, rate in row.items()} for row in found],
                "ratios": {name: compare(found, name) for name in GOALS if name in found[0]},
                "goals": GOALS,
            }
        )
    )


if __name__ == "__main__":
    main()
