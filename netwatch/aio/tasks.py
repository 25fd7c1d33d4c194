"""Runs coroutines concurrently, and cancels tasks until they end."""

import asyncio
import signal
from collections.abc import Awaitable, Coroutine, Iterable

_CANCEL_AGAIN_AFTER = 5.0
"""Seconds that a task has to clean up before it is cancelled again."""


async def run_until_first_exits(*parts: Awaitable[None]) -> None:
    """Run `parts` until the first ends, cancel the others, and raise what the first raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancel_and_wait(tasks)


async def cancel_and_wait(tasks: Iterable["asyncio.Future[None]"]) -> None:
    """Cancel `tasks` until they have ended; their exceptions are not raised.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which our libraries use, loses a
    cancellation that arrives just as the awaited future completes.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_AFTER)
        for task in done:
            if not task.cancelled():
                task.exception()


def run_until_signal(work: Coroutine[None, None, None]) -> None:
    """Run `work` until it ends, or Ctrl-C or SIGTERM cancels it and it has cleaned up."""
    asyncio.run(_run_until_signal(work))


async def _run_until_signal(work: Coroutine[None, None, None]) -> None:
    """Cancel `work` at the first signal; a second one kills the process as usual."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        stopped.set()

    async def wait() -> None:
        await stopped.wait()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    await run_until_first_exits(work, wait())
