"""How long processes waited for a processor: time that a busy machine costs, and no attack.

The kernel counts it for each thread, in nanoseconds (`/proc/<pid>/task/<tid>/schedstat`). Where it
does not, nothing is deducted. A machine with nothing else to do deducts next to nothing.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import monotonic

__all__ = ["ProcessorWaits"]


@dataclass
class ProcessorWaits:
    """What was counted so far: by time of the monotonic clock, the longest wait since before."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    _before: dict[str, float] = field(default_factory=dict)

    def sample(self, pids: Iterable[int]) -> None:
        """Read how long each thread of these processes has waited, some times a second."""
        now = {path: waited for pid in pids for path, waited in _threads(pid)}
        longest = max((now[path] - self._before.get(path, now[path]) for path in now), default=0.0)
        self.spans.append((monotonic(), longest))
        self._before = now

    def between(self, since: float, until: float) -> float:
        """Return the seconds in a span for which some thread waited.

        Threads that wait in one span between two samples count once, as does the span at most.
        """
        inside = slice(bisect_left(self.spans, (since,)), bisect_left(self.spans, (until,)))
        spans = pairwise(self.spans[inside])
        return sum(min(longest, time - start) for (start, _), (time, longest) in spans)


def _threads(pid: int) -> Iterable[tuple[str, float]]:
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            waited = int(path.read_text("ascii").split()[1])
        except (OSError, IndexError):
            continue  # it has ended
        yield str(path), waited / 1e9
