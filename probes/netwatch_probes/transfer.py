"""How fast does a small download run, and where does it stall?

A throttled line lets everything through, only slowly; handshakes stay quick while bytes
crawl, or stop after the first few. Rate and times are the evidence, not the body.
"""

import ssl
from collections.abc import Collection
from functools import lru_cache

from netwatch.model.measurement import Observation, Target
from netwatch.plugins import NoOptions
from netwatch.protocols import Probe
from netwatch_probes.limited_stream import LimitedStream
from netwatch_probes.recorder import StepError, StepRecorder, open_connection, resolve

_MOST = 128 * 1024
_HEAD = 16 * 1024
_TAKEN = _MOST + 2 * _HEAD
"""Bytes that are taken in at most, the answer's head and TLS included."""
_BUFFER = 64 * 1024
"""Receive buffer: wide enough that it is the line, and not we, that sets the pace."""
_TLS_PORTS = frozenset({443, 8443})
_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: netwatch (Internet reachability"
    " measurement)\r\nAccept-Encoding: identity\r\nRange: bytes=0-{last}\r\n"
    "Connection: close\r\n\r\n"
)


@lru_cache(maxsize=1)
def _shared_context() -> ssl.SSLContext:
    return ssl.create_default_context()


class TransferProbe(NoOptions, Probe):
    """Downloads at most 128 KiB of the target's path over one fresh connection.

    Step `transfer` carries in its detail how many bytes came, also where it failed: a
    transfer that stalls after 16 KiB tells another story than one that never began.
    """

    name = "transfer"
    cost_bytes = 140_000
    in_consent_text = True

    def __init__(
        self, *, tls: Collection[int] = _TLS_PORTS, context: ssl.SSLContext | None = None
    ) -> None:
        self._tls = tls
        self._context = context

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Download once; see `netwatch.protocols.Probe`."""
        steps = StepRecorder(within=within)
        port = target.port or 443
        download = _Download()
        async with steps:
            address = await resolve(target.host, steps)
            with steps.step("connect"):
                connection = await open_connection(address, port, buffer=_BUFFER)
            with LimitedStream(connection, most=_TAKEN) as stream:
                if port in self._tls:
                    with steps.step("tls_handshake"):
                        await stream.shake_hands(
                            self._context or _shared_context(), target.domain or target.host
                        )
                with steps.step("transfer"):
                    await download.run(stream, target)
        if steps.observations and steps.observations[-1].operation == "transfer":
            steps.note(str(download.received))
        return steps.observations


class _Download:
    """One download; `received` counts the body's bytes as they came over the line."""

    def __init__(self) -> None:
        self.received = 0

    async def run(self, stream: LimitedStream, target: Target) -> None:
        """Ask and read.

        Raises:
            StepError: the answer is no success, or no HTTP.
            EOFError: the connection ended before the answer was whole.
        """
        request = _REQUEST.format(path=target.path or "/", host=target.host, last=_MOST - 1)
        await stream.write(request.encode())
        head, rest = await _read_head(stream)
        expected = _expected(head)
        self.received = min(len(rest), expected)
        while self.received < expected:
            part = await stream.read(min(_HEAD, expected - self.received))
            if not part:
                break
            self.received += len(part)
        if self.received < expected < _MOST:
            raise EOFError


async def _read_head(stream: LimitedStream) -> tuple[bytes, bytes]:
    """Return the answer's head, and what came behind it."""
    read = b""
    while len(read) < _HEAD:
        part = await stream.read(_HEAD)
        if not part:
            raise EOFError
        read += part
        head, end, rest = read.partition(b"\r\n\r\n")
        if end:
            return head, rest
    raise StepError("http_request_failed")


def _expected(head: bytes) -> int:
    """Return how many bytes of body to wait for, as the answer's head says."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if not parts[0].startswith("HTTP/1.") or len(parts) < 2 or not parts[1].isdigit():
        raise StepError("http_request_failed")
    if not 200 <= int(parts[1]) < 300:
        raise StepError("http_unexpected_status_code")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length" and value.strip().isdigit():
            return min(int(value), _MOST)
    return _MOST
