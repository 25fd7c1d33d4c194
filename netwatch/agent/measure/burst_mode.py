"""What a change of health sets off: ways are followed, and for a while more is measured."""

import asyncio
from dataclasses import replace
from time import monotonic

from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.spool.downsample import EVENT_PREFIX
from netwatch.model.measurement import Measurement
from netwatch.protocols import Clock

_HEALTH = f"{EVENT_PREFIX}health-"
_LONG = 600.0
"""Seconds of hurry after one change."""
_TICK = 10.0
_APART = 60.0
"""Seconds between two rounds of following ways: a line that flaps is followed once."""


class BurstMode:
    """Hears notes of health and says when something is to be done about them.

    Args:
        budget: what may be done today.
        clock: the wall clock.
        hurry: whether the host allows looking more often at all.
    """

    def __init__(self, budget: DailyBudget, *, clock: Clock, hurry: bool) -> None:
        self._budget, self._clock, self._hurry = budget, clock, hurry
        self._known: set[str] = set()
        self._changed = asyncio.Event()
        self._alarmed = asyncio.Event()
        self._until = 0.0
        self._followed = float("-inf")

    def hear(self, note: Measurement) -> None:
        """Take a note; the first state of a family is no change."""
        if not note.target.startswith(_HEALTH):
            return
        if note.target in self._known:
            self._changed.set()
            self._until = monotonic() + _LONG
            if self._hurry:
                self._alarmed.set()
        self._known.add(note.target)

    async def changed(self) -> None:
        """Return once health has changed, a minute after the last time at the earliest."""
        await self._changed.wait()
        await asyncio.sleep(max(0.0, self._followed + _APART - monotonic()))
        self._changed.clear()
        self._followed = monotonic()

    def may_trace(self) -> bool:
        """Tell whether one more way may be followed today, and count it."""
        return self._budget.allows_trace(self._clock())

    async def hurried(self) -> None:
        """Return once there is reason to look more often, and room for it today."""
        while True:
            await self._alarmed.wait()
            self._alarmed.clear()
            if self._budget.allows_hurry(self._clock(), _TICK):
                return

    async def calm(self) -> None:
        """Return once the reason is past, or the day's hurry is used up."""
        while True:
            await asyncio.sleep(_TICK)
            if monotonic() > self._until or not self._budget.allows_hurry(self._clock(), _TICK):
                return

    @staticmethod
    def as_note(found: Measurement) -> Measurement:
        """Return a followed way as a note, which counts for no target and is never thinned."""
        return replace(found, target=f"{EVENT_PREFIX}way-{found.target}")
