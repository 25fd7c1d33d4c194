"""Acknowledgements: which batches the collector has stored durably, and which it refuses."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from netwatch.wire.batch_codec import SEQUENCE_LIMIT
from netwatch.wire.message_format import MessageFormat

_Sequence = Annotated[int, msgspec.Meta(ge=0, lt=SEQUENCE_LIMIT)]


@dataclass(frozen=True, slots=True)
class Ack:
    """A collector's answer to one agent.

    Attributes:
        agent: the agent's id.
        stored: inclusive ranges of sequences that are durable; the agent may delete them.
        refused: sequences that will never be accepted, each with the reason.
        time_ms: the collector's clock, milliseconds since 1970; 0 while it is in doubt.
    """

    agent: str
    stored: tuple[tuple[_Sequence, _Sequence], ...] = ()
    refused: tuple[tuple[_Sequence, str], ...] = ()
    time_ms: int = 0


ACKNOWLEDGEMENT: MessageFormat[Ack] = MessageFormat(
    "acknowledgement",
    b"netwatch-acknowledgement-v1\0",
    msgspec.msgpack.encode,
    msgspec.msgpack.Decoder(Ack).decode,
)


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return inclusive ranges in order, with overlapping and adjacent ones merged."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)
