"""Detects that the event loop was blocked, so that late timers are not a target's fault."""

import asyncio
from collections import deque
from time import perf_counter

_TICK = 0.05
_BLOCKED = 0.25
"""Seconds of lateness that invalidate a probe's timing."""
_MAX_KEPT = 64
_MAX_LAGS = 1200
"""Ticks whose lateness is kept: a minute."""


class LoopLagMonitor:
    """Ticks in the event loop and records the intervals in which a tick was late."""

    def __init__(self) -> None:
        # Before the first tick nothing is known, so nothing counts as blocked.
        self._last_tick = float("inf")
        self._blocked: deque[tuple[float, float]] = deque(maxlen=_MAX_KEPT)
        self._lags: deque[float] = deque(maxlen=_MAX_LAGS)

    async def run(self) -> None:
        """Tick until cancelled."""
        self._last_tick = perf_counter()
        while True:
            await asyncio.sleep(_TICK)
            now = perf_counter()
            self._lags.append(max(0.0, now - self._last_tick - _TICK))
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
        """Return a percentile of the lateness of the last minute's ticks, in seconds."""
        lags = sorted(self._lags) or [0.0]
        return lags[len(lags) * percent // 100]

    def blocked_seconds(self, window: float) -> float:
        """Return for how many of the last `window` seconds the loop was blocked."""
        start = perf_counter() - window
        return sum(stop - max(begin, start) for begin, stop in self._blocked if stop > start)
