"""Rate advice: how fast the collector lets agents send.

Advice only lowers an agent's own limits, and only for its backlog: fresh batches are always sent.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from netwatch.wire.decode import decode

_MAX_BYTES = 1024


@dataclass(frozen=True, slots=True)
class RateAdvice:
    """What the collector can handle.

    Attributes:
        rate: batches a second from one agent; its backlog gets a quarter of that.
        reconnect_spread: seconds over which agents reconnect after all were disconnected.
        time_ms: when this was published, milliseconds since 1970; older advice is ignored.
    """

    rate: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    reconnect_spread: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    time_ms: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0


_DECODER = msgspec.json.Decoder(RateAdvice)


def pack_rate_advice(advice: RateAdvice) -> bytes:
    """Return the payload of `advice`, unsigned."""
    return msgspec.json.encode(advice)


def unpack_rate_advice(payload: bytes) -> RateAdvice:
    """Return the advice in an unsigned payload.

    Raises:
        InputError: it is not rate advice.
    """
    return decode(payload, _DECODER, what="rate advice", limit=_MAX_BYTES)
