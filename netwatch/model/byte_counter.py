"""Counts the bytes that a measurement moves, for the daily traffic budget.

Probes call the `count_*` functions; the caller opens a `ByteCounter` around the measurement.
What a probe cannot see is estimated: IP, TCP and UDP headers, acknowledgements, and the packets
that open and close a connection.
"""

from contextvars import ContextVar, Token
from typing import Self

_SEGMENT = 1400
"""Payload bytes of a full TCP segment."""
_SEGMENT_HEADERS = 80
"""Bytes per segment: headers (52 with IPv4 and TCP timestamps) and half an acknowledgement."""
_CONNECTION = 220
"""Bytes of three packets to open a connection and one to reset it."""
_DATAGRAM_HEADERS = 36
"""Bytes of IP and UDP headers per packet: 28 over IPv4, 48 over IPv6."""
_LOOKUP = 400
"""Bytes of an A and an AAAA query to the system's resolver, and their answers."""


class ByteCounter:
    """Context manager: counts what this task and the tasks it starts move within the block.

    `bytes` are those of both directions, headers included.
    """

    __slots__ = ("_token", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._token: Token[ByteCounter | None] | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)


_current: ContextVar[ByteCounter | None] = ContextVar("byte_counter", default=None)


def count_stream(size: int) -> None:
    """Count `size` bytes sent or received over a TCP connection."""
    _add(size + -(-size // _SEGMENT) * _SEGMENT_HEADERS)


def count_datagram(size: int) -> None:
    """Count one packet with a payload of `size` bytes."""
    _add(size + _DATAGRAM_HEADERS)


def count_connection() -> None:
    """Count opening and closing a TCP connection."""
    _add(_CONNECTION)


def count_lookup() -> None:
    """Count one look-up by the system's resolver."""
    _add(_LOOKUP)


def _add(size: int) -> None:
    counter = _current.get()
    if counter is not None:
        counter.bytes += size
