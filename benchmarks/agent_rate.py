"""How much of the bare speed of connecting the whole agent path keeps.

Both loops connect to the same server, which runs in a process of its own, in the same
run, alternating: bare `loop.sock_connect`, and schedule, runner, probe and spool.

    python benchmarks/agent_rate.py [--json]
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
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.agent.measuring import Measurer
from netwatch.agent.spool import Spool
from netwatch.config import AgentConfig, Duration
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch_probes.tcp import TcpProbe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SECONDS = 2.0
ROUNDS = 3
TOGETHER = 64
RESET = struct.pack("ii", 1, 0)
NAMES = ["bare sock_connect", "agent path"]


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
        spool = Spool(Path(folder) / "spool.sqlite", vantage=vantage, born=datetime.now(UTC))
        targets = [Target(f"t{n}", "tcp", "127.0.0.1", port=port) for n in range(2000)]
        measurer = Measurer(
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
        spool.seal()
        took = (time.perf_counter() - since, time.process_time() - spent)
        spool.close()
    return done, *took


def measure(port: int) -> dict[str, dict[str, float]]:
    """Run both, alternating; return the medians."""
    ways: list[Callable[[int], Awaitable[tuple[int, float, float]]]] = [bare, agent]
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for _ in range(ROUNDS):
        for name, way in zip(NAMES, ways, strict=True):
            done, seconds, spent = asyncio.run(way(port))
            rates[name].append((done / seconds, done / spent))
    return {
        name: {
            "probes_per_second": statistics.median(rate for rate, _ in found),
            "probes_per_cpu_second": statistics.median(rate for _, rate in found),
        }
        for name, found in rates.items()
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        server = multiprocessing.get_context("fork").Process(
            target=serve, args=(listener,), daemon=True
        )
        server.start()
        try:
            found = measure(listener.getsockname()[1])
        finally:
            server.kill()
            server.join()
    bare_rate, agent_rate = (found[name]["probes_per_cpu_second"] for name in NAMES)
    result = {**found, "ratio": agent_rate / bare_rate}
    if chosen.json:
        print(json.dumps(result))
        return
    print(f"{'':20}{'probes/s':>12}{'per CPU second':>18}")
    for name in NAMES:
        row = found[name]
        print(f"{name:20}{row['probes_per_second']:12,.0f}{row['probes_per_cpu_second']:18,.0f}")
    print(f"ratio of the two, per CPU second: {result['ratio']:.2f} (goal 0.50)")


if __name__ == "__main__":
    main()
