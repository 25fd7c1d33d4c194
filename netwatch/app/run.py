"""Running until somebody says stop."""

import asyncio
import signal
from collections.abc import Coroutine

from netwatch.aio.tasks import run_until_first_exits


def run_until_signal(work: Coroutine[None, None, None]) -> None:
    """Run `work` until it ends, or Ctrl-C or SIGTERM cancels it and it has cleaned up."""
    asyncio.run(_run(work))


async def _run(work: Coroutine[None, None, None]) -> None:
    """End `work` at the first signal; a second one kills as usual."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        stopped.set()

    async def wait() -> None:
        await stopped.wait()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    await run_until_first_exits(work, wait())
