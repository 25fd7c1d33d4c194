"""The agent: measure, keep, send. None of the three waits for another."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

import msgspec

from netwatch.agent.ack_clock import AckClockSync
from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.gaps import GapWatch, since_mark, suspended_seconds, write_mark
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.measure.measure_loop import MeasureLoop
from netwatch.agent.measure.rate_limits import is_loopback
from netwatch.agent.pause import PauseReason, pause_event, run_while_not
from netwatch.agent.process_stats import ProcessStatsCollector
from netwatch.agent.spool.downsample import EVENT_PREFIX
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint, TransportFactory, TransportStatus
from netwatch.agent.uplink.session_presence import start_session
from netwatch.agent.uplink.uplink import Uplink
from netwatch.aio.executor import SingleThreadExecutor
from netwatch.aio.tasks import run_until_first_exits
from netwatch.config import AgentConfig
from netwatch.model.errors import StoreError
from netwatch.model.failure import lookup_failure
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.protocols import Clock, Probe

_log = logging.getLogger("netwatch.agent.loop")
_COMMIT = 1.0
"""Seconds that a measurement may stay in memory only."""
_HELD = 10_000
"""Measurements held in memory while the disk takes none."""
_SEEN, _MARK, _METRICS = "seen", "mark", "metrics"
_TODAY = "today"


def _never() -> bool:
    """Say that nothing is paused."""
    return False


@dataclass(frozen=True, slots=True)
class AgentDeps:
    """Everything an agent is made of.

    Attributes:
        vantage: who and where it is.
        targets: what it probes.
        probes: name and probe, for every name that a target asks for.
        connect: makes a link to the collector, with the given last will; the only way where
            `ways` names none.
        spool: where measurements wait; the caller closes it.
        clock: the wall clock.
        config: how often and how patiently.
        paused: tells whether nothing is to be measured right now.
        holder: says by whose wish, for a note of it.
        on_target_list: takes a target list as it came over the link; None to hear of none. Blocks.
        ways: how to get to the collector, best rungs first.
        sign: signs what is said about presence; without, it goes unsigned.
        keeper: dates what is measured and learns the time; without, `clock` is believed.
    """

    vantage: Vantage
    targets: Sequence[Target]
    probes: Mapping[str, Probe]
    connect: TransportFactory
    spool: Spool
    clock: Clock
    config: AgentConfig = field(default_factory=AgentConfig)
    paused: Callable[[], bool] = _never
    holder: Callable[[], PauseReason] = lambda: PauseReason.NOBODY
    on_target_list: Callable[[bytes], None] | None = None
    ways: Sequence[Endpoint] = ()
    sign: Callable[[bytes], bytes] = bytes
    keeper: DisciplinedClock | None = None

    @property
    def dates(self) -> Clock:
        """The clock by which rows are dated."""
        return self.keeper or self.clock

    def withdrawn(self) -> bool:
        """Tell whether nothing may go out, not even what was measured before."""
        return self.paused() and self.holder() is PauseReason.CONSENT


async def run_agent(parts: AgentDeps) -> None:
    """Measure until cancelled; then write down and seal what is in memory.

    Neither a dead network, nor a refusing collector, nor a full disk stops it.
    """
    pace = parts.config.flush_interval.total_seconds()
    with SingleThreadExecutor("spool") as worker:
        life = await worker.run(
            start_session, parts.vantage.id, parts.spool, parts.clock(), parts.sign
        )
        ways = parts.ways or (Endpoint("link", "", parts.connect),)
        uplink = Uplink(life, ways, spool=parts.spool, executor=worker, pace=pace)
        uplink.on_target_list = parts.on_target_list
        measurer = MeasureLoop(
            parts.vantage.id,
            parts.targets,
            probes=parts.probes,
            clock=parts.dates,
            config=parts.config,
            # Whoever probes nothing outside this machine has no line to know about.
            gateway=None if all(is_loopback(one) for one in parts.targets) else GatewayMonitor(),
        )
        measurer.paused = parts.paused
        keeper = _SpoolWriter(parts, worker, uplink, measurer)
        uplink.on_status_change = keeper.note_rung
        uplink.ack_clock = AckClockSync(parts.keeper)
        await keeper.take_up_today()
        try:
            sending = run_while_not(parts.withdrawn, uplink.run)
            await run_until_first_exits(measurer.run(keeper.take), keeper.run(pace), sending)
        finally:
            await keeper.flush(seal=True)


class _SpoolWriter:
    """Brings measurements from memory to disk, and wakes the uplink."""

    def __init__(
        self, parts: AgentDeps, worker: SingleThreadExecutor, uplink: Uplink, measurer: MeasureLoop
    ) -> None:
        self._spool, self._clock, self._timekeeper = parts.spool, parts.dates, parts.keeper
        self._worker = worker
        self._uplink = uplink
        self._measurer = measurer
        self._gaps = GapWatch(suspended_seconds())
        self._metrics = ProcessStatsCollector()
        self._held: deque[Measurement] = deque(maxlen=_HELD)
        self._ill = False
        self._paused, self._holder = parts.paused, parts.holder
        self._holds = PauseReason.NOBODY
        self._silent: set[str] = set()

    def take(self, measurement: Measurement) -> None:
        """Hold one until the next commit; a host that answers again wakes the uplink."""
        self._metrics.count(measurement)
        self._held.append(measurement)
        if not measurement.host_responded:
            self._silent.add(measurement.target)
        elif measurement.target in self._silent:
            self._silent.discard(measurement.target)
            self._uplink.retry_now()

    def note_rung(self, outcome: TransportStatus) -> None:
        """Make a note of how a way to the collector fares, as a record of this line's health."""
        failure, scope = outcome.failure, ""
        if failure is not None:
            scope = lookup_failure(failure).scope.value
        self._held.append(
            Measurement(
                target=f"{EVENT_PREFIX}uplink-{outcome.transport}",
                probe="agent",
                time=self._clock(),
                failure=failure,
                scope=scope,
                host_responded=failure is None,
                seconds=0.0,
            )
        )

    async def run(self, pace: float) -> None:
        """Commit at least every second, seal every `pace` seconds."""
        sealed = monotonic()
        await self._begin()
        await self._note_start()
        while True:
            before, nap = monotonic(), min(pace, _COMMIT)
            await asyncio.sleep(nap)
            self._metrics.woke(monotonic() - before - nap)
            self._look_around()
            due = monotonic() - sealed >= pace * 0.9
            if due:
                sealed = monotonic()
            await self.flush(seal=due)

    async def _begin(self) -> None:
        """Tell the spool by what rows are dated from here on."""
        if self._timekeeper is not None:
            try:
                await self._worker.run(self._spool.use_clock, self._timekeeper)
            except StoreError as error:
                _log.error("spool: %s; times are sent as the wall clock has them", error)

    async def take_up_today(self) -> None:
        """Go on from what was done today before a restart."""
        try:
            written = await self._worker.run(self._spool.get_meta, _TODAY)
        except StoreError:
            return
        self._measurer.budget.take_up(written)

    async def _note_start(self) -> None:
        """Note for how long this agent was not running."""
        try:
            seen = await self._worker.run(self._spool.get_meta, _SEEN)
            mark = await self._worker.run(self._spool.get_meta, _MARK)
        except StoreError:
            return
        last = None if seen is None else datetime.fromisoformat(seen.decode())
        exact = None
        if (keeper := self._timekeeper) is not None:
            exact = since_mark(mark, keeper.boot, keeper.steady())
        if (gap := self._gaps.at_start(last, self._clock(), exact=exact)) is not None:
            self.take(gap)

    def _look_around(self) -> None:
        """Notice a sleep of the machine, a pause, and a clock that is far from the collector's."""
        if (gap := self._gaps.after_sleep(suspended_seconds(), self._clock())) is not None:
            self._measurer.ladder.wake(self._clock())
            self.take(gap)
        # Asked here too: where nothing is due, nobody else asks whether there is a pause.
        self._paused()
        if (holder := self._holder()) is not self._holds:
            self._holds = holder
            self.take(pause_event(holder, self._clock()))
        if self._timekeeper is not None:
            self._measurer.set_clock_flag(self._timekeeper.off())
        elif self._uplink.collector_time is not None:
            milliseconds, at = self._uplink.collector_time
            theirs = milliseconds / 1000 + (monotonic() - at)
            self._measurer.set_clock_flag(theirs - self._clock().timestamp())

    async def flush(self, *, seal: bool) -> None:
        """Write what is held; with `seal`, make it ready to go. A sick disk is told once."""
        rows = list(self._held)
        self._held.clear()
        try:
            today = self._measurer.budget.dump() if seal else None
            made = await self._worker.run(self._write, rows, today)
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
            self._uplink.notify()

    def _write(self, rows: Sequence[Measurement], today: bytes | None) -> int:
        """Append, and seal where it is time, remembering what was done `today`; blocks."""
        if rows:
            self._spool.append(rows)
        if today is None:
            return 0
        present = self._clock().isoformat()
        self._spool.set_meta(_SEEN, present.encode())
        if (keeper := self._timekeeper) is not None:
            self._spool.set_meta(_MARK, write_mark(keeper.boot, keeper.steady()))
        self._spool.set_meta(_METRICS, msgspec.json.encode(self._metrics.take(present)))
        self._spool.set_meta(_TODAY, today)
        return self._spool.flush()
