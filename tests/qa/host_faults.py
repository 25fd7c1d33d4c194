"""Faults of a vantage's own machine, injected into its process."""

import asyncio
import os
import resource
import time
from datetime import timedelta

from namespaces import drop_rights

from netwatch.agent import loop
from netwatch.agent.health.judge_health import HealthState
from netwatch.agent.measure.measure_loop import MeasureLoop

__all__ = ["HOST_FAULTS", "JUMP", "HostFault"]

JUMP = 3.0
"""Seconds after the start at which a fault happens."""


class HostFault:
    """No fault; subclasses override what they change."""

    def before(self) -> None:
        """Called once all modules are loaded, before the first probe."""

    def clock_offset(self, seconds: float) -> timedelta:
        """Return the error of the wall clock, `seconds` after the start."""
        return timedelta()

    async def during(self, measure_loop: MeasureLoop) -> None:
        """Runs concurrently with the measuring."""


class NoRights(HostFault):
    """The process has no root privileges and may not open raw sockets."""

    def before(self) -> None:
        drop_rights()


class NoFiles(HostFault):
    """After a while no file descriptor is left."""

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


class Overload(HostFault):
    """The event loop is blocked most of the time."""

    async def during(self, measure_loop: MeasureLoop) -> None:
        await asyncio.sleep(1.0)
        while True:
            await asyncio.sleep(0.05)
            time.sleep(0.5)  # noqa: ASYNC251 - this is the fault


class TwoYearsSlow(HostFault):
    """The wall clock is two years behind."""

    def clock_offset(self, seconds: float) -> timedelta:
        return timedelta(days=-730)


class SixHoursOn(HostFault):
    """The wall clock is stepped six hours forward."""

    def clock_offset(self, seconds: float) -> timedelta:
        return timedelta(hours=6) if seconds > JUMP else timedelta()


class Sleep(HostFault):
    """The machine sleeps for two hours, as its kernel clocks show."""

    def before(self) -> None:
        wakes = time.monotonic() + JUMP
        loop.suspended_seconds = lambda: 7200.0 if time.monotonic() > wakes else 0.0


HOST_FAULTS: dict[str, HostFault] = {
    "no_rights": NoRights(),
    "no_files": NoFiles(),
    "overload": Overload(),
    "six_hours_on": SixHoursOn(),
    "sleep": Sleep(),
    "two_years_slow": TwoYearsSlow(),
}
