"""What the agents' own clocks say about the collector's: the evidence against a wrong one.

Each batch says what its sender's system clock showed when it was sealed, which is at most as
late as the true time of its receipt. Only agents that the operator has invited or vetted have a
vote, since keys are free; those on the collector's own machine share its clock and have none.
"""

from collections.abc import Callable, Sequence
from statistics import median

from netwatch.collector.trust_weights import FirstSeen
from netwatch.model.clock_samples import ClockSample
from netwatch.model.vantage_trust import OPEN_OWNER

_FEWEST = 3
"""Agents, or owners, from which a median withstands one wrong clock."""
_NEWEST_SECONDS = 600.0
"""How long a clock's vote lasts: ten bins of a minute, so that silent agents do not count."""


class FleetTime:
    """The agents' system clocks, each as the seconds from our monotonic clock to its time.

    `monotonic` is that of the collector; `own_boot` returns the id that an agent of this name
    would give to the present boot of this machine.
    """

    def __init__(self, monotonic: Callable[[], float], own_boot: Callable[[str], str]) -> None:
        self._monotonic, self._own_boot = monotonic, own_boot
        self._lines: dict[str, tuple[float, float]] = {}

    def add(self, name: str, clock: ClockSample) -> None:
        """Take up an agent's clock, from a signed batch that was just received."""
        if clock.boot == self._own_boot(name):
            return
        now = self._monotonic()
        line = clock.wall / 1000 - now
        # A batch that waited shows an earlier time, so the latest one counts.
        heard, known = self._lines.get(name, (now, line))
        if line >= known or now - heard > _NEWEST_SECONDS:
            self._lines[name] = now, line

    def line(self, agents: Sequence[FirstSeen]) -> float | None:
        """Return the median of the `agents` that have a vote, None if fewer than three do.

        Each owner has one vote, if there are three of them.
        """
        now = self._monotonic()
        owners = {one.name: one.owner for one in agents if one.owner != OPEN_OWNER}
        owners |= {
            one.name: f"@{one.name}" for one in agents if one.vetted and one.name not in owners
        }
        self._lines = {
            name: (heard, line)
            for name, (heard, line) in self._lines.items()
            if now - heard <= _NEWEST_SECONDS
        }
        by_owner: dict[str, list[float]] = {}
        for name, (_, line) in self._lines.items():
            if name in owners:
                by_owner.setdefault(owners[name], []).append(line)
        if len(by_owner) >= _FEWEST:
            return median(map(median, by_owner.values()))
        lines = [line for lines in by_owner.values() for line in lines]
        return median(lines) if len(lines) >= _FEWEST else None
