"""Burst mode: after a change of the vantage's health, probe more often for a while."""

import asyncio
from time import monotonic

from netwatch.agent.event_rows import EVENT_PREFIX
from netwatch.agent.measure.budget import DailyBudget
from netwatch.model.measurement import Measurement
from netwatch.protocols import Clock

_HEALTH = f"{EVENT_PREFIX}health-"
_DURATION = 600.0
"""Seconds of burst mode after one change."""
_TICK = 10.0
"""Seconds of burst mode that are reserved in the budget at a time."""
_CHANGE_SPACING = 60.0
"""Seconds between two rounds of on-change probes: a flapping line causes one round a minute."""


class BurstMode:
    """Waits for changes of health, and for the begin and end of burst mode.

    `budget` limits the burst time per day; `enabled` is whether the host allows burst mode at all.
    """

    def __init__(self, budget: DailyBudget, *, clock: Clock, enabled: bool) -> None:
        self._budget, self._clock, self._enabled = budget, clock, enabled
        self._known_families: set[str] = set()
        self._changed, self._triggered = asyncio.Event(), asyncio.Event()
        self._active_until = 0.0
        self._last_change = float("-inf")

    def add_event(self, event: Measurement) -> None:
        """Process an agent event; the first health state of an address family is no change."""
        if not event.target.startswith(_HEALTH):
            return
        if event.target in self._known_families:
            self._changed.set()
            self._active_until = monotonic() + _DURATION
            if self._enabled:
                self._triggered.set()
        self._known_families.add(event.target)

    async def wait_change(self) -> None:
        """Return once health has changed, at least a minute after the previous return."""
        await self._changed.wait()
        await asyncio.sleep(max(0.0, self._last_change + _CHANGE_SPACING - monotonic()))
        self._changed.clear()
        self._last_change = monotonic()

    async def wait_active(self) -> None:
        """Return once burst mode begins and the budget allows it."""
        while True:
            await self._triggered.wait()
            self._triggered.clear()
            if self._reserve():
                return

    async def wait_inactive(self) -> None:
        """Return once burst mode has expired or its daily budget is used up."""
        while True:
            await asyncio.sleep(_TICK)
            if monotonic() > self._active_until or not self._reserve():
                return

    def _reserve(self) -> bool:
        return self._budget.reserve_burst(self._clock(), _TICK)
