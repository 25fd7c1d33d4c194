"""What an agent may do in a day, and what it has done: it survives a restart.

Counted are probes to other machines; the day is UTC's.
"""

from datetime import datetime

import msgspec

from netwatch.agent.measure.rate_limits import BUDGETS, COSTLY, cost_of, is_loopback
from netwatch.model.measurement import Target

STEPS = (0.8, 0.9, 1.0)
"""Shares of the budget at which something is left out."""
_DROPPED = frozenset({"http", "transfer"})
_KEPT = frozenset({"dns", "tcp"})
MOST_TRACES = 20
"""Ways that are followed in a day."""
_BURST = 30 * 60.0
"""Seconds a day for which a vantage may look more often than usual."""


def describe_level(step: int) -> str:
    """Return in plain words what a step of saving leaves out."""
    words = ("nothing", "http and transfer", "all but dns and tcp", "all but witnesses")
    return words[step]


class DailyBudget(msgspec.Struct):
    """Bytes, traceroutes and hurried minutes of one day.

    At 80 % of the bytes `http`, `transfer` and whatever else is costly go, at 90 % all but
    `dns` and `tcp`, at 100 % all but witnesses.

    Attributes:
        limit: bytes a day.
        spent: bytes since midnight UTC, as they were moved.
        day: the day that all counts belong to, its number since 1970.
        traces: ways followed since midnight.
        hurried: seconds since midnight in which more was measured than usual.
        reached: the most steps of saving that were in force since midnight; they stay so.
        promised: bytes that probes under way are taken to cost at the most.
    """

    limit: int = BUDGETS["standard"]
    spent: int = 0
    day: int = 0
    traces: int = 0
    hurried: float = 0.0
    reached: int = 0
    promised: int = 0

    def dump(self) -> bytes:
        """Return the counts, for `take_up` after a restart."""
        return msgspec.json.encode(self)

    def take_up(self, written: bytes | None) -> None:
        """Go on from counts that were written down; damaged ones are no reason to stop."""
        try:
            before = msgspec.json.decode(written or b"", type=DailyBudget)
        except msgspec.DecodeError:
            return
        self.day, self.spent = before.day, max(before.spent, 0)
        self.traces, self.hurried = max(before.traces, 0), max(before.hurried, 0.0)

    def step(self, now: datetime) -> int:
        """Return 0 to 3, the number of steps of saving that are in force."""
        day = int(now.timestamp()) // 86_400
        # A clock that is set back by a little must not grant the same day twice.
        if day > self.day or day < self.day - 1:
            self.day, self.spent, self.traces, self.hurried, self.reached = day, 0, 0, 0.0, 0
        self.reached = max(self.reached, self._steps(self.spent))
        return self.reached

    def allows(self, target: Target, now: datetime, *, witness: bool) -> bool:
        """Tell whether a probe fits the budget; if it does, its most is set aside for it.

        Whoever is allowed says afterwards what came of it: `settle`, or `give_back`.
        """
        if is_loopback(target):
            return True
        cost = cost_of(target.probe)
        step = max(self.step(now), self._steps(self.spent + self.promised))
        fits = (
            step == 0
            or witness
            or (step == 1 and cost < COSTLY and target.probe not in _DROPPED)
            or (step == 2 and target.probe in _KEPT)
        )
        if fits:
            self.promised += cost
        return fits

    def settle(self, target: Target, moved: int) -> None:
        """Count what a probe that was allowed has moved.

        A probe that counts nothing (0) is taken to have cost what it may.
        """
        if not is_loopback(target):
            self.give_back(target)
            self.spent += moved or cost_of(target.probe)

    def give_back(self, target: Target) -> None:
        """Take back what was promised to a probe that did not happen after all."""
        if not is_loopback(target):
            self.promised = max(0, self.promised - cost_of(target.probe))

    def _steps(self, spent: int) -> int:
        """Return how many steps of saving so many bytes are above."""
        return sum(spent >= share * self.limit for share in STEPS)

    def allows_trace(self, now: datetime) -> bool:
        """Tell whether one more way may be followed today, and count it if it may."""
        if self.step(now) > 1 or self.traces >= MOST_TRACES:
            return False
        self.traces += 1
        return True

    def allows_hurry(self, now: datetime, seconds: float) -> bool:
        """Tell whether the next `seconds` may be hurried, and count them if they may."""
        if self.step(now) > 0 or self.hurried + seconds > _BURST:
            return False
        self.hurried += seconds
        return True
