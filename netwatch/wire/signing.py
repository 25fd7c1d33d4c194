"""Ed25519 signatures on messages (RFC 8032).

A signed message is a magic number, the public key, the signature, and the plain message. The
signature covers the purpose and the message, so that it is valid for one purpose only.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from netwatch.model.errors import InputError

MAX_MESSAGE_BYTES = 64 * 1024
"""Bytes of the largest message that is sent or accepted, unless its format says otherwise."""
SIGNED = b"NW\x02"
"""The magic number of a signed message."""
SIGNED_HEADER = len(SIGNED) + 32 + 64
"""Bytes before the plain message: magic number, public key and signature."""
_KEY_BYTES = 32


class Signer:
    """Holds a private key and signs with it.

    Attributes:
        public: the public key, 32 bytes.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()

    def sign(self, message: bytes, purpose: bytes, *, limit: int = MAX_MESSAGE_BYTES) -> bytes:
        """Return the signed message.

        Raises:
            InputError: it would have more than `limit` bytes.
        """
        if len(message) + SIGNED_HEADER > limit:
            raise InputError(f"message: {len(message)} bytes are too many to sign")
        return SIGNED + self.public + self._key.sign(purpose + message) + message

    def private_bytes(self) -> bytes:
        """Return the 32 secret bytes of the key."""
        return self._key.private_bytes_raw()


def signer_of(message: bytes) -> bytes | None:
    """Return the public key in a message whose signature was verified before, None if unsigned."""
    return message[len(SIGNED) : len(SIGNED) + _KEY_BYTES] if message.startswith(SIGNED) else None


def open_signed(message: bytes, purpose: bytes) -> tuple[bytes, bytes | None]:
    """Return the plain message and the public key that signed it, None if it is not signed.

    Raises:
        InputError: the signature is invalid.
    """
    if not message.startswith(SIGNED):
        return message, None
    head, plain = message[len(SIGNED) : SIGNED_HEADER], message[SIGNED_HEADER:]
    key, signature = head[:_KEY_BYTES], head[_KEY_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, purpose + plain)
    except (InvalidSignature, ValueError) as error:
        raise InputError("message: the signature is invalid") from error
    return plain, key
