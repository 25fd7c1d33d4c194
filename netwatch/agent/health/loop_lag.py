"""Detects that the event loop was blocked, so that late timers are not a target's fault."""

import asyncio
from collections import deque
from time import perf_counter

_TICK = 0.05
_BLOCKED = 0.25
"""Seconds of lateness that invalidate a probe's timing."""
_MAX_KEPT = 64
_LAG_PERIOD = 1.0
"""Seconds of which the worst lateness is kept; among all ticks a rare stall would not show."""
_MAX_LAGS = 600
"""Periods whose worst lateness is kept: ten minutes."""


class LoopLagMonitor:
    """Ticks in the event loop and records the intervals in which a tick was late."""

    def __init__(self) -> None:
        # Before the first tick nothing is known, so nothing counts as blocked.
        self._last_tick = float("inf")
        self._blocked: deque[tuple[float, float]] = deque(maxlen=_MAX_KEPT)
        self._lags: deque[float] = deque(maxlen=_MAX_LAGS)

    async def run(self) -> None:
        """Tick until cancelled."""
        self._last_tick = period_start = perf_counter()
        worst = 0.0
        while True:
            await asyncio.sleep(_TICK)
            now = perf_counter()
            worst = max(worst, now - self._last_tick - _TICK)
            if now - period_start >= _LAG_PERIOD:
                self._lags.append(worst)
                period_start, worst = now, 0.0
            if now - self._last_tick > _TICK + _BLOCKED:
                self._blocked.append((self._last_tick, now))
            self._last_tick = now

    def was_blocked(self, start: float, end: float) -> bool:
        """Return whether the loop was blocked between two `perf_counter` readings.

        It may be called after a blocked interval but before the tick that records it.
        """
        if end - self._last_tick > _TICK + _BLOCKED:
            return True
        return any(begin < end and stop > start for begin, stop in self._blocked)

    def percentile(self, percent: int) -> float:
        """Return a percentile of the worst lateness in each second of ten minutes, in seconds."""
        lags = sorted(self._lags) or [0.0]
        return lags[len(lags) * percent // 100]

    def blocked_seconds(self, window: float) -> float:
        """Return for how many of the last `window` seconds the loop was blocked."""
        start = perf_counter() - window
        return sum(stop - max(begin, start) for begin, stop in self._blocked if stop > start)
