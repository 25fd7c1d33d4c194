"""The observatory's clock: wall time that passes only as fast as the monotonic clock counts.

The system clock may be set wrong at any moment, and data that is compared with a wrong time is
lost. So a step of the system clock is no time that has passed: it is named, and counts only once
somebody else confirms it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from netwatch.model.time import EPOCH

TOLERANCE = timedelta(minutes=5)
"""Difference between two clocks from which one of them is wrong: one default bin, and more than
any message of a healthy line needs."""
_STEP = 2.0
"""Seconds by which the system clock may be off before it has jumped; a leap second is half."""
_FOLLOWED = 1e-3
"""Seconds a second by which smaller differences are followed; clocks are slewed by half of it."""
_CONFIRMED_AFTER, _BELIEVED_AFTER = 60.0, 3600.0
"""Seconds that a new time must last: if the kernel calls it synchronised, and if nobody knows."""
_NAMED_SECONDS = 3600.0
"""How long a jump is named after it was undone or believed."""
_READING_SECONDS = 0.1
"""Longest time for reading both clocks; a busy machine may pause in between."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A step of the system clock by `seconds`, noticed `at` a time of the steady clock."""

    at: datetime
    seconds: float

    def __str__(self) -> str:
        """Return it as one sentence."""
        size = f"{'+' if self.seconds > 0 else '-'}{_span(abs(self.seconds))}"
        return f"the system clock jumped by {size} at {self.at:%Y-%m-%d %H:%M:%S} UTC"


class SteadyClock:
    """Returns the present, aware UTC; threads may share it.

    A jump is believed if the agents' clocks confirm it. While they contradict it, it never is.
    If they are unknown, it is believed after a minute of a synchronised kernel clock, or after an
    hour.

    Attributes:
        monotonic: seconds since some moment, including sleep.
        jumps: how many were noticed.
        objection: why the data at hand contradicts this clock; the collector sets it.
    """

    def __init__(
        self,
        wall: Callable[[], datetime],
        monotonic: Callable[[], float],
        *,
        is_synced: Callable[[], bool] = lambda: False,
    ) -> None:
        self.monotonic = monotonic
        self.jumps = 0
        self.objection = ""
        self._wall, self._is_synced = wall, is_synced
        self._lock = Lock()
        self._started, self._line = self._read()
        self._followed_at = self._started
        self._fleet: float | None = None
        self._jump: Jump | None = None
        self._jumped_at = self._named_until = 0.0
        self._wall_is_off = False

    def __call__(self) -> datetime:
        """Return the present."""
        with self._lock:
            monotonic, wall_line = self._read()
            gap = wall_line - self._line
            if abs(gap) > _STEP:
                self._on_jump(monotonic, gap)
            else:
                most = _FOLLOWED * max(0.0, monotonic - self._followed_at)
                self._line += min(max(gap, -most), most)
                self._wall_is_off = False
            self._followed_at = monotonic
            return EPOCH + timedelta(seconds=self._line + monotonic)

    @property
    def line(self) -> float:
        """Return the seconds from the monotonic clock to the time since 1970."""
        return self._line

    def resume(self, line: float) -> None:
        """Continue on the line of an earlier process in the same boot of the machine."""
        with self._lock:
            if abs(line - self._line) > _STEP:
                self._line = line
        self()

    def hear(self, fleet: float | None) -> None:
        """Take up the line of the agents' clocks, None if too few are known."""
        self._fleet = fleet

    @property
    def is_confirmed(self) -> bool:
        """Whether somebody else says that this time is right, or nobody objected for an hour."""
        if self._fleet is not None:
            return self._agrees(self._fleet)
        lasted = self.monotonic() - self._started >= _BELIEVED_AFTER
        return lasted or (self._is_synced() and not self._wall_is_off)

    @property
    def in_doubt(self) -> bool:
        """Whether nothing may be decided by this clock that cannot be undone."""
        return bool(self._doubt())

    @property
    def off_seconds(self) -> float:
        """Return by how much the system clock is ahead of this one."""
        return self._jump.seconds if self._jump and self._wall_is_off else 0.0

    @property
    def notice(self) -> str:
        """Return what is wrong, or was within the last hour, in one line; empty if nothing."""
        parts = [self._doubt()]
        if self._jump is not None and self._wall_is_off:
            parts.append(f"{self._jump}; time is counted on without it")
        elif self._jump is not None and self.monotonic() < self._named_until:
            parts.append(str(self._jump))
        return "; ".join(filter(None, parts))

    def _doubt(self) -> str:
        if self._fleet is None or self._agrees(self._fleet):
            return self.objection
        ahead = self._line - self._fleet
        side = "ahead of" if ahead > 0 else "behind"
        return f"this clock is {_span(abs(ahead))} {side} those of the agents"

    def _agrees(self, fleet: float) -> bool:
        return abs(fleet - self._line) <= TOLERANCE.total_seconds()

    def _read(self) -> tuple[float, float]:
        """Return the monotonic time, and the seconds from it to the system's time."""
        while True:
            before = self.monotonic()
            wall = (self._wall() - EPOCH).total_seconds()
            after = self.monotonic()
            if abs(after - before) <= _READING_SECONDS:
                return after, wall - after

    def _on_jump(self, monotonic: float, gap: float) -> None:
        is_new = self._jump is None or not self._wall_is_off
        if is_new or abs(gap - self.off_seconds) > _STEP:
            at = EPOCH + timedelta(seconds=self._line + monotonic)
            self._jump, self._jumped_at, self._wall_is_off = Jump(at, gap), monotonic, True
            self.jumps += 1
        self._named_until = monotonic + _NAMED_SECONDS
        if self._is_believed(gap, monotonic - self._jumped_at):
            self._line += gap
            self._wall_is_off = False

    def _is_believed(self, gap: float, lasted: float) -> bool:
        if self._fleet is not None:
            off = self._fleet - self._line
            return abs(off - gap) < abs(off) and abs(off - gap) <= TOLERANCE.total_seconds()
        if lasted >= _BELIEVED_AFTER:
            return True
        return lasted >= _CONFIRMED_AFTER and self._is_synced()


def as_steady(clock: Callable[[], datetime]) -> SteadyClock:
    """Return `clock` if it is steady, else a steady clock that follows it wherever it goes."""
    if isinstance(clock, SteadyClock):
        return clock

    def seconds() -> float:
        return (clock() - EPOCH).total_seconds()

    return SteadyClock(clock, seconds)


def _span(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return (
                f"{seconds / size:.3g} {unit}"
                if seconds < 1000 * size
                else f"{seconds / size:.0f} {unit}"
            )
    return f"{seconds:.0f} s"
