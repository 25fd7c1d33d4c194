"""Exponential back-off with full jitter, and connecting with it."""

import logging
from collections.abc import Callable
from random import Random

import stamina

from netwatch.model.errors import TransportError
from netwatch.protocols import Transport

_log = logging.getLogger("netwatch.aio.backoff")
logging.getLogger("stamina").setLevel(logging.ERROR)  # else it logs every attempt
_MAX_WAIT = 300.0
"""Seconds of the longest wait."""
_MAX_PACES = 30
"""The longest wait in paces, if that is shorter."""
_MAX_DOUBLINGS = 16
"""Failures after which the bound grows no more; keeps the power finite."""


def backoff_delay(failures: int, *, base: float, pace: float, random: Random) -> float:
    """Return seconds to wait before the next attempt: between 0 and a bound that doubles.

    Full jitter keeps a thousand clients from reconnecting at once
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        failures: failed attempts so far.
        base: the bound before any failure, in seconds.
        pace: the caller's usual interval in seconds; the bound stays below 30 of them.
        random: draws the delay.
    """
    bound = base * 2.0 ** min(failures, _MAX_DOUBLINGS)
    return random.uniform(0, min(_MAX_WAIT, _MAX_PACES * pace, bound))


async def connect_with_backoff(make: Callable[[], Transport], *, pace: float) -> Transport:
    """Return a connected transport from `make`, however long that takes.

    `pace` is the base of the back-off, in seconds.
    """
    random = Random()  # noqa: S311 - jitter
    failures = 0

    def delay(error: Exception) -> bool | float:
        nonlocal failures
        if not isinstance(error, TransportError):
            return False
        failures += 1
        if failures == 1:
            _log.warning("%s; retrying until it works", error)
        return backoff_delay(failures, base=pace, pace=pace, random=random)

    async for attempt in stamina.retry_context(on=delay, attempts=None, timeout=None):
        with attempt:
            transport = make()
            await transport.__aenter__()
    if failures:
        _log.warning("connected after %d failed attempts", failures)
    return transport
