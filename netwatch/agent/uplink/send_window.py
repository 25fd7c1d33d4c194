"""The batches that were sent and are not acknowledged yet."""

from dataclasses import dataclass, field

WINDOW_SIZE = 8
"""Batches under way without an acknowledgement."""
BACKLOG_SHARE = 0.25
"""Share of the allowed rate, and of the window, that the backlog may take."""
_LONGEST_RESEND = 900.0


@dataclass(slots=True)
class _Sent:
    """A batch under way: when to send it again, and how long to wait after that."""

    resend_at: float
    wait: float


@dataclass(slots=True)
class InFlightWindow:
    """What is under way. Batches that waited in vain leave the window until their time comes.

    Attributes:
        patience: seconds until a batch is sent again for the first time.
        sent: sequences under way.
        heard: monotonic time of the newest acknowledgement, or of when waiting for one began.
    """

    patience: float
    sent: dict[int, _Sent] = field(default_factory=dict)
    heard: float = 0.0

    def begin(self, now: float) -> None:
        """Start afresh on a new link: what was under way on the old one may be lost."""
        self.sent.clear()
        self.heard = now

    def note(self, sequence: int, now: float) -> None:
        """Take down that `sequence` was sent; each time doubles the wait for its answer."""
        if not self.sent:
            self.heard = now
        before = self.sent.get(sequence)
        wait = min(before.wait * 2, _LONGEST_RESEND) if before else self.patience
        self.sent[sequence] = _Sent(now + wait, wait)

    def forget(self, low: int, high: int, now: float) -> None:
        """Drop what was acknowledged or refused."""
        self.heard = now
        for sequence in [one for one in self.sent if low <= one <= high]:
            del self.sent[sequence]

    def waiting(self, now: float) -> set[int]:
        """Return the sequences whose answer is still awaited."""
        return {sequence for sequence, sent in self.sent.items() if sent.resend_at > now}

    def silence(self, now: float) -> float:
        """Return for how long batches have been under way and nothing was answered."""
        return now - self.heard if self.sent else 0.0


def backlog_rate(own: float, advised: float | None) -> float:
    """Return the backlog's share of the lower of our own and the advised rate."""
    return BACKLOG_SHARE * (own if advised is None else min(own, advised))
