"""Reports gaps: times in which nothing was measured because the agent or its machine was off."""

import time
from datetime import datetime, timedelta

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.event_rows import agent_event
from netwatch.model.measurement import Measurement

_MIN_GAP = 10.0
"""Seconds below which a gap is not reported."""


def suspended_seconds() -> float:
    """Return how long this machine has slept since boot (0 where that is unknown)."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:
        return 0.0
    return time.clock_gettime(boot) - time.clock_gettime(time.CLOCK_MONOTONIC)


def write_heartbeat(clock: DisciplinedClock) -> bytes:
    """Return a mark of the present, for `seconds_since` after a restart of the agent."""
    return f"{clock.boot} {clock.monotonic():.3f}".encode()


def seconds_since(heartbeat: bytes | None, clock: DisciplinedClock) -> float | None:
    """Return the seconds since a heartbeat was written; None if it is of another boot."""
    boot, _, then = (heartbeat or b"").decode(errors="replace").partition(" ")
    try:
        passed = clock.monotonic() - float(then)
    except ValueError:
        return None
    return passed if boot == clock.boot and passed >= 0 else None


class GapDetector:
    """Finds a gap at the start, since the last heartbeat, and after every sleep."""

    def __init__(self, suspended: float = 0.0) -> None:
        self._suspended = suspended

    def at_start(
        self, last_seen: datetime | None, now: datetime, *, exact: float | None = None
    ) -> Measurement | None:
        """Return the gap since the previous run of this agent.

        `last_seen` is when it last ran, by the wall clock at that time; `exact` is the seconds
        since then by the monotonic clock, if known.
        """
        if exact is not None:
            last_seen = now - timedelta(seconds=exact)
        return None if last_seen is None else _gap(last_seen, (now - last_seen).total_seconds())

    def after_sleep(self, suspended: float, now: datetime) -> Measurement | None:
        """Return the gap that the machine slept through since the last call."""
        seconds, self._suspended = suspended - self._suspended, suspended
        return _gap(now - timedelta(seconds=seconds), seconds)


def _gap(start: datetime, seconds: float) -> Measurement | None:
    return (
        agent_event("gap", start, "interrupted", seconds=seconds) if seconds >= _MIN_GAP else None
    )
