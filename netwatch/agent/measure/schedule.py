"""When each target is probed: a phase of its own, a little jitter, and no catching up."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from netwatch.model.measurement import Target

_JITTER = 0.1
"""Share of the period by which a round may come early or late."""


def phase_of(agent: str, target: Target) -> float:
    """Return where in a period, 0 to 1, `agent` probes `target`.

    A hash spreads agents and targets evenly and is the same after a restart: ten thousand
    agents with one target and a period of 300 s make 33 a second, not 10,000 at once.
    """
    text = f"{agent}|{target.id}|{target.probe}"
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(order=True, slots=True)
class _Due:
    """The next time that one target is due; compares by it."""

    due: float
    number: int = field(compare=False)
    offset: float = field(compare=False)
    period: float = field(compare=False)
    target: Target = field(compare=False)


class Schedule:
    """Says which targets are due, on a monotonic clock that the caller reads.

    Round k of a target is due at `start + phase + k * period`, give or take a tenth of
    the period. Rounds that were missed (overload, a suspended machine) are counted in
    `missed` and not made up.

    Args:
        agent: the agent's id, which the phases depend on.
        targets: what to probe.
        period: gives the seconds between rounds of a target.
        start: the monotonic time of the first round, seconds.
        random: where jitter comes from.
    """

    def __init__(
        self,
        agent: str,
        targets: Sequence[Target],
        *,
        period: Callable[[Target], float],
        start: float,
        random: Random,
    ) -> None:
        self.missed = 0
        self._random = random
        self._rounds: list[_Due] = []
        for target in targets:
            length = period(target)
            offset = start + phase_of(agent, target) * length
            self._rounds.append(_Due(offset, 0, offset, length, target))
        heapq.heapify(self._rounds)

    def due_at(self) -> float:
        """Return when the next target is due; infinity without targets."""
        return self._rounds[0].due if self._rounds else float("inf")

    def take_due(self, now: float) -> list[Target]:
        """Return the targets that are due at `now`, and plan their next rounds."""
        due: list[Target] = []
        while self._rounds and self._rounds[0].due <= now:
            entry = self._rounds[0]
            due.append(entry.target)
            number = max(entry.number + 1, int((now - entry.offset) / entry.period) + 1)
            self.missed += number - entry.number - 1
            jitter = self._random.uniform(-_JITTER, _JITTER)
            entry.number = number
            entry.due = entry.offset + (number + jitter) * entry.period
            heapq.heapreplace(self._rounds, entry)
        return due
