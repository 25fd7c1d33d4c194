"""What the collector tells an agent: which batches are durable, and which it will not take."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from netwatch.model.errors import InputError
from netwatch.wire.batch_codec import MAX_MESSAGE_BYTES, SEQUENCE_LIMIT

_Sequence = Annotated[int, msgspec.Meta(ge=0, lt=SEQUENCE_LIMIT)]


@dataclass(frozen=True, slots=True)
class Ack:
    """A collector's answer to one agent.

    Attributes:
        agent: whom it is for.
        stored: inclusive ranges of sequences that are durable; the agent may forget them.
        refused: sequences that will never be taken, each with the reason.
        time_ms: the collector's clock since 1970, by which an agent can tell its own.
    """

    agent: str
    stored: tuple[tuple[_Sequence, _Sequence], ...] = ()
    refused: tuple[tuple[_Sequence, str], ...] = ()
    time_ms: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ack).decode


def pack_ack(answer: Ack) -> bytes:
    """Return `answer` as a message."""
    return _encode(answer)


def unpack_ack(message: bytes) -> Ack:
    """Return the acknowledgement in a message.

    Raises:
        InputError: it is no acknowledgement.
    """
    if len(message) > MAX_MESSAGE_BYTES:
        raise InputError(f"acknowledgement: {len(message)} bytes are too many")
    try:
        return _decode(message)
    except msgspec.DecodeError as error:
        raise InputError(f"acknowledgement: {error}") from error


def to_ranges(sequences: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return the inclusive ranges that `sequences` form, in order."""
    ranges: list[tuple[int, int]] = []
    for sequence in sorted(set(sequences)):
        if ranges and ranges[-1][1] == sequence - 1:
            ranges[-1] = (ranges[-1][0], sequence)
        else:
            ranges.append((sequence, sequence))
    return tuple(ranges)
