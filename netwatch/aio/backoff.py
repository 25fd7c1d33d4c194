"""What both ends of a link need: coming back patiently."""

import logging
from collections.abc import Callable
from random import Random

import stamina

from netwatch.model.errors import TransportError
from netwatch.protocols import Transport

_log = logging.getLogger("netwatch.aio.backoff")
# It would tell of each attempt; we tell of the first failure and of the return.
logging.getLogger("stamina").setLevel(logging.ERROR)
_LONGEST_WAIT = 300.0
_PACES = 30
_MOST_DOUBLINGS = 16


async def connect_with_backoff(
    make: Callable[[], Transport], *, pace: float, random: Random
) -> Transport:
    """Return a link from `make` that has connected, however long that takes.

    Waits are drawn between nothing and a bound that doubles from `pace` seconds up to 30
    times that, at most five minutes (full jitter: https://aws.amazon.com/blogs/architecture/
    exponential-backoff-and-jitter/), so that a thousand agents do not come back at once.
    """
    failures = 0
    longest = min(_LONGEST_WAIT, _PACES * pace)

    def wait(error: Exception) -> bool | float:
        nonlocal failures
        if not isinstance(error, TransportError):
            return False
        failures += 1
        if failures == 1:
            _log.warning("%s; trying again until it works", error)
        return random.uniform(0, min(longest, pace * 2.0 ** min(failures, _MOST_DOUBLINGS)))

    async for attempt in stamina.retry_context(on=wait, attempts=None, timeout=None):
        with attempt:
            link = make()
            await link.__aenter__()
    if failures:
        _log.warning("connected after %d failed attempts", failures)
    return link
