"""Sealed messages: only the holder of an Ed25519 key can read one, and only he can answer.

Whoever seals makes an X25519 key for this one message, and agrees with the receiver's key on
two secrets, one for the message and one for its answer (RFC 7748; HKDF, RFC 5869;
ChaCha20-Poly1305, RFC 8439). The receiver's Ed25519 key stands on a curve that is the same as
X25519's but for its coordinates (RFC 7748, 4.1), so that one key is enough for him.
"""

from dataclasses import dataclass
from hashlib import sha512
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from netwatch.model.errors import InputError
from netwatch.wire.signing import Signer

_PRIME = 2**255 - 19
_KEY = 32
_NONCE = bytes(12)
"""Whoever seals makes a secret for one message, so that this nonce is used once with each."""
_DRAWN = 12
"""Bytes of an answer's nonce. It is drawn: whoever repeats a sealed message that he wrote down
on the way has it answered again, perhaps otherwise, with the same secret."""


@dataclass(frozen=True, slots=True)
class ReplyKey:
    """The secret that both ends of a sealed message share for its one answer."""

    secret: bytes

    def close(self, answer: bytes) -> bytes:
        """Return the answer, encrypted."""
        nonce = token_bytes(_DRAWN)
        return nonce + ChaCha20Poly1305(self.secret).encrypt(nonce, answer, None)

    def open(self, message: bytes) -> bytes:
        """Return the answer in a message.

        Raises:
            InputError: it does not come from whom we asked.
        """
        try:
            nonce, closed = message[:_DRAWN], message[_DRAWN:]
            return ChaCha20Poly1305(self.secret).decrypt(nonce, closed, None)
        except (InvalidTag, ValueError) as error:
            raise InputError("answer: not from whom we asked") from error


def seal(message: bytes, receiver: bytes) -> tuple[bytes, ReplyKey]:
    """Return `message` so that only `receiver` reads it, and what opens his answer.

    Args:
        message: what to send.
        receiver: his Ed25519 public key, 32 bytes.

    Raises:
        InputError: that is no key.
    """
    passing = X25519PrivateKey.generate()
    public = passing.public_key().public_bytes_raw()
    try:
        shared = passing.exchange(X25519PublicKey.from_public_bytes(_to_x25519(receiver)))
    except ValueError as error:
        raise InputError("the receiver's key is none") from error
    own, reply = _secrets(shared, public, receiver)
    return public + ChaCha20Poly1305(own).encrypt(_NONCE, message, None), reply


def open_sealed(sealed: bytes, signer: Signer) -> tuple[bytes, ReplyKey]:
    """Return what was sealed for `signer`'s key, and what closes the answer.

    Raises:
        InputError: it is damaged, or sealed for somebody else.
    """
    public, closed = sealed[:_KEY], sealed[_KEY:]
    # RFC 8032, 5.1.5: the scalar is the lower half of the seed's hash; X25519 clamps it.
    mine = X25519PrivateKey.from_private_bytes(sha512(signer.seed()).digest()[:_KEY])
    try:
        shared = mine.exchange(X25519PublicKey.from_public_bytes(public))
        own, reply = _secrets(shared, public, signer.public)
        return ChaCha20Poly1305(own).decrypt(_NONCE, closed, None), reply
    except (InvalidTag, ValueError) as error:
        raise InputError("message: damaged, or not sealed for us") from error


def _secrets(shared: bytes, passing: bytes, receiver: bytes) -> tuple[bytes, ReplyKey]:
    """Return the secrets for the message and for its answer."""
    spread = HKDF(SHA256(), 2 * _KEY, salt=passing + receiver, info=b"netwatch-sealed-v1")
    both = spread.derive(shared)
    return both[:_KEY], ReplyKey(both[_KEY:])


def _to_x25519(key: bytes) -> bytes:
    """Return an Ed25519 public key in X25519's coordinates: u = (1 + y) / (1 - y).

    Raises:
        ValueError: it is no key.
    """
    height = int.from_bytes(key, "little") & (2**255 - 1)
    if len(key) != _KEY or height % _PRIME == 1:
        raise ValueError("no key")
    place = (1 + height) * pow(1 - height, -1, _PRIME) % _PRIME
    return place.to_bytes(_KEY, "little")
