"""Counts what a measurement moves over the line, so that a day's budget is one of real bytes.

Whoever wants to know opens `counted()` around a measurement; probes say what they send and
receive, and need not know whether anybody counts. What they cannot see is estimated: headers
of IP, TCP and UDP, acknowledgements, and what opening and closing a connection takes.
"""

from contextvars import ContextVar, Token

_SEGMENT = 1400
_SEGMENT_HEADERS = 80
"""Of a full segment, and half an acknowledgement: 52 bytes each with IPv4 and timestamps."""
_CONNECTION = 220
"""Three packets to open, one to reset."""
_DATAGRAM_HEADERS = 36
"""Of IPv4 28, of IPv6 48."""
_LOOKUP = 400
"""Two questions to the system's resolver, for either family, and their answers."""


class Traffic:
    """Bytes moved in both directions, headers included."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


_current: ContextVar[Traffic | None] = ContextVar("traffic", default=None)


class counted:  # noqa: N801 - used like the context managers of contextlib, at a tenth of the cost
    """Count what is moved within the block, by this task and those that it starts."""

    __slots__ = ("_token", "_traffic")

    def __init__(self) -> None:
        self._traffic = Traffic()
        self._token: Token[Traffic | None] | None = None

    def __enter__(self) -> Traffic:
        self._token = _current.set(self._traffic)
        return self._traffic

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)


def count_stream(size: int) -> None:
    """Say that `size` bytes went over a TCP connection, either way."""
    _add(size + -(-size // _SEGMENT) * _SEGMENT_HEADERS)


def count_datagram(size: int) -> None:
    """Say that a packet with `size` bytes in it was sent or received."""
    _add(size + _DATAGRAM_HEADERS)


def count_connection() -> None:
    """Say that a TCP connection is opened, which will also be closed."""
    _add(_CONNECTION)


def count_lookup() -> None:
    """Say that the system's resolver is asked for a name."""
    _add(_LOOKUP)


def _add(size: int) -> None:
    traffic = _current.get()
    if traffic is not None:
        traffic.bytes += size
