"""The agent's sense of time: it dates on a clock that nobody sets, and learns the truth.

Rows are dated by the wall clock as it was when the process began plus what the steady clock
counted since, so that a wall clock that is set meanwhile moves none of them. What is true is
learnt from the collector's signed acknowledgements, the system's own word, and a canary; it
travels with every batch, and the collector puts the times right. The wall clock of the
machine is never set.
"""

import ctypes
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from os import urandom
from pathlib import Path

from netwatch.model.clock_samples import ClockSample, ClockSource
from netwatch.model.time import EPOCH
from netwatch.protocols import Clock

DRIFT = 1e-4
"""How much a steady clock may be fast or slow: 100 parts in a million, as quartz is."""
_KEPT = 8
"""Answers that are remembered; the one with the least doubt counts, as in NTP's clock filter
(RFC 5905, section 10)."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)
"""Where rows begin to be dated on a machine without a battery, which wakes up in 1970: a
batch can hold the years 2000 to 2100."""
_FARTHEST = 2**42
"""Milliseconds beyond which a wall clock shows nothing that could be written down."""


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the system says of its wall clock: whether it is kept right, and to how much."""

    synced: bool
    error: float


def steady_seconds() -> float:
    """Return seconds since this machine was started, asleep or not; never set by anybody."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def boot_name(agent: str, source: Path = _BOOT_ID) -> str:
    """Return a name for this run of the machine, 16 hexadecimal digits.

    It is the same for every process until the machine starts again, and another for every
    agent, so that it ties no two agents to one machine. Where the system names none, it is
    this process's own.
    """
    try:
        text = source.read_bytes().strip()
    except OSError:
        text = urandom(16)
    return blake2b(text, key=agent.encode()[:64], digest_size=8).hexdigest()


class _Timex(ctypes.Structure):
    """The C library's `struct timex`, as adjtimex(2) has it, with room to spare."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error", ctypes.c_long),
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


_UNSYNCED = 0x40
_TIME_ERROR = 5


def read_kernel_clock() -> KernelClock | None:
    """Return what the kernel says of its clock; None where it cannot be asked (not Linux)."""
    if sys.platform != "linux":
        return None
    asked = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(asked))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    synced = state != _TIME_ERROR and not asked.status & _UNSYNCED
    return KernelClock(synced, asked.maximum_error / 1e6)


@dataclass(frozen=True, slots=True)
class _Truth:
    """At `steady`, the true time was `steady + offset`, give or take `error`; all seconds."""

    steady: float
    offset: float
    error: float

    def doubt(self, steady: float) -> float:
        """Return how far it may be off by now."""
        return self.error + DRIFT * abs(steady - self.steady)


class DisciplinedClock:
    """A clock for rows that nobody can set, and all that is known of how wrong it is.

    Calling it gives the present as rows are dated. It may be read from any thread.

    Args:
        wall: the wall clock; never set, and read anew for every reading.
        boot: the name of this run of the machine.
        steady: seconds since the machine started, asleep or not.
        kernel: says whether the wall clock is kept right.
    """

    def __init__(
        self,
        wall: Clock,
        *,
        boot: str,
        steady: Callable[[], float] = steady_seconds,
        kernel: Callable[[], KernelClock | None] = read_kernel_clock,
    ) -> None:
        self.boot = boot
        self._wall, self._steady, self._kernel = wall, steady, kernel
        shown = min(max(wall(), _EARLIEST), _LATEST)
        self._began = (shown - EPOCH).total_seconds() - steady()
        self._heard: deque[_Truth] = deque(maxlen=_KEPT)
        self._canary: deque[_Truth] = deque(maxlen=_KEPT)

    def __call__(self) -> datetime:
        """Return the present as rows are dated, aware UTC."""
        return EPOCH + timedelta(seconds=self._began + self._steady())

    @property
    def shift(self) -> int:
        """Milliseconds from the steady clock to the times of rows."""
        return round(self._began * 1000)

    def steady(self) -> float:
        """Return the seconds of the steady clock."""
        return self._steady()

    def hear(self, milliseconds: int, *, since: float) -> None:
        """Take the collector's time, told in answer to what was sent at `since` or later.

        It was that time at some moment between then and now (F. Cristian, "Probabilistic
        clock synchronization", 1989).

        Args:
            milliseconds: the collector's clock since 1970.
            since: the steady clock when the question left.
        """
        self._heard.append(_between(milliseconds / 1000, since, self._steady()))

    def hear_canary(self, date: datetime, *, since: float) -> None:
        """Take a canary's `Date`, asked for at `since`: true to the second, cut off."""
        told = _between((date - EPOCH).total_seconds() + 0.5, since, self._steady())
        self._canary.append(_Truth(told.steady, told.offset, told.error + 0.5))

    def off(self) -> float | None:
        """Return by how many seconds the times of rows are behind the truth; None if unknown."""
        best = _best((*self._heard, *self._canary), self._steady())
        return None if best is None else best.offset - self._began

    def doubt(self) -> float:
        """Return by how many seconds what is known may be wrong; infinity for nothing."""
        steady = self._steady()
        best = _best((*self._heard, *self._canary), steady)
        return float("inf") if best is None else best.doubt(steady)

    def read(self) -> ClockSample:
        """Return what the clocks show, and the best that is known of the truth."""
        wall = (self._wall() - EPOCH).total_seconds()
        steady = self._steady()
        kernel = self._kernel()
        synced = None if kernel is None else kernel.synced
        source, truth = self._judge(wall, steady, kernel)
        shown = min(max(round(wall * 1000), -_FARTHEST), _FARTHEST)
        off = 0 if truth is None else round((steady + truth.offset) * 1000) - shown
        if truth is None or abs(off) > _FARTHEST:
            return ClockSample(self.boot, round(steady * 1000), shown, synced=synced)
        return ClockSample(
            boot=self.boot,
            monotonic=round(steady * 1000),
            wall=shown,
            source=source,
            synced=synced,
            offset=off,
            error=max(1, round(truth.doubt(steady) * 1000)),
        )

    def _judge(
        self, wall: float, steady: float, kernel: KernelClock | None
    ) -> tuple[ClockSource, _Truth | None]:
        """Return the surest of what is known; nobody is believed against the collector."""
        known = {
            ClockSource.COLLECTOR: _best(self._heard, steady),
            ClockSource.HTTP: _best(self._canary, steady),
            ClockSource.KERNEL: None,
        }
        if kernel is not None and kernel.synced:
            known[ClockSource.KERNEL] = _Truth(steady, wall - steady, kernel.error)
        told = known[ClockSource.COLLECTOR]
        sure = [
            (truth.doubt(steady), source, truth)
            for source, truth in known.items()
            if truth is not None and (told is None or _agree(told, truth, steady))
        ]
        if not sure:
            return ClockSource.UNKNOWN, None
        _, source, best = min(sure, key=lambda row: row[0])
        return source, best


def _between(true: float, since: float, until: float) -> _Truth:
    """Return what follows from its having been `true` between two readings."""
    middle = (since + until) / 2
    return _Truth(middle, true - middle, max(0.0, (until - since) / 2))


def _best(known: "deque[_Truth] | tuple[_Truth, ...]", steady: float) -> _Truth | None:
    """Return what is least in doubt by now."""
    return min(tuple(known), key=lambda one: one.doubt(steady), default=None)


def _agree(one: _Truth, other: _Truth, steady: float) -> bool:
    """Tell whether both can be true."""
    return abs(one.offset - other.offset) <= one.doubt(steady) + other.doubt(steady)
