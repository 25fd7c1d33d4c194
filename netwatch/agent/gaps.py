"""Gaps: times in which nothing was measured because the agent or its machine was off."""

import time
from datetime import datetime, timedelta

import msgspec

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.event_rows import agent_event
from netwatch.model.measurement import Measurement

_MIN_GAP = 10.0
"""Seconds below which a gap is not reported."""


class Heartbeat(msgspec.Struct, frozen=True):
    """A moment at which the agent ran, by its own clock and by the seconds since a boot."""

    time: datetime
    boot: str
    monotonic: float

    @classmethod
    def read(cls, clock: DisciplinedClock) -> "Heartbeat":
        """Return the present."""
        return cls(clock(), clock.boot, clock.monotonic())

    def gap_since(self, clock: DisciplinedClock) -> Measurement | None:
        """Return the gap from this heartbeat of an earlier run to the present.

        Within one boot the monotonic clock measures it, otherwise the wall clock.
        """
        now, seconds = clock(), clock.monotonic() - self.monotonic
        if self.boot != clock.boot or seconds < 0:
            seconds = (now - self.time).total_seconds()
        return make_gap(seconds, now)


def suspended_seconds() -> float:
    """Return how long this machine has slept since boot (0 where that is unknown)."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:
        return 0.0
    return time.clock_gettime(boot) - time.clock_gettime(time.CLOCK_MONOTONIC)


def make_gap(seconds: float, end: datetime) -> Measurement | None:
    """Return the event of a gap that ends at `end`, None if it is too short to be reported."""
    if seconds < _MIN_GAP:
        return None
    return agent_event("gap", end - timedelta(seconds=seconds), "interrupted", seconds=seconds)
