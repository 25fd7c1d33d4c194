"""Whose turn it is: what the host, the budget, politeness and the line leave room for."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from netwatch.agent.health.health import Flag, WitnessTier, tier_of
from netwatch.agent.health.health_monitor import note_of
from netwatch.agent.measure.budget import STEPS, DailyBudget
from netwatch.agent.measure.rate_limits import BUDGETS, ProbeRateLimiter, QuietHours
from netwatch.config import AgentConfig
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Measurement, Target
from netwatch.protocols import Clock

_WAIT_SHARE = 0.5
"""Share of a period that a probe may wait for its turn at an address."""
_LONGEST_AGAIN = 10.0
"""Seconds that a confirmation may wait: later it would confirm something else."""
_ONE_IN = 10
"""Behind a captive portal one round of so many is enough: the portal answers all of them."""
_NEAR = {WitnessTier.LAN, WitnessTier.CAPTIVE}


@dataclass(slots=True)
class SkipCounters:
    """Rounds that were left out on purpose, by reason."""

    polite: int = 0
    budget: int = 0
    quiet: int = 0
    paused: int = 0
    captive: int = 0


class AdmissionControl:
    """Says which rounds happen, and when.

    Args:
        config: quiet hours and the budget.
        clock: the wall clock.
        flags: returns what is known of this vantage.
        note: takes a note whenever the budget begins or ends to leave something out.

    Attributes:
        budget: what was done today.
        skips: what was left out.

    Raises:
        ConfigError: the quiet hours are none.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        clock: Clock,
        flags: Callable[[], Collection[Flag]],
        note: Callable[[Measurement], None],
    ) -> None:
        self._clock, self._flags, self._note = clock, flags, note
        self.budget = DailyBudget(BUDGETS[config.budget])
        self.skips = SkipCounters()
        self._politeness = ProbeRateLimiter()
        self._quiet = _parse_hours(config.quiet_hours)
        self._rounds: dict[str, int] = {}
        self._step = 0

    async def wait(self, target: Target, *, period: float, paused: bool) -> bool:
        """Wait for the target's turn; False where this round is left out."""
        rung, now = tier_of(target), self._clock()
        if paused:
            self.skips.paused += 1
            return False
        if self._quiet is not None and rung is None and self._quiet.hold(now):
            self.skips.quiet += 1
            return False
        if Flag.CAPTIVE in self._flags() and rung not in _NEAR and not self._is_tenth(target):
            self.skips.captive += 1
            return False
        return await self._take(target, now, most=period * _WAIT_SHARE)

    async def wait_again(self, target: Target, *, paused: bool) -> bool:
        """Wait for a second look that confirms a first; False where there may be none."""
        if paused:
            self.skips.paused += 1
            return False
        return await self._take(target, self._clock(), most=_LONGEST_AGAIN, again=True)

    def report(self, now: datetime) -> None:
        """Note what the budget leaves out from now on, where that has changed."""
        step = self.budget.step(now)
        if step != self._step:
            self._step = step
            word = f"budget_{STEPS[step - 1]:.0%}".rstrip("%") if step else None
            self._note(note_of("budget", word, now))

    async def _take(
        self, target: Target, now: datetime, *, most: float, again: bool = False
    ) -> bool:
        """Take a place among the probes, and what it costs of the day's budget."""
        # The budget first: who has no turn must not take a place from those who have.
        fits = self.budget.allows(target, now, witness=tier_of(target) is not None)
        self.report(now)
        if not fits:
            self.skips.budget += 1
            return False
        delay = self._politeness.delay(target, monotonic(), most=most, again=again)
        if delay is None:
            self.budget.give_back(target)
            self.skips.polite += 1
            return False
        if delay > 0:
            await asyncio.sleep(delay)
        return True

    def _is_tenth(self, target: Target) -> bool:
        """Count a round behind a portal; True for the first and every tenth after it."""
        count = self._rounds.get(target.id, 0)
        self._rounds[target.id] = count + 1
        return count % _ONE_IN == 0


def _parse_hours(text: str) -> QuietHours | None:
    """Return the quiet hours that the configuration names, None for none."""
    if not text:
        return None
    try:
        return QuietHours.parse(text)
    except ValueError as error:
        raise ConfigError(f"agent.quiet_hours: {error}") from error
