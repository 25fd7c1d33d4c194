"""The one place that reads the wall clock."""

from datetime import UTC, datetime

from netwatch.agent.clock import monotonic_seconds, read_kernel_clock
from netwatch.model.steady_clock import SteadyClock


def wall() -> datetime:
    """Return the system's time, aware UTC, whatever it was set to."""
    return datetime.now(UTC)


def is_synced() -> bool:
    """Return whether the kernel calls the system's time synchronised."""
    kernel = read_kernel_clock()
    return kernel is not None and kernel.synced


now = SteadyClock(wall, monotonic_seconds, is_synced=is_synced)
"""The present, for everything in this process that compares a time with data."""
