"""What is done to a vantage's own machine, in its own process, while it measures."""

import asyncio
import os
import resource
import time
from datetime import timedelta

from namespaces import drop_rights

from netwatch.agent import loop
from netwatch.agent.health.health import HealthState
from netwatch.agent.measure.measure_loop import MeasureLoop

__all__ = ["JUMP", "TRICKS", "Trick"]

JUMP = 3.0
"""Seconds after its start at which something happens to a vantage."""


class Trick:
    """Nothing; the others say what they change of it."""

    def before(self) -> None:
        """Happens once all modules are loaded, before the first probe."""

    def shift(self, seconds: float) -> timedelta:
        """Return how far the wall clock is off, `seconds` after the start."""
        return timedelta()

    async def during(self, measure_loop: MeasureLoop) -> None:
        """Happens beside the measuring."""


class NoRights(Trick):
    """The process has lost the rights of root, and may open no raw socket."""

    def before(self) -> None:
        drop_rights()


class NoFiles(Trick):
    """After a while there is no file descriptor left to open."""

    async def during(self, measure_loop: MeasureLoop) -> None:
        while measure_loop.health.state() is not HealthState.OK:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.1)
        most = os.dup(0) + 8
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        while True:
            try:
                os.dup(0)
            except OSError:
                await asyncio.sleep(0.001)


class Overload(Trick):
    """Something holds the event loop for most of the time."""

    async def during(self, measure_loop: MeasureLoop) -> None:
        await asyncio.sleep(1.0)
        while True:
            await asyncio.sleep(0.05)
            time.sleep(0.5)  # noqa: ASYNC251 - this is the fault


class TwoYearsSlow(Trick):
    """The wall clock is two years behind."""

    def shift(self, seconds: float) -> timedelta:
        return timedelta(days=-730)


class SixHoursOn(Trick):
    """Somebody sets the wall clock six hours on, while the vantage measures."""

    def shift(self, seconds: float) -> timedelta:
        return timedelta(hours=6) if seconds > JUMP else timedelta()


class Sleep(Trick):
    """The machine sleeps for two hours, as its two clocks of the kernel tell."""

    def before(self) -> None:
        wakes = time.monotonic() + JUMP
        loop.suspended_seconds = lambda: 7200.0 if time.monotonic() > wakes else 0.0


TRICKS: dict[str, Trick] = {
    "no_rights": NoRights(),
    "no_files": NoFiles(),
    "overload": Overload(),
    "six_hours_on": SixHoursOn(),
    "sleep": Sleep(),
    "two_years_slow": TwoYearsSlow(),
}
