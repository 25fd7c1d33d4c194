"""How much each sender of signed messages may send, and how much all together that nobody invited.

Keys are free, so senders that were never invited share an allowance, those that are new a smaller
one. The allowance of an invited sender is its own: nobody else can use it up.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from time import monotonic

from netwatch.aio.executor import SingleThreadExecutor
from netwatch.aio.token_bucket import TokenBucket
from netwatch.collector.agent_tables import Standing
from netwatch.model.errors import StoreError

_RATE, _BURST = 32.0, 64.0
"""Messages per second and at once of one key; a spool is sent at 16 per second."""
_SHARED = {Standing.OPEN: (200.0, 2000.0), Standing.NEW: (16.0, 100.0)}
"""The same for all keys of a standing; a collector stores 1,500 batches a second on one core. A
thousand new agents that start together are all known after a minute."""
_MAX_KEYS = 10_000
"""Keys with a bucket of their own; about 2 MB."""
_REMEMBER_SECONDS = 600.0
"""How long the standing of a known sender is not looked up again."""


class KeyedRateLimit:
    """One token bucket per key; the least recently used is dropped beyond `_MAX_KEYS`."""

    def __init__(self, *, rate: float = _RATE, burst: float = _BURST) -> None:
        self._bucket = lru_cache(_MAX_KEYS)(lambda _key: TokenBucket(rate, burst))

    def allows(self, key: bytes) -> bool:
        """Take a token from the bucket of `key`; False if it has none."""
        return self._bucket(key).try_take(monotonic())


class Allowances:
    """What senders may send, by key and by standing; `ENROLLED` shares nothing.

    Args:
        each: the allowance of every key.
        shared: rate and burst of all senders of a standing.
        count: called with `sender_rate`, `open_rate` or `new_rate` when a message is refused.
    """

    def __init__(
        self,
        *,
        each: KeyedRateLimit | None = None,
        shared: Mapping[Standing, tuple[float, float]] = _SHARED,
        count: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._each, self._count = each or KeyedRateLimit(), count
        self._shared = {standing: TokenBucket(*limit) for standing, limit in shared.items()}

    def allows(self, key: bytes, standing: Standing) -> bool:
        """Return whether the holder of a key may send now; count it if not."""
        bucket = self._shared.get(standing)
        if not self._each.allows(key):
            self._count("sender_rate")
        elif bucket is not None and not bucket.try_take(monotonic()):
            self._count(f"{standing}_rate")
        else:
            return True
        return False


class SenderLimits:
    """The allowances of those who send batches; `look_up` returns a standing, and may block."""

    def __init__(
        self, look_up: Callable[[str, bytes], Standing], allowances: Allowances | None = None
    ) -> None:
        self._look_up, self._allowances = look_up, allowances or Allowances()
        self._thread = SingleThreadExecutor("senders")
        self._known: dict[tuple[str, bytes], tuple[Standing, float]] = {}

    async def allows(self, name: str, key: bytes) -> bool:
        """Return whether the holder of a verified key may send now under an agent's name."""
        return self._allowances.allows(key, await self._standing(name, key))

    async def _standing(self, name: str, key: bytes) -> Standing:
        standing, until = self._known.get((name, key), (Standing.NEW, 0.0))
        if monotonic() < until:
            return standing
        try:
            standing = await self._thread.run(self._look_up, name, key)
        except StoreError:
            return Standing.OPEN
        if standing is not Standing.NEW:
            if len(self._known) >= _MAX_KEYS:
                self._known.clear()
            self._known[name, key] = standing, monotonic() + _REMEMBER_SECONDS
        return standing
