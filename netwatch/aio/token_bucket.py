"""A token bucket: the rate limit of everything that netwatch sends, probes or accepts."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """Starts with `burst` tokens and gains `rate` a second, up to `burst`.

    Every `now` is monotonic time in seconds. `rate` may be changed at any time.
    """

    rate: float
    burst: float
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def available(self, now: float) -> float:
        """Return the tokens that are left; below zero after more were taken than there were."""
        gained = max(now - self._filled_at, 0.0) * self.rate
        self._tokens = min(self._tokens + gained, self.burst)
        self._filled_at = now
        return self._tokens

    def take(self, count: float = 1.0) -> None:
        """Take `count` tokens, even if fewer are left."""
        self._tokens -= count

    def try_take(self, now: float) -> bool:
        """Take one token if there is one; return whether there was."""
        if self.available(now) < 1.0:
            return False
        self.take()
        return True

    def delay(self, now: float) -> float:
        """Return seconds until a whole token is there, infinite if the rate is zero."""
        missing = 1.0 - self.available(now)
        if missing <= 0.0:
            return 0.0
        return missing / self.rate if self.rate > 0.0 else float("inf")
