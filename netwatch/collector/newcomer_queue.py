"""Admission: how fast newcomers may become a part of a fleet, fleet-wide and by country measured.

Anyone can make a hundred keys and wait. So within thirty days at most half as many agents are
admitted as are established, and always three; the others wait their turn, in the order in which
they came, or until the operator vets them. This holds for the whole fleet and for each country
that an agent measures, whatever country it claims to be in. Before anybody is established there is
nobody to protect, and everybody is admitted. Agents that never enrolled have lines of their own.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

PROBATION = timedelta(days=14)
"""Time from admission to full weight; a key that is two weeks old has cost two weeks of work."""
_WINDOW = timedelta(days=30)
"""Time in which admissions are counted: an attack that is prepared for a month is as slow."""
_SHARE = 2
"""Established agents per agent admitted in the window: newcomers are a third of all at most."""
_MIN_ADMITTED = 3
"""Agents admitted in the window however few are established, so that a small fleet can grow."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """One agent in line.

    Attributes:
        at: when it was first seen, by the collector's time.
        lines: the lines it waits in; it is admitted when it is admitted in all of them.
        is_vetted: admitted at once, and established.
        is_proven: becomes established after its probation; otherwise it never is.
        is_open: never enrolled.
    """

    at: datetime
    lines: Iterable[str]
    is_vetted: bool = False
    is_proven: bool = True
    is_open: bool = False


@dataclass(slots=True)
class _Line:
    established: list[datetime] = field(default_factory=list)
    turn: dict[bool, datetime] = field(default_factory=dict)
    admitted: dict[bool, list[datetime]] = field(default_factory=lambda: {True: [], False: []})

    def earliest(self, at: datetime, *, is_open: bool) -> datetime:
        """Return when the next applicant that came at `at` is admitted."""
        admitted = self.admitted[is_open]
        while established := bisect_right(self.established, at):
            limit = max(_MIN_ADMITTED, established // _SHARE)
            expired = bisect_right(admitted, at - _WINDOW)
            if bisect_right(admitted, at) - expired < limit:
                break
            at = admitted[expired] + _WINDOW
        return at

    def next_turn(self, at: datetime, *, is_open: bool) -> datetime:
        """Return the same for an applicant behind all that asked before."""
        at = self.earliest(max(at, self.turn.get(is_open, at)), is_open=is_open)
        self.turn[is_open] = at
        return at


def admission_times(applicants: Iterable[Applicant]) -> list[datetime]:
    """Return when each of `applicants`, which are in order of `at`, is or will be admitted."""
    lines: defaultdict[str, _Line] = defaultdict(_Line)
    times = []
    for one in applicants:
        own = [lines[name] for name in one.lines]
        at = one.at if one.is_vetted else _in_all(own, one)
        times.append(at)
        for line in own:
            if one.is_vetted:
                insort(line.established, at)
                continue
            if bisect_right(line.established, at):  # founders keep nobody waiting
                insort(line.admitted[one.is_open], at)
            if one.is_proven:
                insort(line.established, at + PROBATION)
    return times


def _in_all(lines: list[_Line], one: Applicant) -> datetime:
    """Return the first time from `one.at` at which every line admits it."""
    before = None
    at = max((line.next_turn(one.at, is_open=one.is_open) for line in lines), default=one.at)
    while at != before:
        before = at
        for line in lines:
            at = line.earliest(at, is_open=one.is_open)
    return at
