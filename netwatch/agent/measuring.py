"""When and what to measure, and what to make of it: schedule, caps, health, confirmation."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic

from netwatch.agent.confirmation import Confirmer
from netwatch.agent.health import Flag, rung_of
from netwatch.agent.ladder import Ladder
from netwatch.agent.politeness import BUDGETS, Budget, Politeness, QuietHours
from netwatch.agent.runner import Runner
from netwatch.agent.schedule import Schedule
from netwatch.config import AgentConfig
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Measurement, Target
from netwatch.protocols import Clock, Probe

__all__ = ["Measurer", "Skips"]

_LONGEST_NAP = 3600.0
_WAIT_SHARE = 0.5
"""Share of a period that a probe may wait for its turn at an address."""


@dataclass(slots=True)
class Skips:
    """Rounds that were left out on purpose, by reason."""

    polite: int = 0
    budget: int = 0
    quiet: int = 0
    paused: int = 0


class Measurer:
    """Measures targets for ever and hands every measurement to `take`.

    Args:
        agent: the agent's id.
        targets: what to probe; witnesses among them tell of the vantage's own health.
        probes: name and probe.
        clock: the wall clock.
        config: how often, how patiently, and how much.

    Attributes:
        ladder: the vantage's health.
        skips: what was left out.
        paused: asked before every probe; while it is true, nothing at all is probed.

    Raises:
        ConfigError: the quiet hours are none.
    """

    def __init__(
        self,
        agent: str,
        targets: Sequence[Target],
        *,
        probes: Mapping[str, Probe],
        clock: Clock,
        config: AgentConfig,
    ) -> None:
        self._agent, self._targets, self._clock, self._config = agent, targets, clock, config
        self._random = Random()  # noqa: S311 - jitter
        self._runner = Runner(probes, clock, config.timeout.total_seconds())
        self._take: Callable[[Measurement], None] = lambda _: None
        self.ladder = Ladder(targets, note=self._hand_over)
        self._confirmer = Confirmer(targets, self._runner.measure, random=self._random)
        self._politeness = Politeness()
        self._budget = Budget(BUDGETS[config.budget])
        self._quiet = _parse_hours(config.quiet_hours)
        self._slots = asyncio.Semaphore(config.concurrency)
        self.skips = Skips()
        self.paused: Callable[[], bool] = lambda: False

    async def run(self, take: Callable[[Measurement], None]) -> None:
        """Start each target's probe when it is due, until cancelled."""
        self._take = take
        schedule = Schedule(
            self._agent,
            self._targets,
            period=self._period,
            start=monotonic(),
            random=self._random,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._runner.stalls.run())
            while True:
                pause = min(max(0.0, schedule.due_at() - monotonic()), _LONGEST_NAP)
                await asyncio.sleep(pause)
                for target in schedule.take_due(monotonic()):
                    await self._slots.acquire()
                    group.create_task(self._measure_one(target))

    def _hand_over(self, note: Measurement) -> None:
        """Pass a note of the ladder's on to whoever takes measurements."""
        self._take(note)

    def _period(self, target: Target) -> float:
        """Return the seconds between rounds of a target."""
        period = self._config.period.total_seconds()
        if rung_of(target) is None:
            return period
        return min(period, self._config.witness_period.total_seconds())

    async def _measure_one(self, target: Target) -> None:
        """Measure one target, if it is its turn; a place among the concurrent ones is ours."""
        try:
            if not await self._may_go(target):
                return
            measurement = self.ladder.take(await self._runner.measure(target), target)
        finally:
            self._slots.release()
        if measurement.failure is not None:
            measurement = await self._confirmer.confirm(measurement, target)
        else:
            self._confirmer.succeeded(target)
        self._take(measurement)

    async def _may_go(self, target: Target) -> bool:
        """Wait for the target's turn; False where this round is left out."""
        witness = rung_of(target) is not None
        now = self._clock()
        if self.paused():
            self.skips.paused += 1
            return False
        if self._quiet is not None and not witness and self._quiet.hold(now):
            self.skips.quiet += 1
            return False
        if not self._budget.allows(target, now, witness=witness):
            self.skips.budget += 1
            return False
        most = self._period(target) * _WAIT_SHARE
        delay = self._politeness.delay(target, monotonic(), most=most)
        if delay is None:
            self.skips.polite += 1
            return False
        if delay > 0:
            await asyncio.sleep(delay)
        return True

    def set_clock_flag(self, seconds: float | None) -> None:
        """Take the collector's time minus ours, in seconds; beyond 150 the clock is bad."""
        if seconds is not None:
            bad = abs(seconds) > _WORST_CLOCK
            if bad != (Flag.CLOCK_BAD in self.ladder.flags):
                self.ladder.raise_flag(Flag.CLOCK_BAD, up=bad, time=self._clock())


_WORST_CLOCK = 150.0


def _parse_hours(text: str) -> QuietHours | None:
    """Return the quiet hours that the configuration names, None for none."""
    if not text:
        return None
    try:
        return QuietHours.parse(text)
    except ValueError as error:
        raise ConfigError(f"agent.quiet_hours: {error}") from error
