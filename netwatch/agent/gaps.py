"""Notes the times in which nothing was measured: the machine was off, or asleep."""

import time
from datetime import datetime, timedelta

from netwatch.agent.spool.downsample import EVENT_PREFIX
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement

_LEAST = 10.0


def suspended_seconds() -> float:
    """Return how long this machine has slept since it was started (0 where none can say)."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:
        return 0.0
    return time.clock_gettime(boot) - time.clock_gettime(time.CLOCK_MONOTONIC)


def gap_note(start: datetime, seconds: float) -> Measurement:
    """Return the note that nothing was measured for `seconds` from `start` on."""
    return Measurement(
        target=f"{EVENT_PREFIX}gap",
        probe="agent",
        time=start,
        failure="interrupted",
        scope=FailureScope.LOCAL.value,
        host_responded=False,
        seconds=seconds,
    )


def write_mark(boot: str, steady: float) -> bytes:
    """Return what tells a later life of the agent when this one was there last."""
    return f"{boot} {steady:.3f}".encode()


def since_mark(mark: bytes | None, boot: str, steady: float) -> float | None:
    """Return the seconds since a mark was written; None if the machine was started since."""
    name, _, then = (mark or b"").decode(errors="replace").partition(" ")
    try:
        passed = steady - float(then)
    except ValueError:
        return None
    return passed if name == boot and passed >= 0 else None


class GapWatch:
    """Finds gaps: one at the start, from what was seen last, and one after every sleep."""

    def __init__(self, slept: float = 0.0) -> None:
        self._slept = slept

    def at_start(
        self, seen: datetime | None, now: datetime, *, exact: float | None = None
    ) -> Measurement | None:
        """Return the gap between the last life of this agent and this one.

        Args:
            seen: when it was there last, by the wall clock of then.
            now: the present.
            exact: seconds since then by a clock that nobody sets, where one knows.
        """
        if exact is not None:
            seen = now - timedelta(seconds=exact)
        if seen is None or now - seen < timedelta(seconds=_LEAST):
            return None
        return gap_note(seen, (now - seen).total_seconds())

    def after_sleep(self, slept: float, now: datetime) -> Measurement | None:
        """Return the gap that the machine slept through, if `slept` seconds have grown."""
        grown, self._slept = slept - self._slept, slept
        if grown < _LEAST:
            return None
        return gap_note(now - timedelta(seconds=grown), grown)
