"""What one probe of each kind costs this machine, and what a result takes on the wire.

The probes run as the agent runs them, many side by side, against servers on loopback in a
process of their own, which is not counted. The batches are what a spool seals of an ordinary
list of 400 targets at one probe a second.

    python -m benchmarks.agent_costs [--json]
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import cast

from benchmarks.agent_stage import Ports, mixed_targets, stage, target_of
from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.identity import Identity, load_or_create_identity
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.agent.spool.spool import Spool
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.plugins import load_plugin
from netwatch.protocols import Probe
from netwatch.wire.batch_codec import unpack_batch

KINDS = {"dns": 400, "tcp": 2000, "tls": 200, "http": 200, "icmp": 400, "transfer": 60}
"""Kinds and how many runs of each are timed at once."""
ROUNDS = 5
TOGETHER = 32
TARGETS = 400
GOAL_BYTES = 12.0


def present() -> datetime:
    return datetime.now(UTC)


async def run_many(runner: ProbeRunner, targets: Sequence[Target]) -> list[Measurement]:
    """Measure every target, `TOGETHER` at a time."""
    waiting = iter(targets)
    found: list[Measurement] = []

    async def work() -> None:
        found.extend([await runner.measure(target) for target in waiting])

    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(work())
    return found


def probe_named(kind: str) -> Probe:
    return cast("Probe", load_plugin("probes", kind)())


def time_kind(kind: str, ports: Ports) -> tuple[list[float], str]:
    """Return the CPU milliseconds of one probe, round by round, and what came of most."""
    runner = ProbeRunner({kind: probe_named(kind)}, present, 5.0)
    targets = [target_of(kind, ports)] * KINDS[kind]
    costs, outcomes = [], []
    asyncio.run(run_many(runner, targets[:TOGETHER]))
    for _ in range(ROUNDS):
        spent = time.process_time()
        found = asyncio.run(run_many(runner, targets))
        costs.append(1000 * (time.process_time() - spent) / len(targets))
        outcomes += [one.failure or "ok" for one in found]
    return sorted(costs), statistics.mode(outcomes)


def weigh(ports: Ports, identity: Identity) -> dict[str, float]:
    """Return bytes a result by how many seconds are sealed together, unsigned and signed."""
    targets = mixed_targets(TARGETS, ports)
    probes = {kind: probe_named(kind) for kind in {one.probe for one in targets}}
    rows = asyncio.run(run_many(ProbeRunner(probes, present, 5.0), targets))
    # Loopback takes the same time again and again; lines do not.
    random = Random(7)
    random.shuffle(rows)
    rows = [spread(row, random, number) for number, row in enumerate(rows)]
    weights = {}
    for together in (10, 60, 200):
        for signed in (False, True):
            name = f"{together} results together, {'signed' if signed else 'unsigned'}"
            weights[name] = weigh_sealed(rows, together, identity if signed else None)
    return weights


def spread(row: Measurement, random: Random, number: int) -> Measurement:
    """Return a row as it would be on a real line, one second after the one before."""
    factor = random.lognormvariate(3.5, 0.8)
    steps = tuple(replace(one, seconds=one.seconds * factor) for one in row.observations)
    longer = sum(one.seconds for one in steps) - sum(one.seconds for one in row.observations)
    moment = present() + timedelta(seconds=number + random.uniform(-0.1, 0.1))
    return replace(row, time=moment, seconds=row.seconds + longer, observations=steps)


def weigh_sealed(rows: Sequence[Measurement], together: int, identity: Identity | None) -> float:
    """Seal rows in a spool and return the bytes that its batches take a row."""
    vantage = Vantage(identity.id if identity else "a1", "XX", 64500)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spool.sqlite"
        more = {"pack": identity.pack} if identity else {}
        with Spool(path, vantage=vantage, created_at=present(), **more) as spool:
            spool.use_clock(DisciplinedClock(present, boot="0123456789abcdef"))
            for first in range(0, len(rows), together):
                spool.append(rows[first : first + together])
                spool.flush()
            sealed = spool.oldest(10_000)
    count = sum(len(unpack_batch(one.payload).measurements) for one in sealed)
    assert count == len(rows)
    return sum(len(one.payload) for one in sealed) / count


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    costs, weights = {}, {}
    with stage() as ports, tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            costs[kind] = time_kind(kind, ports)
        weights = weigh(ports, load_or_create_identity(Path(folder) / "key"))
    if chosen.json:
        print(json.dumps({"cpu_milliseconds": costs, "bytes": weights, "goal": GOAL_BYTES}))
        return
    print(f"{'CPU of one probe':28}{'median ms':>12}   least to most, and what came of it")
    for kind, (found, outcome) in costs.items():
        middle = statistics.median(found)
        print(f"{kind:28}{middle:12.3f}   {found[0]:.3f} to {found[-1]:.3f}, {outcome}")
    if find_spec("aioquic") is None:
        print(f"{'quic':28}{'skipped':>12}   aioquic is not installed")
    print(f"{'on the wire':36}{'bytes a result':>16}   goal {GOAL_BYTES:.0f}")
    for name, value in weights.items():
        print(f"{name:36}{value:16.1f}")


if __name__ == "__main__":
    main()
