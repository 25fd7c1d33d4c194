"""Formats of the messages between agents and collectors, and the decoding of bytes from outside.

Every message may be signed. Its size and signature are checked before it is decoded, and whatever
is wrong with it is one InputError.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from netwatch.model.errors import InputError
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.wire.signing import MAX_MESSAGE_BYTES, Signer, open_signed

_T = TypeVar("_T")


def decode(payload: bytes, decoder: Callable[[bytes], _T], *, what: str, limit: int) -> _T:
    """Return the value that `decoder` makes of bytes from outside.

    `what` names the payload in errors, `limit` is the largest accepted number of bytes.

    Raises:
        InputError: too many bytes, not decodable, or a value of the wrong type or range.
    """
    check_size(payload, what=what, limit=limit)
    return decode_foreign(payload, decoder, what=what)


def check_size(payload: bytes, *, what: str, limit: int) -> None:
    """Raise InputError if `payload` has more than `limit` bytes."""
    if len(payload) > limit:
        raise InputError(f"{what}: {len(payload)} bytes are more than {limit}")


@dataclass(frozen=True, slots=True)
class MessageFormat(Generic[_T]):
    """One kind of message.

    Attributes:
        name: names the message in errors.
        purpose: what a signature is valid for.
        encoder, decoder: between the value and its unsigned bytes.
        limit: bytes of the largest message, with its signature.

    Raises:
        InputError: from every method, if the message is too large or not valid.
    """

    name: str
    purpose: bytes
    encoder: Callable[[_T], bytes]
    decoder: Callable[[bytes], _T]
    limit: int = MAX_MESSAGE_BYTES

    def pack(self, value: _T, signer: Signer | None = None) -> bytes:
        """Return the message of `value`, signed if there is a signer."""
        plain = self.encoder(value)
        if signer is not None:
            return signer.sign(plain, self.purpose, limit=self.limit)
        check_size(plain, what=self.name, limit=self.limit)
        return plain

    def unpack(self, message: bytes) -> tuple[_T, bytes | None]:
        """Return a message's value and the public key that signed it, None if unsigned."""
        plain, key = self.verify(message)
        return self.decode(plain), key

    def verify(self, message: bytes) -> tuple[bytes, bytes | None]:
        """Return the unsigned bytes of a message, and the key that signed it, None if unsigned."""
        check_size(message, what=self.name, limit=self.limit)
        return open_signed(message, self.purpose)

    def decode(self, plain: bytes) -> _T:
        """Return the value of unsigned bytes."""
        return decode(plain, self.decoder, what=self.name, limit=self.limit)
