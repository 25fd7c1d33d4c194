"""Signatures on messages: who wrote a batch, and who says that it is kept.

A signed message is `NW`, a 2, the writer's Ed25519 public key, the signature, and the plain
message. The signature covers the purpose and the plain message, so that what was signed for
one purpose is worth nothing for another (RFC 8032, and domain separation as in 5.1).
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from netwatch.model.errors import InputError
from netwatch.wire.batch_codec import MAX_MESSAGE_BYTES, SIGNED, SIGNED_HEADER

BATCH = b"netwatch-batch-v1\0"
ACKNOWLEDGEMENT = b"netwatch-acknowledgement-v1\0"
TARGETS = b"netwatch-targets-v1\0"
PRESENCE = b"netwatch-presence-v1\0"
RATE_ADVICE = b"netwatch-drain-v1\0"
ENROLLMENT = b"netwatch-enrollment-v1\0"
ENROLLED = b"netwatch-enrolled-v1\0"
KEY_CHANGE = b"netwatch-key-change-v1\0"
ERASURE = b"netwatch-erasure-v1\0"
_KEY = 32
_SIGNATURE = 64


class Signer:
    """Holds a private key and signs with it.

    Attributes:
        public: the public key, 32 bytes, by which others know us.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes, purpose: bytes, *, limit: int = MAX_MESSAGE_BYTES) -> bytes:
        """Return `message`, signed.

        Raises:
            InputError: with its signature it would be larger than `limit`.
        """
        if len(message) + SIGNED_HEADER > limit:
            raise InputError(f"message: {len(message)} bytes are too many to be signed")
        return SIGNED + self.public + self._key.sign(purpose + message) + message

    def seed(self) -> bytes:
        """Return the 32 secret bytes that the key is made of, for what opens sealed messages."""
        return self._key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def open_signed(message: bytes, purpose: bytes) -> tuple[bytes, bytes | None]:
    """Return the plain message and the public key that signed it, None where nobody did.

    Raises:
        InputError: there is a signature, and it is false.
    """
    if not message.startswith(SIGNED):
        return message, None
    head, plain = message[len(SIGNED) : SIGNED_HEADER], message[SIGNED_HEADER:]
    key, signature = head[:_KEY], head[_KEY:]
    if len(signature) != _SIGNATURE or not verify(plain, purpose, key=key, signature=signature):
        raise InputError("message: the signature is false")
    return plain, key


def verify(message: bytes, purpose: bytes, *, key: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is that of the public `key` for `message` and `purpose`."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, purpose + message)
    except (InvalidSignature, ValueError):
        return False
    return True
