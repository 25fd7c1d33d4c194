"""The daily traffic budget: bytes, on-change probes and burst time. It survives a restart."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

_MEBI = 1024 * 1024
BUDGETS: Mapping[str, int] = {"low": 5 * _MEBI, "standard": 40 * _MEBI, "full": 200 * _MEBI}
"""Bytes per day by `agent.budget`, both directions together, probes of loopback excluded."""
LEVELS = (0.8, 0.9, 1.0)
"""Shares of the budget at which the saving level rises."""
_COSTLY = 20_000
"""Bytes per run from which a probe is skipped at level 1."""
MAX_CHANGE_PROBES = 20
"""On-change probes per day."""
_MAX_BURST = 30 * 60.0
"""Seconds per day of burst mode."""
SKIPPED_AT_LEVEL = ("nothing", "costly probes", "all but essential probes", "all but witnesses")
"""What each saving level skips, as text."""
_Count = Annotated[int, msgspec.Meta(ge=0)]


class DailyBudget(msgspec.Struct):
    """What was used of one UTC day's budget, since midnight.

    Attributes:
        limit: bytes per day.
        spent: bytes moved.
        day: the day that all counts belong to, in days since 1970.
        reached: highest saving level.
        reserved: expected bytes of the probes in progress.
    """

    limit: int = BUDGETS["standard"]
    spent: _Count = 0
    day: int = 0
    change_probes: _Count = 0
    burst_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    reached: int = 0
    reserved: int = 0

    def restore(self, before: "DailyBudget") -> None:
        """Continue from the counts of an earlier run; the limit stays."""
        self.day, self.spent = before.day, before.spent
        self.change_probes, self.burst_seconds = before.change_probes, before.burst_seconds

    def level(self, now: datetime) -> int:
        """Return the saving level, 0 to 3. It does not fall before midnight UTC."""
        day = int(now.timestamp()) // 86_400
        # A clock that is set back by up to a day must not grant the same day twice.
        if day > self.day or day < self.day - 1:
            self.day, self.spent, self.reached = day, 0, 0
            self.change_probes, self.burst_seconds = 0, 0.0
        self.reached = max(self.reached, self._level_at(self.spent))
        return self.reached

    def reserve(self, cost: int, now: datetime, *, essential: bool, witness: bool) -> bool:
        """Reserve `cost` bytes for a probe; return False if the saving level skips it.

        `commit` or `release` ends the reservation.
        """
        level = max(self.level(now), self._level_at(self.spent + self.reserved))
        fits = (
            witness or level == 0 or (level == 1 and cost < _COSTLY) or (level == 2 and essential)
        )
        if fits:
            self.reserved += cost
        return fits

    def commit(self, cost: int, moved: int) -> None:
        """Count what a probe moved; a probe that counted nothing is charged its whole cost."""
        self.release(cost)
        self.spent += moved or cost

    def release(self, cost: int) -> None:
        """Cancel the reservation of a probe that did not run."""
        self.reserved = max(0, self.reserved - cost)

    def reserve_change_probe(self, now: datetime) -> bool:
        """Count one on-change probe; return False if none is left today."""
        if self.level(now) > 1 or self.change_probes >= MAX_CHANGE_PROBES:
            return False
        self.change_probes += 1
        return True

    def reserve_burst(self, now: datetime, seconds: float) -> bool:
        """Count the next `seconds` of burst mode; return False if they exceed today's limit."""
        if self.level(now) > 0 or self.burst_seconds + seconds > _MAX_BURST:
            return False
        self.burst_seconds += seconds
        return True

    def _level_at(self, used: int) -> int:
        return sum(used >= share * self.limit for share in LEVELS)
