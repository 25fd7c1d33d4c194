"""The agent: measure, keep, send. None of the three waits for another."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from time import monotonic

from netwatch.agent.runner import Runner
from netwatch.agent.schedule import Schedule
from netwatch.agent.spool import Spool
from netwatch.agent.uplink import LinkFactory, Uplink
from netwatch.config import AgentConfig
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.protocols import Clock, Probe
from netwatch.worker import Worker

__all__ = ["AgentParts", "measure_targets", "run_agent"]

_log = logging.getLogger("netwatch.agent.loop")
_COMMIT = 1.0
"""Seconds that a measurement may stay in memory only."""
_HELD = 10_000
"""Measurements held in memory while the disk takes none."""
_LONGEST_NAP = 3600.0


@dataclass(frozen=True, slots=True)
class AgentParts:
    """Everything an agent is made of.

    Attributes:
        vantage: who and where it is.
        targets: what it probes.
        probes: name and probe, for every name that a target asks for.
        connect: makes a link to the collector, with the given last will.
        spool: where measurements wait; the caller closes it.
        clock: the wall clock.
        config: how often and how patiently.
    """

    vantage: Vantage
    targets: Sequence[Target]
    probes: Mapping[str, Probe]
    connect: LinkFactory
    spool: Spool
    clock: Clock
    config: AgentConfig = field(default_factory=AgentConfig)


async def run_agent(parts: AgentParts) -> None:
    """Measure until cancelled; then write down and seal what is in memory.

    Neither a dead network, nor a refusing collector, nor a full disk stops it.
    """
    pace = parts.config.seal.total_seconds()
    with Worker("spool") as worker:
        uplink = Uplink(
            parts.vantage.id, parts.connect, spool=parts.spool, worker=worker, pace=pace
        )
        keeper = _Keeper(parts.spool, worker, uplink)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(measure_targets(parts, keeper.take))
                group.create_task(keeper.run(pace))
                group.create_task(uplink.run())
        finally:
            await keeper.flush(seal=True)


async def measure_targets(parts: AgentParts, take: Callable[[Measurement], None]) -> None:
    """Start each target's probe when it is due, as many at once as allowed, until cancelled.

    Every measurement is handed to `take`.
    """
    config = parts.config
    runner = Runner(parts.probes, parts.clock, config.timeout.total_seconds())
    schedule = Schedule(
        parts.vantage.id,
        parts.targets,
        period=config.period.total_seconds(),
        start=monotonic(),
        random=Random(),  # noqa: S311 - jitter
    )
    slots = asyncio.Semaphore(config.concurrency)

    async def measure_one(target: Target) -> None:
        try:
            take(await runner.measure(target))
        finally:
            slots.release()

    async with asyncio.TaskGroup() as group:
        group.create_task(runner.stalls.run())
        while True:
            await asyncio.sleep(min(max(0.0, schedule.due_at() - monotonic()), _LONGEST_NAP))
            for target in schedule.take_due(monotonic()):
                await slots.acquire()
                group.create_task(measure_one(target))


class _Keeper:
    """Brings measurements from memory to disk, and wakes the uplink."""

    def __init__(self, spool: Spool, worker: Worker, uplink: Uplink) -> None:
        self._spool = spool
        self._worker = worker
        self._uplink = uplink
        self._held: deque[Measurement] = deque(maxlen=_HELD)
        self._ill = False

    def take(self, measurement: Measurement) -> None:
        """Hold one until the next commit."""
        self._held.append(measurement)

    async def run(self, pace: float) -> None:
        """Commit at least every second, seal every `pace` seconds."""
        sealed = monotonic()
        while True:
            await asyncio.sleep(min(pace, _COMMIT))
            due = monotonic() - sealed >= pace * 0.9
            if due:
                sealed = monotonic()
            await self.flush(seal=due)

    async def flush(self, *, seal: bool) -> None:
        """Write what is held; with `seal`, make it ready to go. A sick disk is told once."""
        rows = list(self._held)
        self._held.clear()
        try:
            made = await self._worker.do(self._write, rows, seal=seal)
        except StoreError as error:
            # The newest survive where not all fit: the present tells more than the past.
            self._held.extendleft(reversed(rows[: _HELD - len(self._held)]))
            if not self._ill:
                _log.error("spool: %s; measurements stay in memory", error)
            self._ill = True
            return
        if self._ill:
            _log.warning("spool: writes again")
        self._ill = False
        if made:
            self._uplink.nudge()

    def _write(self, rows: Sequence[Measurement], *, seal: bool) -> int:
        """Append, and seal where it is time; blocks."""
        if rows:
            self._spool.append(rows)
        return self._spool.seal() if seal else 0
