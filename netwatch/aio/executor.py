"""Runs blocking calls in a thread of their own, so that the event loop never waits for a disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class SingleThreadExecutor:
    """Runs calls one after another in one thread."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Return the result of `call`; it runs to its end even if the wait is cancelled."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, lambda: call(*args, **kwargs))
        return await asyncio.shield(future)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for running calls, then end the thread."""
        self._thread.shutdown(wait=True)
