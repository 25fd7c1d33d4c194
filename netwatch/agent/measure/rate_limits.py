"""How much an agent may ask of others, and of its own line: caps that no list can raise.

Counted are probes to other machines. Loopback is this machine, where nobody is disturbed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from ipaddress import ip_address, ip_network

from netwatch.model.measurement import Target

_MEBI = 1024 * 1024
BUDGETS: Mapping[str, int] = {"low": 5 * _MEBI, "standard": 40 * _MEBI, "full": 200 * _MEBI}
"""Bytes a day, in both directions together."""
_COSTS = {
    "dns": 300,
    "tcp": 250,
    "icmp": 200,
    "tls": 6_000,
    "quic": 8_000,
    "traceroute": 5_000,
    "http": 20_000,
    "transfer": 140_000,
}
"""Bytes that a run of a probe takes at most in the ordinary case, headers included."""
COSTLY = 20_000
"""What an unknown probe is taken to cost; what costs as much is the first to go."""
_APART = 20.0
_RATE, _BURST = 5.0, 20.0


def cost_of(probe: str) -> int:
    """Return the bytes that a run of a probe takes, headers included; unknown ones the most."""
    return _COSTS.get(probe, COSTLY)


class ProbeRateLimiter:
    """Spaces probes: 20 s apart at one address, 1 s in one /24 or /48, 5 a second in all."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._tokens = _BURST
        self._refilled = 0.0

    def delay(
        self, target: Target, now: float, *, most: float, again: bool = False
    ) -> float | None:
        """Return how many seconds to wait before probing, and take that place.

        None where it would be more than `most`: then this round is left out, and no place
        is taken. `now` is monotonic time in seconds. To look `again`, for a confirmation, the
        20 s at one address need not be over; all else holds.
        """
        keys = _keys(target.host)
        if not keys:
            return 0.0
        self._tokens = min(_BURST, self._tokens + (now - self._refilled) * _RATE)
        self._refilled = now
        asked = keys[1:] if again else keys
        start = max([now, *(self._free_at.get(key, now) for key, _ in asked)])
        if self._tokens < 1.0:
            start = max(start, now + (1.0 - self._tokens) / _RATE)
        if start - now > most:
            return None
        self._tokens -= 1.0
        for key, apart in keys:
            self._free_at[key] = max(self._free_at.get(key, 0.0), start + apart)
        self._forget(now)
        return start - now

    def _forget(self, now: float) -> None:
        """Drop places that are long past, so that memory does not grow with the list."""
        if len(self._free_at) > 10_000:
            self._free_at = {key: free for key, free in self._free_at.items() if free > now}


def is_loopback(target: Target) -> bool:
    """Tell whether a target is this machine itself, where nobody else is disturbed."""
    return not _keys(target.host)


@lru_cache(maxsize=10_000)
def _keys(host: str) -> tuple[tuple[str, float], ...]:
    """Return what a probe takes up and for how long; nothing on loopback."""
    try:
        address = ip_address(host)
    except ValueError:
        return () if host == "localhost" else ((host.lower(), _APART),)
    if address.is_loopback:
        return ()
    prefix = ip_network((address, 24 if address.version == 4 else 48), strict=False)
    return (str(address), _APART), (str(prefix), 1.0)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the day, UTC, in which only witnesses are asked; may span midnight."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> "QuietHours":
        """Return the hours that `22:00-06:00` says.

        Raises:
            ValueError: not of that form.
        """
        start, dash, end = text.partition("-")
        if not dash:
            raise ValueError(f"{text!r} are no hours; write 22:00-06:00")
        return cls(time.fromisoformat(start.strip()), time.fromisoformat(end.strip()))

    def hold(self, now: datetime) -> bool:
        """Tell whether `now` lies in them."""
        moment = now.time()
        if self.start <= self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end
