"""Running things side by side, so that all of them end when one does or somebody says stop."""

import asyncio
from collections.abc import Awaitable, Iterable

_AGAIN = 5.0
"""Seconds that a part has to clean up before it is asked again."""


async def run_until_first_exits(*parts: Awaitable[None]) -> None:
    """Run `parts` together until the first ends, stop the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancel_and_wait(tasks)


async def cancel_and_wait(tasks: Iterable["asyncio.Future[None]"]) -> None:
    """Cancel `tasks` until they have ended, whatever they raise.

    Once is not enough: before Python 3.12, `asyncio.wait_for` loses a cancellation that comes
    in the moment in which what it waits for is done, and libraries underneath us use it.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()
