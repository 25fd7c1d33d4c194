"""The agent: measures, stores and sends. None of the three blocks another."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

import msgspec

from netwatch.agent.clock import AckClockSync, DisciplinedClock
from netwatch.agent.event_rows import agent_event
from netwatch.agent.gaps import GapDetector, seconds_since, suspended_seconds, write_heartbeat
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.measure.measure_loop import MeasureLoop
from netwatch.agent.pause import PauseReason, pause_event, run_while_not
from netwatch.agent.process_stats import ProcessStatsCollector
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint, TransportStatus
from netwatch.agent.uplink.session_presence import start_session
from netwatch.agent.uplink.uplink import Uplink
from netwatch.aio.executor import SingleThreadExecutor
from netwatch.aio.tasks import run_until_first_exits
from netwatch.config import AgentConfig
from netwatch.model.addresses import is_loopback
from netwatch.model.errors import StoreError
from netwatch.model.failure import lookup_failure
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.protocols import Probe

_log = logging.getLogger("netwatch.agent.loop")
_COMMIT_INTERVAL = 1.0
"""Seconds that a measurement may stay in memory only."""
_MAX_PENDING = 10_000
"""Measurements held in memory while the spool cannot be written."""
_SEAL_EARLY = 0.9
"""Share of the seal interval after which a batch is sealed, so that waking late skips none."""
_LAST_SEEN, _HEARTBEAT, _STATS, _BUDGET = "seen", "mark", "metrics", "today"
"""Keys of the agent's own state in the spool."""


@dataclass(frozen=True, slots=True)
class AgentDeps:
    """Everything that an agent consists of.

    Attributes:
        probes: by name, for every name that a target refers to.
        endpoints: where the collector can be reached, best transports first.
        spool: where measurements wait; the caller closes it.
        clock: dates measurements and learns the true time.
        pause_reason: why nothing may be measured at present.
        on_target_list: receives a target list as it came over the link; None ignores lists. Blocks.
        sign: signs presence messages; by default they are unsigned.
    """

    vantage: Vantage
    targets: Sequence[Target]
    probes: Mapping[str, Probe]
    endpoints: Sequence[Endpoint]
    spool: Spool
    clock: DisciplinedClock
    config: AgentConfig = field(default_factory=AgentConfig)
    pause_reason: Callable[[], PauseReason] = lambda: PauseReason.NONE
    on_target_list: Callable[[bytes], None] | None = None
    sign: Callable[[bytes], bytes] = bytes

    def is_paused(self) -> bool:
        """Return whether nothing may be measured."""
        return self.pause_reason() is not PauseReason.NONE

    def is_withdrawn(self) -> bool:
        """Return whether consent is missing, so that nothing may be sent either."""
        return self.pause_reason() is PauseReason.CONSENT


async def run_agent(deps: AgentDeps) -> None:
    """Measure until cancelled; then write and seal what is in memory.

    A dead network, a refusing collector or a full disk do not end it.
    """
    interval = deps.config.flush_interval.total_seconds()
    with SingleThreadExecutor("spool") as executor:
        session = await executor.run(
            start_session, deps.vantage.id, deps.spool, deps.clock(), deps.sign
        )
        uplink = Uplink(
            session,
            deps.endpoints,
            spool=deps.spool,
            executor=executor,
            pace=interval,
            clock_sync=AckClockSync(deps.clock),
        )
        loopback_only = all(is_loopback(target.host) for target in deps.targets)
        measure_loop = MeasureLoop(
            deps.vantage.id,
            deps.targets,
            probes=deps.probes,
            clock=deps.clock,
            config=deps.config,
            gateway=None if loopback_only else GatewayMonitor(),
            paused=deps.is_paused,
        )
        writer = _SpoolWriter(deps, executor, uplink, measure_loop)
        uplink.on_target_list = deps.on_target_list
        uplink.on_status_change = writer.add_uplink_status
        await writer.restore()
        try:
            await run_until_first_exits(
                measure_loop.run(writer.add),
                writer.run(interval),
                run_while_not(deps.is_withdrawn, uplink.run),
            )
        finally:
            await writer.flush(seal=True)


class _SpoolWriter:
    def __init__(
        self,
        deps: AgentDeps,
        executor: SingleThreadExecutor,
        uplink: Uplink,
        measure_loop: MeasureLoop,
    ) -> None:
        self._deps, self._spool, self._clock = deps, deps.spool, deps.clock
        self._executor, self._uplink, self._measure_loop = executor, uplink, measure_loop
        self._gaps = GapDetector(suspended_seconds())
        self._stats = ProcessStatsCollector()
        self._pending: deque[Measurement] = deque(maxlen=_MAX_PENDING)
        self._is_failing = False
        self._pause_reason = PauseReason.NONE
        self._silent_targets: set[str] = set()

    def add(self, measurement: Measurement) -> None:
        """Hold a measurement until the next commit; a recovered target wakes the uplink."""
        self._stats.count(measurement)
        self._pending.append(measurement)
        if not measurement.host_responded:
            self._silent_targets.add(measurement.target)
        elif measurement.target in self._silent_targets:
            self._silent_targets.discard(measurement.target)
            self._uplink.retry_now()

    def add_uplink_status(self, status: TransportStatus) -> None:
        scope = "" if status.failure is None else lookup_failure(status.failure).scope.value
        name = f"uplink-{status.transport}"
        self._pending.append(agent_event(name, self._clock(), status.failure, scope=scope))

    async def restore(self) -> None:
        try:
            await self._executor.run(self._spool.use_clock, self._clock)
            budget = await self._executor.run(self._spool.get_meta, _BUDGET)
            last_seen = await self._executor.run(self._spool.get_meta, _LAST_SEEN)
            heartbeat = await self._executor.run(self._spool.get_meta, _HEARTBEAT)
        except StoreError as error:
            _log.error("spool: %s; times are sent uncorrected", error)
            return
        self._measure_loop.budget.restore(budget)
        seen = None if last_seen is None else datetime.fromisoformat(last_seen.decode())
        exact = seconds_since(heartbeat, self._clock)
        gap = self._gaps.at_start(seen, self._clock(), exact=exact)
        if gap is not None:
            self.add(gap)

    async def run(self, interval: float) -> None:
        sealed_at = monotonic()
        nap = min(interval, _COMMIT_INTERVAL)
        while True:
            start = monotonic()
            await asyncio.sleep(nap)
            self._stats.add_lag(monotonic() - start - nap)
            self._check_host()
            seal = monotonic() - sealed_at >= interval * _SEAL_EARLY
            if seal:
                sealed_at = monotonic()
            await self.flush(seal=seal)

    async def flush(self, *, seal: bool) -> None:
        """Write what is pending; with `seal`, make it a batch. A failing disk is logged once."""
        pending = list(self._pending)
        self._pending.clear()
        sealed = 0
        try:
            if pending:
                await self._executor.run(self._spool.append, pending)
                pending = []
            if seal:
                sealed = await self._executor.run(self._seal, self._measure_loop.budget.dump())
        except StoreError as error:
            # The newest survive if not all fit: the present is worth more than the past.
            self._pending.extendleft(reversed(pending[: _MAX_PENDING - len(self._pending)]))
            if not self._is_failing:
                _log.error("spool: %s; measurements stay in memory", error)
            self._is_failing = True
            return
        if self._is_failing:
            _log.warning("spool: writes succeed again")
        self._is_failing = False
        if sealed:
            self._uplink.notify()

    def _seal(self, budget: bytes) -> int:
        now = self._clock().isoformat()
        state = {
            _LAST_SEEN: now.encode(),
            _HEARTBEAT: write_heartbeat(self._clock),
            _STATS: msgspec.json.encode(self._stats.collect(now)),
            _BUDGET: budget,
        }
        for key, value in state.items():
            self._spool.set_meta(key, value)
        return self._spool.flush()

    def _check_host(self) -> None:
        gap = self._gaps.after_sleep(suspended_seconds(), self._clock())
        if gap is not None:
            self._measure_loop.on_resume()
            self.add(gap)
        reason = self._deps.pause_reason()
        if reason is not self._pause_reason:
            self._pause_reason = reason
            self.add(pause_event(reason, self._clock()))
        self._measure_loop.set_clock_offset(self._clock.offset_error())
