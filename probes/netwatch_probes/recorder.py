"""What every probe needs: timing its steps, and turning a name into an address.

A step that fails ends the measurement; whatever was raised becomes a failure word.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from time import perf_counter
from types import TracebackType
from typing import Self

from netwatch.model.addresses import is_public_address, is_public_name
from netwatch.model.byte_counter import count_connection, count_lookup
from netwatch.model.failure import classify_failure
from netwatch.model.measurement import Observation

BUFFER = 8 * 1024
"""Bytes of a socket's receive buffer: a server that floods us fills it and must stop."""

Address = tuple[socket.AddressFamily, str]
"""An address family and a literal address of it."""

# getaddrinfo blocks; four at a time, so that a dead resolver cannot take every thread.
_RESOLVERS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="resolve")


class StepError(Exception):
    """Raised by a step that failed; its observation is recorded already.

    Raise it with a failure word inside a step where no exception says what went wrong.
    """

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class StepRecorder:
    """Collects one observation a step; the context of a whole measurement.

    `async with Steps(within=10) as steps: with steps.step("connect"): ...`

    A step's failure or the end of the time leaves the block quietly; `steps.observations`
    then ends with the failure. Cancellation by anyone else passes through.
    """

    __slots__ = ("_operation", "_since", "_timeout", "late", "observations")

    def __init__(self, *, within: float) -> None:
        self.observations: tuple[Observation, ...] = ()
        self._timeout = asyncio.timeout(within)
        # What running out of time is called, where that is not the other side's doing.
        self.late = ""
        self._operation = ""
        self._since = 0.0

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            return True
        return isinstance(error, StepError)

    def step(self, operation: str) -> "StepRecorder":
        """Return the context of one step; `operation` names it in the observation."""
        self._operation = operation
        return self

    def __enter__(self) -> None:
        self._since = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.add(self._operation, None, perf_counter() - self._since)
            return
        cancelled = isinstance(error, asyncio.CancelledError)
        if cancelled and not self._timeout.expired():
            return
        if isinstance(error, StepError):
            word = error.word
        elif cancelled and self.late:
            word = self.late
        else:
            word = classify_failure(TimeoutError() if cancelled else error).word
        self.add(self._operation, word, perf_counter() - self._since)
        if isinstance(error, Exception) and not isinstance(error, StepError):
            raise StepError(word) from error

    def add(self, operation: str, failure: str | None, seconds: float) -> None:
        """Record a step that was timed elsewhere."""
        self.observations += (Observation(operation, failure, seconds),)

    def note(self, detail: str) -> None:
        """Add a fact to the last step that ended."""
        last = self.observations[-1]
        self.observations = (*self.observations[:-1], replace(last, detail=detail))


async def resolve(host: str, steps: StepRecorder) -> Address:
    """Return the first address of `host`, recorded as step `resolve`.

    A literal address is returned as it is, without a step.

    Raises:
        StepError: the name has no address, or no resolver answered.
    """
    literal = _literal(host)
    if literal is not None:
        return literal
    with steps.step("resolve"):
        return await _ask_resolver(host, steps)


@lru_cache(maxsize=10_000)
def _literal(host: str) -> Address | None:
    """Return what an address says by itself, None for a name; remembered, since lists repeat."""
    try:
        version = ip_address(host).version
    except ValueError:
        return None
    return (socket.AF_INET if version == 4 else socket.AF_INET6), host


async def _ask_resolver(host: str, steps: StepRecorder) -> Address:
    """Return the first address of `host`; a look-up that never began is our own fault."""
    count_lookup()
    steps.late = "unknown_failure: resolvers"

    def look_up() -> Address:
        steps.late = ""
        return _look_up(host)

    found = await asyncio.get_running_loop().run_in_executor(_RESOLVERS, look_up)
    steps.late = ""
    return found


async def open_connection(
    address: Address,
    port: int,
    *,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    buffer: int = BUFFER,
) -> socket.socket:
    """Return a connected, non-blocking socket; raises OSError as the system does.

    `buffer` bounds what the kernel takes in before anybody reads: set before connecting, it
    is the window that the other side is told. 0 leaves it to the system.
    """
    if kind is socket.SOCK_STREAM:
        count_connection()
    connection = socket.socket(address[0], kind)
    try:
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(0)
        await asyncio.get_running_loop().sock_connect(connection, (address[1], port))
    except BaseException:
        connection.close()
        raise
    return connection


def _look_up(host: str) -> Address:
    """Ask the system's resolver; blocks.

    A public name at an address that is none of the public Internet's is a lie, or a trap that
    leads into the network of whoever probes: it is told and never connected to.

    Raises:
        StepError: that is what the resolver said.
    """
    family, _, _, _, place = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    found = str(place[0])
    if is_public_name(host) and not is_public_address(found):
        raise StepError("dns_bogon_error")
    return family, found
