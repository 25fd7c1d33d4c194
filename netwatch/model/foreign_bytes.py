"""The decoding of bytes from outside: whatever is wrong with them is one typed error."""

from collections.abc import Callable
from typing import TypeVar

from netwatch.model.errors import InputError, NetwatchError, one_line

_B = TypeVar("_B")
_T = TypeVar("_T")
_MAX_REASON = 200
"""Characters of the decoder's reason that an error quotes; it may hold text from outside."""


def decode_foreign(
    foreign: _B, decoder: Callable[[_B], _T], *, what: str, kind: type[NetwatchError] = InputError
) -> _T:
    """Return the value that `decoder` makes of bytes or text from outside; `what` names them.

    Whatever the decoder raises becomes an error of `kind`, since libraries raise more than they
    document: msgspec a UnicodeDecodeError, which is not one of its own errors.

    Raises:
        NetwatchError: of `kind`, or that of the decoder itself.
    """
    try:
        return decoder(foreign)
    except NetwatchError:
        raise
    except Exception as error:
        reason = one_line(error)[:_MAX_REASON]
        raise kind(f"{what}: {reason}") from error
