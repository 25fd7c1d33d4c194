"""Acknowledgements: which batches the collector has stored durably, and which it refuses."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from netwatch.wire.batch_codec import MAX_MESSAGE_BYTES, SEQUENCE_LIMIT
from netwatch.wire.decode import decode

_Sequence = Annotated[int, msgspec.Meta(ge=0, lt=SEQUENCE_LIMIT)]


@dataclass(frozen=True, slots=True)
class Ack:
    """A collector's answer to one agent.

    Attributes:
        agent: the agent's id.
        stored: inclusive ranges of sequences that are durable; the agent may delete them.
        refused: sequences that will never be accepted, each with the reason.
        time_ms: the collector's clock, milliseconds since 1970.
    """

    agent: str
    stored: tuple[tuple[_Sequence, _Sequence], ...] = ()
    refused: tuple[tuple[_Sequence, str], ...] = ()
    time_ms: int = 0


_DECODER = msgspec.msgpack.Decoder(Ack)


def pack_ack(ack: Ack) -> bytes:
    """Return the payload of `ack`, unsigned."""
    return msgspec.msgpack.encode(ack)


def unpack_ack(payload: bytes) -> Ack:
    """Return the acknowledgement in an unsigned payload.

    Raises:
        InputError: it is not an acknowledgement.
    """
    return decode(payload, _DECODER, what="acknowledgement", limit=MAX_MESSAGE_BYTES)


def to_ranges(sequences: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return `sequences` as inclusive ranges, in order."""
    return merge_ranges((sequence, sequence) for sequence in sequences)


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return inclusive ranges in order, with overlapping and adjacent ones merged."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)
