"""What every probe needs: timed steps, name resolution and connections.

A step that fails ends the measurement; its exception becomes a failure word.
"""

import asyncio
import socket
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Self

from netwatch.model.addresses import is_public_address, is_public_name, parse_address
from netwatch.model.byte_counter import count_connection, count_datagram, count_lookup
from netwatch.model.failure import classify_failure
from netwatch.model.measurement import Observation, Target
from netwatch.plugins import NoOptions
from netwatch.protocols import Probe
from netwatch_probes.limited_stream import MAX_RECEIVED, LimitedStream

DEFAULT_PORT = 443
"""Port of a target that names none; probe `dns` has its own."""
BUFFER = 8 * 1024
"""Bytes of a socket's receive buffer: a server that floods us fills it and must stop."""

_MAX_PACKET = 4096
"""Bytes of a datagram that are read; a longer one is truncated."""
_MAX_DATAGRAMS = 32 * 1024
"""Bytes of datagrams that are read, from any sender."""

Address = tuple[socket.AddressFamily, str]
"""An address family and a literal address of it."""

# getaddrinfo blocks; four threads, so that a dead resolver cannot block every thread.
_RESOLVERS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="resolve")
_TIMEOUT_WORD = "generic_timeout_error"
_NO_RESOLVER_THREAD = "unknown_failure: resolvers"


class StepError(Exception):
    """Raise it with a failure word inside a step to fail the step."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class StepRecorder:
    """Collects one observation per step; the context of a whole measurement.

    `async with StepRecorder(within=10) as steps: with steps.step("connect"): ...`

    A failed step, or the timeout, ends the block without an exception. Cancellation by the caller
    passes through.

    Attributes:
        within: seconds for all steps together.
        observations: the steps so far; the last one has the failure, if any.
        detail: the detail of the current step; set it inside the step.
        timeout_word: the failure word of the current step if it times out.
    """

    __slots__ = (
        "_operation",
        "_start",
        "_timeout",
        "detail",
        "observations",
        "timeout_word",
        "within",
    )

    def __init__(self, *, within: float) -> None:
        self.observations: tuple[Observation, ...] = ()
        self.detail, self.timeout_word = "", _TIMEOUT_WORD
        self.within, self._timeout = within, asyncio.timeout(within)
        self._operation, self._start = "", 0.0

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        try:
            await self._timeout.__aexit__(None if error is None else type(error), error, None)
        except TimeoutError:
            return True
        return isinstance(error, StepError)

    def step(self, operation: str) -> "StepRecorder":
        """Return the context of one step; `operation` names it in the observation."""
        self._operation = operation
        self.detail, self.timeout_word = "", _TIMEOUT_WORD
        return self

    def __enter__(self) -> None:
        self._start = perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        word = None
        if isinstance(error, asyncio.CancelledError):
            if not self._timeout.expired():
                return
            word = self.timeout_word
        elif isinstance(error, StepError):
            word = error.word
        elif error is not None:
            word = classify_failure(error).word
        seconds = perf_counter() - self._start
        self.observations += (Observation(self._operation, word, seconds, self.detail),)
        if word is not None and isinstance(error, Exception) and not isinstance(error, StepError):
            raise StepError(word) from error


class StepProbe(NoOptions, Probe):
    """Base of the probes here: a probe is a run of steps, within `max_seconds` at most."""

    max_seconds = float("inf")

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Run the steps once; see `netwatch.protocols.Probe`."""
        steps = StepRecorder(within=min(within, self.max_seconds))
        async with steps:
            await self.run_steps(target, steps)
        return steps.observations

    @abstractmethod
    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Record one step per layer; a failed step, or the timeout, ends them."""


async def resolve(host: str, steps: StepRecorder) -> Address:
    """Return the first address of `host`, recorded as step `resolve`.

    A literal address is returned without a step.

    Raises:
        StepError: the name has no address, or no resolver answered.
    """
    literal = parse_address(host)
    if literal is not None:
        return (socket.AF_INET if literal.version == 4 else socket.AF_INET6), host
    with steps.step("resolve"):
        count_lookup()
        # A look-up that times out before it has a thread is a local fault.
        steps.timeout_word = _NO_RESOLVER_THREAD

        def look_up() -> Address:
            steps.timeout_word = _TIMEOUT_WORD
            return _look_up(host)

        return await asyncio.get_running_loop().run_in_executor(_RESOLVERS, look_up)


def _look_up(host: str) -> Address:
    """Ask the system's resolver; blocks.

    A public name with a private address is forged, or a trap: it is never connected to.
    """
    family, _, _, _, sockaddr = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    address = str(sockaddr[0])
    if is_public_name(host) and not is_public_address(address):
        raise StepError("dns_bogon_error")
    return family, address


async def open_connection(
    address: Address,
    port: int,
    *,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    buffer: int = BUFFER,
) -> socket.socket:
    """Return a connected, non-blocking socket; raises OSError as the system does.

    `buffer` limits what the kernel receives before anything is read: set before connecting, it
    is the advertised window.
    """
    if kind is socket.SOCK_STREAM:
        count_connection()
    connection = socket.socket(address[0], kind)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(0)
        await asyncio.get_running_loop().sock_connect(connection, (address[1], port))
    except BaseException:
        connection.close()
        raise
    return connection


async def open_stream(
    target: Target, steps: StepRecorder, *, buffer: int = BUFFER, limit: int = MAX_RECEIVED
) -> LimitedStream:
    """Return a TCP stream to the target, recorded as steps `resolve` and `connect`.

    It receives at most `limit` bytes; `buffer` is as in `open_connection`.

    Raises:
        StepError: a step failed.
    """
    address = await resolve(target.host, steps)
    with steps.step("connect"):
        connection = await open_connection(address, target.port or DEFAULT_PORT, buffer=buffer)
    return LimitedStream(connection, limit=limit)


class LimitedDatagrams:
    """Sends and receives datagrams over a connected socket, and counts their bytes.

    `overflow` is the failure word of the StepError that `receive` raises after 32 KiB.
    """

    def __init__(self, channel: socket.socket, *, overflow: str) -> None:
        self._channel, self._overflow = channel, overflow
        self._room = _MAX_DATAGRAMS

    async def send(self, packet: bytes) -> None:
        """Send one datagram."""
        count_datagram(len(packet))
        await asyncio.get_running_loop().sock_sendall(self._channel, packet)

    async def receive(self) -> bytes:
        """Return the next datagram."""
        packet = await asyncio.get_running_loop().sock_recv(self._channel, _MAX_PACKET)
        count_datagram(len(packet))
        self._room -= len(packet)
        if self._room < 0:
            raise StepError(self._overflow)
        return packet
