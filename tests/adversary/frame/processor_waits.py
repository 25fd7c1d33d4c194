"""How long processes waited for a processor: time that a busy machine costs, and no attack.

The kernel counts it in nanoseconds (`/proc/<pid>/schedstat`), here of each process's main thread,
which answers. Where it does not, nothing is deducted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

__all__ = ["ProcessorWaits"]


@dataclass
class ProcessorWaits:
    """What was counted so far: by time of the monotonic clock, the seconds of each process."""

    samples: list[tuple[float, dict[int, float]]] = field(default_factory=list)

    def sample(self, pids: Iterable[int]) -> None:
        """Read how long these processes have waited."""
        self.samples.append((monotonic(), {pid: _waited(pid) for pid in pids}))

    def between(self, since: float, until: float) -> float:
        """Return the seconds that the process that waited longest did so in a span.

        Only whole spans between two samples count, and processes that wait at the same time count
        once: it is never more than what the machine took.
        """
        inside = [waits for time, waits in self.samples if since <= time <= until]
        if not inside:
            return 0.0
        first, last = inside[0], inside[-1]
        return max(last[pid] - first.get(pid, last[pid]) for pid in last)


def _waited(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0  # it has ended
