"""Roll call: which agents vanished together, in time for the interval that is being judged.

What the collector wrote down is read in windows of two minutes. A will comes up to a minute
and a half late, so the newest windows wait for the next interval. When our own side failed,
the interval's counts of agents say nothing, and the operator hears of it once.

Windows keep to the clock, and each belongs to one interval alone: who begins anew, or judges an
interval a second time because its answer was lost, judges the same windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from netwatch.model.series import SeriesKey
from netwatch.model.signals import AGENTS
from netwatch.model.time import EPOCH
from netwatch.signals.presence.bursts import DisconnectMonitor, DisconnectResult
from netwatch.signals.presence.disconnects import WINDOW
from netwatch.signals.presence.log import (
    WILL_LATENESS,
    AttendanceEvent,
    PresenceLog,
    PresenceState,
    replay_into,
)

_HISTORY = timedelta(days=30)
_AGAIN = timedelta(hours=6)
"""A fault of ours that began before that is forgotten by who begins anew."""
_QUIET = timedelta(minutes=30)
"""A fault that was told is not told again before it has been over for so long."""
_BACK = 0.8
"""Who went by our fault is awaited until so many are there again."""


@dataclass(frozen=True, slots=True)
class DisconnectEvidence:
    """What vanished agents say of one interval.

    Attributes:
        log_likelihoods: log likelihood ratio of an event, by series `agents` of an entity.
        masked: whether our own side failed, so that who is there says nothing.
        operator_alert: one line for the operator, where that is new.
    """

    log_likelihoods: Mapping[SeriesKey, float] = field(default_factory=dict)
    masked: bool = False
    operator_alert: str = ""


class MassDisconnectDetector:
    """Judges windows of the attendance log as intervals are judged; used by one thread.

    Every call may raise StoreError: the log cannot be read.
    """

    def __init__(self, attendance: PresenceLog, *, width: timedelta) -> None:
        """Read `attendance` for intervals of `width`."""
        self._attendance = attendance
        self._width = width
        self._bursts = DisconnectMonitor()
        self._due: datetime | None = None
        self._next = EPOCH
        self._fed: set[tuple[PresenceState, datetime, str]] = set()
        self._faulty_at: datetime | None = None
        self._awaited = 0

    def __call__(self, time: datetime) -> DisconnectEvidence:
        """Return what is known of the interval that starts at `time`, and of what waited."""
        if self._due != time:
            self._begin(time)
        # An interval that could not be read through is begun anew.
        self._due = None
        roll = self._call(time + self._width)
        self._due = time + self._width
        return roll

    def _call(self, end: datetime) -> DisconnectEvidence:
        """Judge the windows that are old enough at `end`, when the interval is over."""
        start = self._next
        self._feed(start, end)
        evidence: dict[SeriesKey, float] = {}
        masked, notice = False, ""
        while start + WINDOW <= end - WILL_LATENESS:
            judged = self._judge(start)
            if judged.operator_alert:
                self._awaited = self._awaited or self._present(start)
                masked, notice = True, notice or self._tell(start, judged.operator_alert)
            for burst in judged.bursts:
                key = SeriesKey(AGENTS, burst.entity)
                evidence[key] = max(evidence.get(key, 0.0), burst.evidence)
            start += WINDOW
        self._next = start
        masked = masked or self._are_away(end)
        return DisconnectEvidence({} if masked else evidence, masked, notice)

    def _begin(self, time: datetime) -> None:
        """Learn who is there, and how often each is lost by itself, from what went before.

        The last hours are judged again, so that a fault of ours that goes on is still known.
        """
        self._bursts, self._fed = DisconnectMonitor(), set()
        self._faulty_at, self._awaited = None, 0
        first, end = time - _HISTORY, time - _AGAIN // self._width * self._width
        for stay in self._attendance.stays(first):
            if stay.end is None:
                self._bursts.up(stay.vantage, broker=stay.broker, at=stay.start)
        # The first window that was too new for the interval that ended then.
        bound = end - WILL_LATENESS
        self._next = bound - (bound - EPOCH) % WINDOW
        replay_into(self._bursts, self._attendance.events(first, self._next))
        while end < time:
            end += self._width
            self._call(end)

    def _feed(self, start: datetime, end: datetime) -> None:
        """Show the events of the windows that are open, those that came late included, once."""
        events = self._attendance.events(start, end)
        new = [event for event in events if _name(event) not in self._fed]
        self._fed = {_name(event) for event in events}
        replay_into(self._bursts, new)

    def _judge(self, start: datetime) -> DisconnectResult:
        """Judge one window; one in which we could not hear says nothing."""
        if not self._attendance.heard(start, start + WINDOW):
            return DisconnectResult([])
        return self._bursts.judge(start)

    def _present(self, at: datetime) -> int:
        """Return how many agents were there at `at`."""
        return sum(stay.end is None for stay in self._attendance.stays(at))

    def _are_away(self, at: datetime) -> bool:
        """Return whether those who went by our fault are still awaited at `at`."""
        if self._awaited and self._present(at) >= _BACK * self._awaited:
            self._awaited = 0
        return self._awaited > 0

    def _tell(self, at: datetime, operator_alert: str) -> str:
        """Return an alert that is new, else nothing."""
        new = self._faulty_at is None or at - self._faulty_at > _QUIET
        self._faulty_at = at
        return operator_alert if new else ""


def _name(event: AttendanceEvent) -> tuple[PresenceState, datetime, str]:
    """Return what tells an event from others."""
    return event.state, event.at, event.vantage.id
