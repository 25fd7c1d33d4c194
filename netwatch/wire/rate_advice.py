"""Rate advice: how fast the collector lets agents send.

Advice only lowers an agent's own limits, and only for its backlog: fresh batches are always sent.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from netwatch.wire.message_format import MessageFormat


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


RATE_ADVICE: MessageFormat[RateAdvice] = MessageFormat(
    "rate advice",
    b"netwatch-rate-advice-v1\0",
    msgspec.json.encode,
    msgspec.json.Decoder(RateAdvice).decode,
    limit=1024,
)
