"""Notices when this process was held up, so that its own lateness is never a target's fault."""

import asyncio
from collections import deque
from time import perf_counter

_TICK = 0.05
_STALL = 0.25
"""Seconds of lateness that a probe's timing does not survive."""
_KEPT = 64


class LoopLagMonitor:
    """Ticks in the event loop and remembers when a tick came late."""

    def __init__(self) -> None:
        # Nothing is known before the first tick, so nothing counts as held up.
        self._ticked = float("inf")
        self._stalls: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    async def run(self) -> None:
        """Tick until cancelled."""
        self._ticked = perf_counter()
        while True:
            await asyncio.sleep(_TICK)
            now = perf_counter()
            if now - self._ticked > _TICK + _STALL:
                self._stalls.append((self._ticked, now))
            self._ticked = now

    def stalled(self, since: float, until: float) -> bool:
        """Return whether the loop stood still at some time between two `perf_counter` readings.

        Whoever wakes first after a stall may ask before the tick that will note it.
        """
        if until - self._ticked > _TICK + _STALL:
            return True
        return any(begun < until and over > since for begun, over in self._stalls)

    def held_up(self, seconds: float) -> float:
        """Return for how long of the last `seconds` the loop stood still."""
        now = perf_counter()
        since = now - seconds
        return sum(over - max(begun, since) for begun, over in self._stalls if over > since)
