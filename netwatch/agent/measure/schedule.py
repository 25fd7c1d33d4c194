"""When each target is due: a fixed phase per agent and target, a little jitter, no catching up."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from netwatch.model.measurement import Target

_JITTER = 0.1
"""Share of the period by which a round may be early or late."""


def phase(agent: str, target: Target) -> float:
    """Return the point in its period, 0 to 1, at which `agent` probes `target`.

    A hash spreads agents and targets evenly, and does not change over restarts.
    """
    text = f"{agent}|{target.id}|{target.probe}"
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(order=True, slots=True)
class _Due:
    due_at: float
    round: int = field(compare=False)
    offset: float = field(compare=False)
    period: float = field(compare=False)
    target: Target = field(compare=False)


class Schedule:
    """Yields due targets, on a monotonic clock that the caller reads.

    Round k of a target is due at `start + (phase + k) * period` seconds, plus or minus a tenth of
    the period. Missed rounds (overload, a suspended machine) are counted in `missed` and skipped.
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
        self._heap: list[_Due] = []
        for target in targets:
            seconds = period(target)
            offset = start + phase(agent, target) * seconds
            self._heap.append(_Due(offset, 0, offset, seconds, target))
        heapq.heapify(self._heap)

    def next_due(self) -> float:
        """Return when the next target is due; infinity without targets."""
        return self._heap[0].due_at if self._heap else float("inf")

    def pop_due(self, now: float) -> list[Target]:
        """Return the targets that are due at `now`, and schedule their next rounds."""
        due: list[Target] = []
        while self._heap and self._heap[0].due_at <= now:
            entry = self._heap[0]
            due.append(entry.target)
            next_round = max(entry.round + 1, int((now - entry.offset) / entry.period) + 1)
            self.missed += next_round - entry.round - 1
            jitter = self._random.uniform(-_JITTER, _JITTER)
            entry.round = next_round
            entry.due_at = entry.offset + (next_round + jitter) * entry.period
            heapq.heapreplace(self._heap, entry)
        return due
