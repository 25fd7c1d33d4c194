"""The measuring loop: due -> admitted -> probed -> judged -> retested -> recorded."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from time import monotonic

from netwatch.agent.event_rows import EVENT_PREFIX
from netwatch.agent.health.environment_monitor import EnvironmentMonitor
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.health.judge_health import Flag, tier_of
from netwatch.agent.measure.admission import AdmissionControl
from netwatch.agent.measure.budget import BUDGETS, DailyBudget
from netwatch.agent.measure.burst_mode import BurstMode
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.agent.measure.retest import FailureRetester
from netwatch.agent.measure.schedule import Schedule
from netwatch.config import AgentConfig
from netwatch.model.measurement import Measurement, Target
from netwatch.protocols import Clock, Probe

_MAX_SLEEP = 3600.0
"""Seconds between two looks at the schedule at most."""
_MAX_CLOCK_OFFSET = 150.0
"""Seconds of clock error above which the clock is flagged: half a bin of five minutes."""
_BURST_FACTOR = 5.0
"""How many times as often targets are probed in burst mode."""


class MeasureLoop:
    """Measures targets until cancelled.

    Witnesses among the targets show the vantage's own health; probes with `on_change_only` run when
    that changes. Without `gateway`, which is for loopback targets only, the default gateway is not
    probed. `skips` counts skipped probes by reason.

    Raises:
        ConfigError: the quiet hours cannot be parsed.
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
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._agent, self._clock, self._config, self._paused = agent, clock, config, paused
        on_change = {name for name, probe in probes.items() if probe.on_change_only}
        self._targets = [target for target in targets if target.probe not in on_change]
        self._on_change_targets = [target for target in targets if target.probe in on_change]
        self._random = Random()  # noqa: S311 - jitter
        self._slots = asyncio.Semaphore(config.concurrency)
        self._clock_offset: float | None = None
        self.budget = DailyBudget(BUDGETS[config.budget])
        self.health = HealthMonitor(self._add_event)
        self._runner = ProbeRunner(
            probes,
            clock,
            config.timeout.total_seconds(),
            budget=self.budget,
            agent=agent,
            clock_offset=lambda: self._clock_offset,
        )
        self._admission = AdmissionControl(
            config, probes=probes, budget=self.budget, clock=clock, paused=paused
        )
        self.skips, self.loop_lag = self._admission.skips, self._runner.loop_lag
        self._environment = EnvironmentMonitor(
            self.health,
            self.loop_lag,
            clock=clock,
            gateway=gateway,
            period=config.witness_period.total_seconds(),
        )
        self._retester = FailureRetester(
            targets, admission=self._admission, runner=self._runner, random=self._random
        )
        self._burst = BurstMode(self.budget, clock=clock, enabled=config.burst)
        self._record: Callable[[Measurement], None] = lambda _: None

    async def run(self, record: Callable[[Measurement], None]) -> None:
        """Pass every measurement and event to `record`, until cancelled."""
        self._record = record
        async with asyncio.TaskGroup() as group:
            group.create_task(self.loop_lag.run())
            group.create_task(self._watch_environment())
            group.create_task(self._probe_on_change())
            group.create_task(self._run_bursts(group))
            await self._run_schedule(group, self._targets)

    async def _run_schedule(
        self, group: asyncio.TaskGroup, targets: Sequence[Target], factor: float = 1.0
    ) -> None:
        """Start `_measure` for each target when it is due, `factor` times as often as usual."""
        schedule = Schedule(
            self._agent,
            targets,
            period=lambda target: self._period(target) / factor,
            start=monotonic(),
            random=self._random,
        )
        while True:
            await asyncio.sleep(min(max(0.0, schedule.next_due() - monotonic()), _MAX_SLEEP))
            for target in schedule.pop_due(monotonic()):
                await self._slots.acquire()
                group.create_task(self._measure(target))

    async def _measure(self, target: Target) -> None:
        try:
            period, captive = self._period(target), Flag.CAPTIVE in self.health.flags
            if not await self._admission.wait(target, period=period, captive=captive):
                return
            measurement = await self._runner.measure(target)
        finally:
            self._slots.release()
        self._environment.add_measurement(measurement, target)
        measurement = self.health.update(measurement, target)
        measurement = await self._retester.retest(measurement, target)
        self._record(measurement)

    async def _probe_on_change(self) -> None:
        """Run these probes when health changes; their results are events, not evidence."""
        while True:
            await self._burst.wait_change()
            for target in self._on_change_targets:
                if self._paused() or not self.budget.reserve_change_probe(self._clock()):
                    continue
                if await self._admission.wait_unscheduled(target):
                    measurement = await self._runner.measure(target)
                    name = f"{EVENT_PREFIX}{target.probe}-{target.id}"
                    self._record(replace(measurement, target=name))

    async def _run_bursts(self, group: asyncio.TaskGroup) -> None:
        targets = [target for target in self._targets if tier_of(target) is None]
        while True:
            await self._burst.wait_active()
            burst = asyncio.ensure_future(self._run_schedule(group, targets, _BURST_FACTOR))
            try:
                await self._burst.wait_inactive()
            finally:
                burst.cancel()
                await asyncio.wait([burst])

    async def _watch_environment(self) -> None:
        while True:
            self._environment.update()
            event = self._admission.level_event()
            if event is not None:
                self._record(event)
            if not self._paused():
                await self._environment.poll_gateway()
            await asyncio.sleep(self._environment.interval)

    def set_clock_offset(self, seconds: float | None) -> None:
        """Take up the clock's error; flag it if it is known to be more than 150 s."""
        self._clock_offset = seconds
        if seconds is not None:
            bad = abs(seconds) > _MAX_CLOCK_OFFSET
            self.health.set_flag(Flag.CLOCK_BAD, raised=bad, time=self._clock())

    def on_resume(self) -> None:
        """Forget the vantage's health: the machine was asleep."""
        self.health.reset(self._clock())

    def _add_event(self, event: Measurement) -> None:
        self._burst.add_event(event)
        self._record(event)

    def _period(self, target: Target) -> float:
        period = self._config.period
        if tier_of(target) is not None:
            period = min(period, self._config.witness_period)
        return period.total_seconds()
