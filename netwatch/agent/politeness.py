"""How much an agent may ask of others, and of its own line: caps that no list can raise.

Counted are probes to other machines. Loopback is this machine, where nobody is disturbed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from ipaddress import ip_address, ip_network

from netwatch.model.measurement import Target

__all__ = ["BUDGETS", "Budget", "Politeness", "QuietHours", "cost_of"]

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
_COSTLY = 20_000
_CHEAP = {"dns", "tcp", "icmp"}
_APART = 20.0
_RATE, _BURST = 5.0, 20.0
_STEPS = (0.8, 0.9, 1.0)


def cost_of(probe: str) -> int:
    """Return the bytes that a run of a probe takes, headers included; unknown ones the most."""
    return _COSTS.get(probe, _COSTLY)


class Politeness:
    """Spaces probes: 20 s apart at one address, 1 s in one /24 or /48, 5 a second in all."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._tokens = _BURST
        self._refilled = 0.0

    def delay(self, target: Target, now: float, *, most: float) -> float | None:
        """Return how many seconds to wait before probing, and take that place.

        None where it would be more than `most`: then this round is left out, and no place
        is taken. `now` is monotonic time in seconds.
        """
        keys = _keys(target.host)
        if not keys:
            return 0.0
        self._tokens = min(_BURST, self._tokens + (now - self._refilled) * _RATE)
        self._refilled = now
        start = max([now, *(self._free_at.get(key, now) for key, _ in keys)])
        if self._tokens < 1.0:
            start = max(start, now + (1.0 - self._tokens) / _RATE)
        if start - now > most:
            return None
        self._tokens -= 1.0
        for key, apart in keys:
            self._free_at[key] = start + apart
        self._forget(now)
        return start - now

    def _forget(self, now: float) -> None:
        """Drop places that are long past, so that memory does not grow with the list."""
        if len(self._free_at) > 10_000:
            self._free_at = {key: free for key, free in self._free_at.items() if free > now}


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


@dataclass(slots=True)
class Budget:
    """Bytes a day, and what is left out as they are spent.

    At 80 % the costly probes go, at 90 % all but dns, tcp and icmp, at 100 % all but
    witnesses.

    Attributes:
        limit: bytes a day.
        spent: bytes since midnight UTC.
        day: the day that they belong to, its number since 1970.
    """

    limit: int = BUDGETS["standard"]
    spent: int = 0
    day: int = 0

    def step(self, now: datetime) -> int:
        """Return 0 to 3, the number of steps of saving that are in force."""
        day = int(now.timestamp()) // 86_400
        if day != self.day:
            self.day, self.spent = day, 0
        return sum(self.spent >= share * self.limit for share in _STEPS)

    def allows(self, target: Target, now: datetime, *, witness: bool) -> bool:
        """Tell whether a probe fits the budget, and count it if it does."""
        if not _keys(target.host):
            return True
        step, cost = self.step(now), cost_of(target.probe)
        fits = (
            step == 0
            or witness
            or (step == 1 and cost < _COSTLY)
            or (step == 2 and target.probe in _CHEAP)
        )
        if fits:
            self.spent += cost
        return fits


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
