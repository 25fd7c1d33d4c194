"""Rendered responses, shared by all readers: each is rendered once for each state of the data.

Rendering takes place in one thread, off the event loop. The cache is bounded, and so is the number
of responses that wait to be rendered, because a client may ask for any number of different ones.
"""

import asyncio
import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from netwatch.model.errors import BusyError

_MAX_BYTES = 16 * 1024 * 1024
"""Bytes of all responses in one cache; 300 pages of a country with a week of levels."""
_ENTRY_BYTES = 1000
"""Bytes of an entry without its name and body."""
_MAX_WAITING = 64
"""Responses that wait to be rendered; a thread needs seconds for them."""
_MIN_PACKED = 500
"""Bytes from which on a response is compressed; a smaller one is one packet anyway."""
_REST = 10.0
"""Rendering one response again and again, for the same data, takes a tenth of one core at most."""
_MIN_SECONDS = 1.0
"""Seconds for which a response is not rendered again while the data is the same."""
_PATIENCE = 2.0
"""Seconds that a reader waits for a new response before receiving the previous one."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A response's body, plain and compressed (empty if too small), and its entity tag."""

    body: bytes
    media_type: str
    packed: bytes
    tag: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> "Rendered":
        """Compress a body and compute its tag; blocks."""
        packed = gzip.compress(body, 6, mtime=0) if len(body) >= _MIN_PACKED else b""
        return cls(body, media_type, packed, f'W/"{hashlib.sha256(body).hexdigest()[:20]}"')


@dataclass(frozen=True, slots=True)
class _Entry:
    page: Rendered
    version: Hashable
    expires: float
    size: int


class SharedCheck:
    """Calls a function in a thread of its own, once for all who ask at the same time."""

    def __init__(self, call: Callable[[], Hashable]) -> None:
        self._call = call
        self._thread = ThreadPoolExecutor(1, "web-version")
        self._running: asyncio.Task[Hashable] | None = None
        self._next: asyncio.Task[Hashable] | None = None

    async def value(self) -> Hashable:
        """Return the result of a call that begins after this one."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._check(self._running))
        return await asyncio.shield(self._next)

    async def _check(self, before: "asyncio.Task[Hashable] | None") -> Hashable:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._next = self._next, None
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call)


class PageCache:
    """Responses by name, the least recently used dropped first.

    Args:
        check: yields the version of the data; a response of another version is rendered again.
        name: names the thread.
    """

    def __init__(self, check: SharedCheck, name: str, *, max_bytes: int = _MAX_BYTES) -> None:
        self._check, self._max_bytes = check, max_bytes
        self._thread = ThreadPoolExecutor(1, name)
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._bytes = 0
        self._rendering: dict[Hashable, asyncio.Task[Rendered]] = {}

    async def get(
        self, name: Hashable, render: Callable[[], Rendered], *, is_listed: bool = False
    ) -> Rendered:
        """Return the response of this name; `render` makes it, and its exceptions are raised.

        Only one reader waits for a new version, 2 seconds; the others get the previous one, and
        so do all while too many others are rendered. A listed name is one of few, and never waits
        for those to become fewer.

        Raises:
            BusyError: too many other responses wait to be rendered.
        """
        version = await self._check.value()
        entry = self._entries.get(name)
        if entry is not None:
            self._entries.move_to_end(name)
            if entry.version == version and perf_counter() < entry.expires:
                return entry.page
        task = self._rendering.get(name)
        if task is None:
            if len(self._rendering) >= _MAX_WAITING and not is_listed:
                if entry is not None:
                    return entry.page
                raise BusyError("too many responses are being rendered")
            task = self._start(name, version, render)
        elif entry is not None:
            return entry.page
        await asyncio.wait({task}, timeout=None if entry is None else _PATIENCE)
        return entry.page if entry is not None and not task.done() else task.result()

    def _start(
        self, name: Hashable, version: Hashable, render: Callable[[], Rendered]
    ) -> "asyncio.Task[Rendered]":
        task = asyncio.ensure_future(self._render(name, version, render))
        self._rendering[name] = task
        task.add_done_callback(lambda done: self._end(name, done))
        return task

    def _end(self, name: Hashable, task: "asyncio.Task[Rendered]") -> None:
        del self._rendering[name]
        if not task.cancelled():
            task.exception()  # else asyncio logs what no reader waited for

    async def _render(
        self, name: Hashable, version: Hashable, render: Callable[[], Rendered]
    ) -> Rendered:
        started = perf_counter()
        page = await asyncio.get_running_loop().run_in_executor(self._thread, render)
        ended = perf_counter()
        expires = ended + max(_MIN_SECONDS, _REST * (ended - started))
        size = len(page.body) + len(page.packed) + len(str(name)) + _ENTRY_BYTES
        self._keep(name, _Entry(page, version, expires, size))
        return page

    def _keep(self, name: Hashable, entry: _Entry) -> None:
        old = self._entries.pop(name, None)
        self._entries[name] = entry
        self._bytes += entry.size - (old.size if old else 0)
        while self._bytes > self._max_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.size
