"""Running until somebody says stop."""

import asyncio
import signal
from collections.abc import Coroutine

__all__ = ["run_until_stopped"]


def run_until_stopped(work: Coroutine[None, None, None]) -> None:
    """Run `work` until it ends, or Ctrl-C or SIGTERM cancels it and it has cleaned up."""
    asyncio.run(_run(work))


async def _run(work: Coroutine[None, None, None]) -> None:
    """Cancel `work` at the first signal; a second one kills as usual."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
