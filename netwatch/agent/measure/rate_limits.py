"""Limits how often other machines are probed. No target list can raise these limits."""

from functools import lru_cache
from ipaddress import ip_network

from netwatch.aio.token_bucket import TokenBucket
from netwatch.model.addresses import parse_address

_ADDRESS_SPACING = 20.0
"""Seconds between probes of one address or name."""
_PREFIX_SPACING = 1.0
"""Seconds between probes of one /24 (IPv4) or /48 (IPv6)."""
_RATE, _BURST = 5.0, 20.0
"""Probes per second in all, and probes that may start at once after a quiet time."""
_MAX_TRACKED = 10_000
"""Addresses and prefixes tracked before expired ones are dropped."""


class ProbeRateLimiter:
    """Spaces probes per address and prefix, and limits their rate in all."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._bucket = TokenBucket(_RATE, _BURST)

    def reserve(
        self, host: str, now: float, *, max_delay: float, retest: bool = False
    ) -> float | None:
        """Reserve the next slot for a probe of `host` and return the seconds to wait for it.

        Returns None, and reserves nothing, if the wait exceeds `max_delay`. `now` is monotonic
        time in seconds. A `retest` need not keep the spacing of the address itself.
        """
        spacings = _spacings(host)
        respected = spacings[1:] if retest else spacings
        start = now + self._bucket.delay(now)
        start = max([start, *(self._free_at.get(key, now) for key, _ in respected)])
        if start - now > max_delay:
            return None
        self._bucket.take()
        for key, spacing in spacings:
            self._free_at[key] = max(self._free_at.get(key, 0.0), start + spacing)
        if len(self._free_at) > _MAX_TRACKED:
            self._free_at = {key: free for key, free in self._free_at.items() if free > now}
        return start - now


@lru_cache(maxsize=10_000)
def _spacings(host: str) -> tuple[tuple[str, float], ...]:
    """Return the keys whose spacing a probe of `host` must keep, the host's own first."""
    address = parse_address(host)
    if address is None:
        return ((host.lower(), _ADDRESS_SPACING),)
    prefix = ip_network((str(address), 24 if address.version == 4 else 48), strict=False)
    return (str(address), _ADDRESS_SPACING), (str(prefix), _PREFIX_SPACING)
