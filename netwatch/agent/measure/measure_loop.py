"""When and what to measure, and what to make of it: schedule, turns, health, confirmation."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from time import monotonic

from netwatch.agent.health.environment import EnvironmentMonitor
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.health.health import Flag, tier_of
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.measure.admission import AdmissionControl, SkipCounters
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.measure.burst_mode import BurstMode
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.agent.measure.retest import FailureRetester
from netwatch.agent.measure.schedule import Schedule
from netwatch.config import AgentConfig
from netwatch.model.byte_counter import ByteCounter
from netwatch.model.measurement import Measurement, Target
from netwatch.protocols import Clock, Probe

_LONGEST_NAP = 3600.0
_WORST_CLOCK = 150.0
_HURRIED = 5.0
"""How many times as often targets are asked in a hurry."""
_TRACE = "traceroute"


class MeasureLoop:
    """Measures targets for ever and hands every measurement to `take`.

    Args:
        agent: the agent's id.
        targets: what to probe; witnesses among them tell of the vantage's own health. Those
            of the probe `traceroute` are asked when that health changes, and then only.
        probes: name and probe.
        clock: the wall clock.
        config: how often, how patiently, and how much.
        gateway: asks the default gateway; None where nothing outside this machine is probed.

    Attributes:
        ladder: the vantage's health.
        paused: asked before every probe; while it is true, nothing at all is probed.

    Raises:
        ConfigError: the quiet hours are none.
    """

    def __init__(  # noqa: PLR0913 - everything that an agent measures with
        self,
        agent: str,
        targets: Sequence[Target],
        *,
        probes: Mapping[str, Probe],
        clock: Clock,
        config: AgentConfig,
        gateway: GatewayMonitor | None = None,
    ) -> None:
        self._agent, self._clock, self._config = agent, clock, config
        self._targets = [target for target in targets if target.probe != _TRACE]
        self._ways = [target for target in targets if target.probe == _TRACE]
        self._random = Random()  # noqa: S311 - jitter
        self._runner = ProbeRunner(probes, clock, config.timeout.total_seconds())
        self._take: Callable[[Measurement], None] = lambda _: None
        self.ladder = HealthMonitor(targets, note=self._hand_over)
        self._turns = AdmissionControl(
            config, clock=clock, flags=lambda: self.ladder.flags, note=self._hand_over
        )
        self._alertness = BurstMode(self._turns.budget, clock=clock, hurry=config.burst)
        self._surroundings = EnvironmentMonitor(
            self.ladder,
            self._runner.stalls,
            clock=clock,
            gateway=gateway,
            period=config.witness_period.total_seconds(),
        )
        self._confirmer = FailureRetester(targets, self._look_again, random=self._random)
        self._slots = asyncio.Semaphore(config.concurrency)
        self.paused: Callable[[], bool] = lambda: False

    @property
    def skips(self) -> SkipCounters:
        """What was left out on purpose."""
        return self._turns.skips

    @property
    def budget(self) -> DailyBudget:
        """What was done today; whoever starts an agent again gives it what was written down."""
        return self._turns.budget

    async def run(self, take: Callable[[Measurement], None]) -> None:
        """Start each target's probe when it is due, until cancelled."""
        self._take = take
        async with asyncio.TaskGroup() as group:
            group.create_task(self._runner.stalls.run())
            group.create_task(self._surroundings.run(self.paused))
            group.create_task(self._follow_ways())
            group.create_task(self._hurry(group))
            await self._keep(self._schedule(1.0), group)

    async def _keep(self, schedule: Schedule, group: asyncio.TaskGroup) -> None:
        """Keep to a schedule until cancelled."""
        while True:
            pause = min(max(0.0, schedule.due_at() - monotonic()), _LONGEST_NAP)
            await asyncio.sleep(pause)
            for target in schedule.take_due(monotonic()):
                await self._slots.acquire()
                group.create_task(self._measure_one(target))

    def _schedule(self, times: float) -> Schedule:
        """Return a schedule that begins now, so many times as often as is configured."""
        targets = self._targets
        if times > 1.0:
            targets = [target for target in targets if tier_of(target) is None]
        return Schedule(
            self._agent,
            targets,
            period=lambda target: self._period(target) / times,
            start=monotonic(),
            random=self._random,
        )

    async def _hurry(self, group: asyncio.TaskGroup) -> None:
        """Look more often for a while whenever the vantage's health has changed."""
        while True:
            await self._alertness.hurried()
            hurrying = asyncio.ensure_future(self._keep(self._schedule(_HURRIED), group))
            try:
                await self._alertness.calm()
            finally:
                hurrying.cancel()
                await asyncio.wait([hurrying])

    async def _follow_ways(self) -> None:
        """Follow the ways of the list once whenever the vantage's health has changed.

        What comes of it is a note: where a way ends says nothing of whether a host works.
        """
        while True:
            await self._alertness.changed()
            for target in self._ways:
                if self.paused() or not self._alertness.may_trace():
                    continue
                if await self._turns.wait_again(target, paused=False):
                    found = await self._probe(target)
                    self._take(self._alertness.as_note(found))

    def _hand_over(self, note: Measurement) -> None:
        """Pass a note on to whoever takes measurements."""
        self._alertness.hear(note)
        self._take(note)

    def _period(self, target: Target) -> float:
        """Return the seconds between rounds of a target."""
        period = self._config.period.total_seconds()
        if tier_of(target) is None:
            return period
        return min(period, self._config.witness_period.total_seconds())

    async def _measure_one(self, target: Target) -> None:
        """Measure one target, if it is its turn; a place among the concurrent ones is ours."""
        try:
            period = self._period(target)
            turn = await self._turns.wait(target, period=period, paused=self.paused())
            # While it waited for its turn, somebody may have said stop.
            if not turn or self.paused():
                return
            found = await self._probe(target)
            self._surroundings.hear(found, target)
            measurement = self.ladder.take(found, target)
        finally:
            self._slots.release()
        if measurement.failure is not None:
            measurement = await self._confirmer.confirm(measurement, target)
        else:
            self._confirmer.succeeded(target)
        self._take(measurement)

    async def _probe(self, target: Target) -> Measurement:
        """Measure once, and count in the day's budget what that really moved."""
        with ByteCounter() as counter:
            found = await self._runner.measure(target)
        self.budget.settle(target, counter.bytes)
        return found

    async def _look_again(self, target: Target) -> Measurement | None:
        """Ask a target once more, for a confirmation; it counts like any other probe."""
        turn = await self._turns.wait_again(target, paused=self.paused())
        if not turn or self.paused():
            return None
        return await self._probe(target)

    def set_clock_flag(self, seconds: float | None) -> None:
        """Take the collector's time minus ours, in seconds; beyond 150 the clock is bad."""
        if seconds is not None:
            bad = abs(seconds) > _WORST_CLOCK
            self.ladder.raise_flag(Flag.CLOCK_BAD, up=bad, time=self._clock())
