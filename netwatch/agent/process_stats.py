"""What the agent takes of its machine and how it fares, for its host's eyes."""

import os
import resource
import time
from collections import Counter, deque
from pathlib import Path

import msgspec

from netwatch.model.measurement import Measurement

_LAGS = 600
_FILES = Path("/proc/self/fd")
_MEMORY = Path("/proc/self/statm")


class ProcessStats(msgspec.Struct, frozen=True):
    """What was taken since the process began, as of `counted_at`.

    Attributes:
        counted_at: ISO 8601.
        uptime_seconds: how long the process runs.
        memory_megabytes: resident memory; at most, where the system does not tell the present.
        cpu_seconds: processor time.
        open_files: file descriptors; None where the system does not tell.
        loop_lag_milliseconds: lateness of the event loop, the 99th of 100, of late.
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
    """Counts while the agent works."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lags: deque[float] = deque(maxlen=_LAGS)
        self._probes: dict[str, Counter[str]] = {}

    def count(self, measurement: Measurement) -> None:
        """Count one run of a probe."""
        outcome = measurement.scope or "ok"
        self._probes.setdefault(measurement.probe, Counter())[outcome] += 1

    def woke(self, seconds: float) -> None:
        """Take down by how much a sleep was longer than it should have been."""
        self._lags.append(max(0.0, seconds))

    def take(self, at: str) -> ProcessStats:
        """Return what was taken so far."""
        lags = sorted(self._lags) or [0.0]
        return ProcessStats(
            counted_at=at,
            uptime_seconds=round(time.monotonic() - self._began, 1),
            memory_megabytes=round(_memory() / 2**20, 1),
            cpu_seconds=round(time.process_time(), 2),
            open_files=len(os.listdir(_FILES)) - 1 if _FILES.exists() else None,  # noqa: PTH208 - a list of names is enough
            loop_lag_milliseconds=round(1000 * lags[len(lags) * 99 // 100], 1),
            probes={probe: dict(found) for probe, found in sorted(self._probes.items())},
        )


def _memory() -> int:
    """Return the bytes that this process has in memory."""
    try:
        return int(_MEMORY.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
