"""Decodes bytes from outside: whatever is wrong with them is one InputError."""

from typing import TypeVar

import msgspec

from netwatch.model.errors import InputError

_T = TypeVar("_T")
_MAX_REASON = 200
"""Characters of the decoder's reason that an error quotes; it may hold text from outside."""


def decode(
    payload: bytes,
    decoder: msgspec.json.Decoder[_T] | msgspec.msgpack.Decoder[_T],
    *,
    what: str,
    limit: int,
) -> _T:
    """Return the decoded value.

    Args:
        payload: the bytes.
        decoder: checks types and ranges.
        what: names the payload in errors.
        limit: the largest accepted number of bytes.

    Raises:
        InputError: too many bytes, not decodable, or a value of the wrong type or range.
    """
    check_size(payload, what=what, limit=limit)
    try:
        return decoder.decode(payload)
    # msgspec raises UnicodeDecodeError, a ValueError, for text that is not UTF-8.
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{what}: {str(error)[:_MAX_REASON]}") from error


def check_size(payload: bytes, *, what: str, limit: int) -> None:
    """Raise InputError if `payload` has more than `limit` bytes."""
    if len(payload) > limit:
        raise InputError(f"{what}: {len(payload)} bytes are more than {limit}")
