"""How fast agents may send, as the collector says: a retained message at `nw/v1/fleet/drain`.

An agent obeys within its own limits: it never sends faster because it was told to, and what
it measures now it always sends.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from netwatch.model.errors import InputError

_LARGEST = 1024


@dataclass(frozen=True, slots=True)
class RateAdvice:
    """What the collector can take.

    Attributes:
        rate: batches a second of one agent; its backlog gets a quarter of that.
        reconnect_spread: seconds over which agents come back after they all were cut off.
        time_ms: when this was said, since 1970; an older one is not obeyed.
    """

    rate: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    reconnect_spread: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    time_ms: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RateAdvice).decode


def pack_rate_advice(advice: RateAdvice) -> bytes:
    """Return `advice` as a message, unsigned."""
    return _encode(advice)


def unpack_rate_advice(message: bytes) -> RateAdvice:
    """Return what an unsigned message says.

    Raises:
        InputError: it says no such thing.
    """
    if len(message) > _LARGEST:
        raise InputError(f"drain: {len(message)} bytes are too many")
    try:
        return _decode(message)
    except msgspec.DecodeError as error:
        raise InputError(f"drain: {error}") from error
