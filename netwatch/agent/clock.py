"""The agent's clock: dates measurements monotonically and estimates how wrong it is.

Measurements are dated by the wall clock as it was when the process began, plus what the
monotonic clock has counted since; stepping the wall clock moves none of them. The true time is
estimated from the collector's signed acknowledgements, the kernel and HTTP time sources. Clock
samples travel with every batch, and the collector corrects the times. The machine's wall clock is
never set.
"""

import ctypes
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from os import urandom
from pathlib import Path

from netwatch.model.clock_samples import ClockSample, ClockSource
from netwatch.model.time import EPOCH
from netwatch.protocols import Clock
from netwatch.wire.ack import Ack

_DRIFT = 1e-4
"""Maximum rate error of a monotonic clock: 100 ppm, as for a cheap quartz."""
_MAX_ESTIMATES = 8
"""Estimates kept per source; the one with the least uncertainty counts, as in NTP's clock filter
(RFC 5905, section 10)."""
_REMOTE = (ClockSource.COLLECTOR, ClockSource.HTTP)
"""Sources that answer over the network; the collector comes first, and none may contradict it."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)
"""Bounds of the first date: a machine without a battery wakes up in 1970, and a batch can hold
times of the years 2000 to 2100 only."""
_MAX_MILLIS = 2**42
"""Milliseconds that a wall clock or an offset in a batch may hold at most."""
_MAX_SENT = 256
"""Unacknowledged batches whose sending time is remembered."""
_STA_UNSYNC, _TIME_ERROR = 0x40, 5
"""Of <linux/timex.h>."""


@dataclass(frozen=True, slots=True)
class KernelClock:
    """Whether the kernel's clock is synchronised, and its maximum error in seconds."""

    synced: bool
    error: float


def monotonic_seconds() -> float:
    """Return seconds since this machine was started, including sleep."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def boot_id(agent: str, source: Path = _BOOT_ID) -> str:
    """Return an id of this boot of the machine, 16 hexadecimal digits.

    All processes of one agent share it until the next boot; different agents on one machine have
    different ids. Where the system has none, it is this process's own.
    """
    try:
        text = source.read_bytes().strip()
    except OSError:
        text = urandom(16)
    return blake2b(text, key=agent.encode()[:64], digest_size=8).hexdigest()


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error", ctypes.c_long),
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def read_kernel_clock() -> KernelClock | None:
    """Return the kernel's clock status; None if it cannot be read (not Linux)."""
    if sys.platform != "linux":
        return None
    timex = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    synced = state != _TIME_ERROR and not timex.status & _STA_UNSYNC
    return KernelClock(synced, timex.maximum_error / 1e6)


@dataclass(frozen=True, slots=True)
class _Estimate:
    """At `monotonic`, the true time was `monotonic + offset`, plus or minus `error`; seconds."""

    source: ClockSource
    monotonic: float
    offset: float
    error: float

    def uncertainty(self, monotonic: float) -> float:
        return self.error + _DRIFT * abs(monotonic - self.monotonic)

    def agrees_with(self, other: "_Estimate", monotonic: float) -> bool:
        uncertainty = self.uncertainty(monotonic) + other.uncertainty(monotonic)
        return abs(self.offset - other.offset) <= uncertainty


class DisciplinedClock:
    """Dates measurements monotonically, and estimates the error of these dates.

    It may be read from any thread. `monotonic` returns seconds since boot, including sleep.
    """

    def __init__(
        self,
        wall: Clock,
        *,
        boot: str,
        monotonic: Callable[[], float] = monotonic_seconds,
        kernel: Callable[[], KernelClock | None] = read_kernel_clock,
    ) -> None:
        self.boot = boot
        self.monotonic = monotonic
        self._wall, self._kernel = wall, kernel
        first = min(max(wall(), _EARLIEST), _LATEST)
        self._shift = (first - EPOCH).total_seconds() - monotonic()
        self._estimates: dict[ClockSource, deque[_Estimate]] = {
            source: deque(maxlen=_MAX_ESTIMATES) for source in _REMOTE
        }

    def __call__(self) -> datetime:
        """Return the present as measurements are dated, aware UTC."""
        return EPOCH + timedelta(seconds=self._shift + self.monotonic())

    def true_time(self) -> datetime:
        """Return the present by the best estimate of the true time."""
        return self() + timedelta(seconds=self.offset_error() or 0.0)

    @property
    def shift(self) -> int:
        """Milliseconds from the monotonic clock to the times of measurements."""
        return round(self._shift * 1000)

    def add_collector_time(self, milliseconds: int, *, since: float) -> None:
        """Add the collector's time, read at some moment since a message was sent at `since`.

        F. Cristian, "Probabilistic clock synchronization", 1989.
        """
        self._add(ClockSource.COLLECTOR, milliseconds / 1000, since)

    def add_http_date(self, date: datetime, *, since: float) -> None:
        """Add the `Date` header of a request made at `since`; it is truncated to the second."""
        self._add(ClockSource.HTTP, (date - EPOCH).total_seconds() + 0.5, since, error=0.5)

    def _add(self, source: ClockSource, true: float, since: float, *, error: float = 0.0) -> None:
        """Add a time that was true at some moment between `since` and the present."""
        now = self.monotonic()
        middle, half = (since + now) / 2, max(0.0, (now - since) / 2)
        new, known = _Estimate(source, middle, true - middle, half + error), self._estimates[source]
        if any(not one.agrees_with(new, now) for one in tuple(known)):
            # The source's own clock was set meanwhile, and nothing of the old time remains.
            known.clear()
        known.append(new)

    def offset_error(self) -> float | None:
        """Return by how many seconds measurements are dated too early; None if unknown."""
        best = self._best(self.monotonic(), *_REMOTE)
        return None if best is None else best.offset - self._shift

    def uncertainty(self) -> float:
        """Return the maximum error of the estimated time in seconds; infinity if unknown."""
        monotonic = self.monotonic()
        best = self._best(monotonic, *_REMOTE)
        return float("inf") if best is None else best.uncertainty(monotonic)

    def sample(self) -> ClockSample:
        """Return both clocks and the best estimate of the true time."""
        wall, monotonic = (self._wall() - EPOCH).total_seconds(), self.monotonic()
        kernel = self._kernel()
        synced = None if kernel is None else kernel.synced
        best = self._choose(wall, monotonic, kernel)
        millis, wall_millis = round(monotonic * 1000), round(wall * 1000)
        wall_millis = min(max(wall_millis, -_MAX_MILLIS), _MAX_MILLIS)
        offset = 0 if best is None else round((monotonic + best.offset) * 1000) - wall_millis
        if best is None or abs(offset) > _MAX_MILLIS:
            return ClockSample(self.boot, millis, wall_millis, synced=synced)
        error = max(1, round(best.uncertainty(monotonic) * 1000))
        return ClockSample(self.boot, millis, wall_millis, best.source, synced, offset, error)

    def _choose(
        self, wall: float, monotonic: float, kernel: KernelClock | None
    ) -> _Estimate | None:
        """Return the most certain estimate that does not contradict the collector."""
        candidates = [self._best(monotonic, source) for source in _REMOTE]
        collector = candidates[0]
        if kernel is not None and kernel.synced:
            offset = wall - monotonic
            candidates.append(_Estimate(ClockSource.KERNEL, monotonic, offset, kernel.error))
        usable = [
            one
            for one in candidates
            if one is not None and (collector is None or collector.agrees_with(one, monotonic))
        ]
        return min(usable, key=lambda one: one.uncertainty(monotonic), default=None)

    def _best(self, monotonic: float, *sources: ClockSource) -> _Estimate | None:
        # Copies, since another thread may append meanwhile.
        estimates = [one for source in sources for one in tuple(self._estimates[source])]
        return min(estimates, key=lambda one: one.uncertainty(monotonic), default=None)


class AckClockSync:
    """Estimates clock offset from the round trip of batch acknowledgements.

    The collector reads its clock after it has received each batch that it acknowledges.
    """

    def __init__(self, clock: DisciplinedClock) -> None:
        self._clock = clock
        self._sent_at: OrderedDict[int, float] = OrderedDict()

    def sent(self, sequence: int) -> None:
        """Record that a batch is being sent; only its first time counts."""
        self._sent_at.setdefault(sequence, self._clock.monotonic())
        if len(self._sent_at) > _MAX_SENT:
            self._sent_at.popitem(last=False)

    def acknowledged(self, ack: Ack) -> None:
        """Learn from a verified acknowledgement of the collector."""
        times = [
            self._sent_at.pop(sequence)
            for sequence in list(self._sent_at)
            if any(low <= sequence <= high for low, high in ack.stored)
        ]
        if times and ack.time_ms > 0:
            self._clock.add_collector_time(ack.time_ms, since=max(times))
