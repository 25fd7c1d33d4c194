"""Resource use and probe counts of the agent's own process, for `netwatch agent status`."""

import os
import resource
import time
from collections import Counter
from pathlib import Path

import msgspec

from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.model.measurement import Measurement

_OPEN_FILES = Path("/proc/self/fd")
_STATM = Path("/proc/self/statm")


class ProcessStats(msgspec.Struct, frozen=True):
    """Figures since the process began, as of `counted_at` (ISO 8601).

    Attributes:
        memory_megabytes: resident memory; its maximum, if the system does not show the present.
        open_files: file descriptors; None if the system does not show them.
        loop_lag_milliseconds: 99th percentile of the event loop's recent lateness.
        probes: runs by probe and outcome: `ok`, or the scope of the failure.
    """

    counted_at: str
    uptime_seconds: float
    memory_megabytes: float
    cpu_seconds: float
    open_files: int | None
    loop_lag_milliseconds: float
    probes: dict[str, dict[str, int]]


class ProcessStatsCollector:
    """Counts measurements while the agent runs."""

    def __init__(self, loop_lag: LoopLagMonitor) -> None:
        self._loop_lag = loop_lag
        self._started = time.monotonic()
        self._probes: dict[str, Counter[str]] = {}

    def count(self, measurement: Measurement) -> None:
        """Count one run of a probe."""
        outcome = measurement.scope or "ok"
        self._probes.setdefault(measurement.probe, Counter())[outcome] += 1

    def collect(self, now: str) -> ProcessStats:
        """Return the values as of `now`."""
        return ProcessStats(
            counted_at=now,
            uptime_seconds=round(time.monotonic() - self._started, 1),
            memory_megabytes=round(_resident_bytes() / 2**20, 1),
            cpu_seconds=round(time.process_time(), 2),
            open_files=len(os.listdir(_OPEN_FILES)) - 1 if _OPEN_FILES.exists() else None,  # noqa: PTH208 - names are enough
            loop_lag_milliseconds=round(1000 * self._loop_lag.percentile(99), 1),
            probes={probe: dict(outcomes) for probe, outcomes in sorted(self._probes.items())},
        )


def _resident_bytes() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
