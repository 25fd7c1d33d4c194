"""Asks the observatory's mirror for its target list now and then, for when no broker brings it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random

from netwatch.model.errors import TransportError

_log = logging.getLogger("netwatch.agent.target_list")
_FIRST, _USUAL = 60.0, 6 * 3600.0
"""Seconds within which the mirror is asked first, and then usually again."""


async def poll_target_list(
    ask: Callable[[], Awaitable[bool]],
    tell: Callable[[], None],
    *,
    first: float = _FIRST,
    usual: float = _USUAL,
) -> None:
    """Ask for ever, each time after half to one and a half of the usual time.

    Args:
        ask: asks the mirror and tells whether there is a new list; may raise LinkError.
        tell: called when there is.
        first: seconds within which it is asked for the first time.
        usual: seconds between two times.
    """
    random = Random()  # noqa: S311 - spreads the agents, hides nothing
    await asyncio.sleep(random.uniform(0, first))
    while True:
        try:
            if await ask():
                tell()
        except TransportError as error:
            # The list that we have stays good; it is no fault to be without the mirror.
            _log.info("target list: %s", error)
        await asyncio.sleep(random.uniform(usual / 2, usual * 1.5))
