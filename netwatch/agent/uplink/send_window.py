"""The batches in flight: sent, and neither acknowledged nor due to be resent."""

from dataclasses import dataclass, field

WINDOW_SIZE = 8
"""Batches in flight at once."""
BACKLOG_SHARE = 0.25
"""Share of the allowed rate, and of the window, that the backlog may take."""
_MAX_TIMEOUT = 900.0
"""Seconds of the longest wait for an acknowledgement."""


@dataclass(slots=True)
class _Sent:
    resend_at: float
    timeout: float


@dataclass(slots=True)
class InFlightWindow:
    """Tracks batches in flight; each resend doubles the timeout. Times are monotonic seconds.

    `timeout` is the seconds until a batch is resent for the first time.
    """

    timeout: float
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _last_ack: float = 0.0

    def reset(self, now: float) -> None:
        """Start on a new connection: what was sent over the old one may be lost."""
        self._sent.clear()
        self._last_ack = now

    def sent(self, sequence: int, now: float) -> None:
        """Record that a batch was sent."""
        if not self._sent:
            self._last_ack = now
        before = self._sent.get(sequence)
        timeout = min(before.timeout * 2, _MAX_TIMEOUT) if before else self.timeout
        self._sent[sequence] = _Sent(now + timeout, timeout)

    def ack(self, low: int, high: int, now: float) -> None:
        """Record that an inclusive range was acknowledged or refused."""
        self._last_ack = now
        for sequence in [one for one in self._sent if low <= one <= high]:
            del self._sent[sequence]

    def is_empty(self) -> bool:
        """Return whether every sent batch has been acknowledged or refused."""
        return not self._sent

    def in_flight(self, now: float) -> set[int]:
        """Return the sequences whose timeout has not passed."""
        return {sequence for sequence, sent in self._sent.items() if sent.resend_at > now}

    def time_since_ack(self, now: float) -> float:
        """Return for how long batches have been waiting without any acknowledgement."""
        return now - self._last_ack if self._sent else 0.0


def backlog_rate(own: float, advised: float | None) -> float:
    """Return the backlog's share of the lower of our own and the advised rate."""
    return BACKLOG_SHARE * (own if advised is None else min(own, advised))
