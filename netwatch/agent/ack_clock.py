"""Every acknowledgement also answers the question what time it is."""

from collections import OrderedDict

from netwatch.agent.clock import DisciplinedClock
from netwatch.wire.ack import Ack

_MOST = 256


class AckClockSync:
    """Remembers when batches left, and tells a timekeeper what came back.

    The collector's clock was read after each batch that it acknowledges had left for the
    first time, and before its answer was heard.

    Args:
        keeper: learns the time; None where nobody wants to know.
    """

    def __init__(self, keeper: DisciplinedClock | None = None) -> None:
        self._keeper = keeper
        self._left: OrderedDict[int, float] = OrderedDict()

    def sent(self, sequence: int) -> None:
        """Take down that a batch leaves now, if it is for the first time."""
        if self._keeper is not None:
            self._left.setdefault(sequence, self._keeper.steady())
            if len(self._left) > _MOST:
                self._left.popitem(last=False)

    def answered(self, answer: Ack) -> None:
        """Learn from an acknowledgement that is the collector's own."""
        known = [
            sequence
            for sequence in self._left
            if any(low <= sequence <= high for low, high in answer.stored)
        ]
        left = [self._left.pop(sequence) for sequence in known]
        if self._keeper is not None and left and answer.time_ms > 0:
            self._keeper.hear(answer.time_ms, since=max(left))
