"""The agent: measures, stores and sends. None of the three blocks another."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from netwatch.agent.clock import AckClockSync, DisciplinedClock
from netwatch.agent.event_rows import agent_event
from netwatch.agent.gaps import Heartbeat, make_gap, suspended_seconds
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.measure.measure_loop import MeasureLoop
from netwatch.agent.pause import PauseReason, pause_event, run_with_consent
from netwatch.agent.process_stats import ProcessStatsCollector
from netwatch.agent.saved_state import RunState, SavedState, load_state, save_state
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint, TransportStatus
from netwatch.agent.uplink.session_presence import AgentSession, start_session
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


async def run_agent(deps: AgentDeps) -> None:
    """Measure until cancelled; then write and seal what is in memory.

    A dead network, a refusing collector or a full disk do not end it.
    """
    with SingleThreadExecutor("spool") as executor:
        session = await executor.run(
            start_session, deps.vantage.id, deps.spool, deps.clock(), deps.sign
        )
        agent = _Agent(deps, executor, session)
        await agent.restore()
        try:
            await run_until_first_exits(
                agent.measure_loop.run(agent.add),
                agent.write(),
                run_with_consent(deps.pause_reason, agent.uplink.run),
            )
        finally:
            await agent.flush(seal=True)


class _Agent:
    """The measuring loop and the uplink, and between them the writing to the spool."""

    def __init__(
        self, deps: AgentDeps, executor: SingleThreadExecutor, session: AgentSession
    ) -> None:
        self._deps, self._spool, self._clock = deps, deps.spool, deps.clock
        self._executor = executor
        self._interval = deps.config.flush_interval.total_seconds()
        self._suspended = suspended_seconds()
        self._pending: deque[Measurement] = deque(maxlen=_MAX_PENDING)
        self._is_failing = False
        self._pause_reason = PauseReason.NONE
        self._silent_targets: set[str] = set()
        self.uplink = Uplink(
            session,
            deps.endpoints,
            spool=deps.spool,
            executor=executor,
            pace=self._interval,
            clock_sync=AckClockSync(deps.clock),
        )
        self.uplink.on_target_list = deps.on_target_list
        self.uplink.on_status_change = self._add_uplink_status
        loopback_only = all(is_loopback(target.host) for target in deps.targets)
        self.measure_loop = MeasureLoop(
            deps.vantage.id,
            deps.targets,
            probes=deps.probes,
            clock=deps.clock,
            config=deps.config,
            gateway=None if loopback_only else GatewayMonitor(),
            paused=lambda: deps.pause_reason() is not PauseReason.NONE,
        )
        self._stats = ProcessStatsCollector(self.measure_loop.loop_lag)

    def add(self, measurement: Measurement) -> None:
        """Hold a measurement until the next commit; a recovered target wakes the uplink."""
        self._stats.count(measurement)
        self._pending.append(measurement)
        if not measurement.host_responded:
            self._silent_targets.add(measurement.target)
        elif measurement.target in self._silent_targets:
            self._silent_targets.discard(measurement.target)
            self.uplink.retry_now()

    async def restore(self) -> None:
        try:
            await self._executor.run(self._spool.use_clock, self._clock)
            state = await self._executor.run(load_state, self._spool, RunState)
        except StoreError as error:
            _log.error("spool: %s; times are sent uncorrected", error)
            return
        if state is not None:
            self.measure_loop.budget.restore(state.budget)
            gap = state.heartbeat.gap_since(self._clock)
            if gap is not None:
                self.add(gap)

    async def write(self) -> None:
        """Commit what was measured every second, and seal it at the end of each interval."""
        sealed_at = monotonic()
        nap = min(self._interval, _COMMIT_INTERVAL)
        while True:
            await asyncio.sleep(nap)
            self._check_host()
            seal = monotonic() - sealed_at >= self._interval * _SEAL_EARLY
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
                sealed = await self._executor.run(self._seal)
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
            self.uplink.notify()

    def _seal(self) -> int:
        heartbeat = Heartbeat.read(self._clock)
        stats = self._stats.collect(heartbeat.time.isoformat())
        save_state(self._spool, SavedState(heartbeat, self.measure_loop.budget, stats))
        return self._spool.flush()

    def _add_uplink_status(self, status: TransportStatus) -> None:
        scope = "" if status.failure is None else lookup_failure(status.failure).scope.value
        name = f"uplink-{status.transport}"
        self._pending.append(agent_event(name, self._clock(), status.failure, scope=scope))

    def _check_host(self) -> None:
        suspended = suspended_seconds()
        gap = make_gap(suspended - self._suspended, self._clock())
        self._suspended = suspended
        if gap is not None:
            self.measure_loop.on_resume()
            self.add(gap)
        reason = self._deps.pause_reason()
        if reason is not self._pause_reason:
            self._pause_reason = reason
            self.add(pause_event(reason, self._clock()))
        self.measure_loop.set_clock_offset(self._clock.offset_error())
