"""Admission control: decides whether a probe may run now.

It knows pauses, quiet hours, captive portals, the daily budget and the rate limits.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from time import monotonic

from netwatch.agent.event_rows import agent_event
from netwatch.agent.health.judge_health import WitnessTier, tier_of
from netwatch.agent.measure.budget import LEVELS, DailyBudget
from netwatch.agent.measure.rate_limits import ProbeRateLimiter
from netwatch.config import AgentConfig
from netwatch.model.addresses import is_loopback
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Measurement, Target
from netwatch.protocols import Clock, Probe

_MAX_WAIT_SHARE = 0.5
"""Share of its period that a scheduled probe may wait for the rate limits."""
_MAX_RETEST_WAIT = 10.0
"""Seconds that an unscheduled probe may wait: later, a retest says nothing about the failure."""
_CAPTIVE_ROUNDS = 10
"""Behind a captive portal one round of so many is probed: the portal answers all of them."""
_PROBED_WHEN_CAPTIVE = {WitnessTier.LAN, WitnessTier.CAPTIVE}


class AdmissionControl:
    """Decides which probes run, and delays them as the rate limits require.

    A run's cost, which `probes` state, is reserved in `budget`. `skips` counts skipped probes by
    reason: `paused`, `quiet_hours`, `captive`, `budget` or `rate_limit`.

    Raises:
        ConfigError: the quiet hours cannot be parsed.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        probes: Mapping[str, Probe],
        budget: DailyBudget,
        clock: Clock,
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._probes, self._budget, self._clock, self._paused = probes, budget, clock, paused
        self.skips: Counter[str] = Counter()
        self._rate_limiter = ProbeRateLimiter()
        self._quiet_hours = QuietHours.parse(config.quiet_hours) if config.quiet_hours else None
        self._captive_rounds: Counter[str] = Counter()
        self._level = 0

    async def wait(self, target: Target, *, period: float, captive: bool = False) -> bool:
        """Wait until a scheduled probe may start; return False if this round is skipped.

        After True, the caller runs the probe, and its runner commits the reserved budget.
        """
        tier = tier_of(target)
        if self._quiet_hours is not None and tier is None and self._clock() in self._quiet_hours:
            return self._skip("quiet_hours")
        if captive and tier not in _PROBED_WHEN_CAPTIVE:
            self._captive_rounds[target.id] += 1
            if self._captive_rounds[target.id] % _CAPTIVE_ROUNDS != 1:
                return self._skip("captive")
        return await self._reserve(target, max_delay=period * _MAX_WAIT_SHARE)

    async def wait_unscheduled(self, target: Target) -> bool:
        """Like `wait`, for a retest or a probe after a change of health."""
        return await self._reserve(target, max_delay=_MAX_RETEST_WAIT, retest=True)

    def level_event(self) -> Measurement | None:
        """Return an event if the budget's saving level has changed since the last call."""
        now = self._clock()
        level = self._budget.level(now)
        if level == self._level:
            return None
        self._level = level
        return agent_event("budget", now, f"budget_{LEVELS[level - 1]:.0%}"[:-1] if level else None)

    async def _reserve(self, target: Target, *, max_delay: float, retest: bool = False) -> bool:
        if self._paused():
            return self._skip("paused")
        if is_loopback(target.host):
            return True
        # The budget comes first: a probe that it refuses must not occupy the rate limits.
        probe, witness = self._probes.get(target.probe, Probe), tier_of(target) is not None
        if not self._budget.reserve(
            probe.cost_bytes, self._clock(), essential=probe.essential, witness=witness
        ):
            return self._skip("budget")
        delay = self._rate_limiter.reserve(
            target.host, monotonic(), max_delay=max_delay, retest=retest
        )
        if delay:
            await asyncio.sleep(delay)
        paused = self._paused()
        if delay is None or paused:
            self._budget.release(probe.cost_bytes)
            return self._skip("paused" if paused else "rate_limit")
        return True

    def _skip(self, reason: str) -> bool:
        self.skips[reason] += 1
        return False


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the day, UTC, in which only witnesses are probed; they may span midnight."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> "QuietHours":
        """Return the hours of a text such as `22:00-06:00`; raises ConfigError for any other."""
        start, _, end = text.partition("-")
        try:
            return cls(time.fromisoformat(start.strip()), time.fromisoformat(end.strip()))
        except ValueError as error:
            reason = "write them like 22:00-06:00"
            raise ConfigError(f"agent.quiet_hours: cannot parse {text!r}; {reason}") from error

    def __contains__(self, now: datetime) -> bool:
        moment = now.time()
        if self.start <= self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end
