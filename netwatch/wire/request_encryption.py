"""Encrypts requests to the collector, and its replies, with HPKE (RFC 9180).

The collector's X25519 key is derived from its Ed25519 key, so one key file is enough. A request
carries a one-time public key; only the collector can read that key and encrypt a reply to it.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from netwatch.model.errors import InputError
from netwatch.wire.signing import Signer

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_REQUEST, _REPLY = b"netwatch-request-v2", b"netwatch-reply-v2"
_KEY_BYTES = 32


def encryption_key(signer: Signer) -> bytes:
    """Return the public key to which requests for `signer` are encrypted, 32 bytes."""
    return _private_key(signer).public_key().public_bytes_raw()


def encrypt_request(message: bytes, public_key: bytes) -> tuple[bytes, X25519PrivateKey]:
    """Encrypt `message` to the collector's `encryption_key`; return it and the reply's key.

    Raises:
        InputError: `public_key` is not a key.
    """
    reply_key = X25519PrivateKey.generate()
    plain = reply_key.public_key().public_bytes_raw() + message
    return _encrypt(plain, public_key, _REQUEST), reply_key


def decrypt_request(request: bytes, signer: Signer) -> tuple[bytes, bytes]:
    """Return a request's message, and the public key to which its reply is encrypted.

    Raises:
        InputError: it is damaged, or encrypted to another key.
    """
    plain = _decrypt(request, _private_key(signer), _REQUEST, what="request")
    return plain[_KEY_BYTES:], plain[:_KEY_BYTES]


def encrypt_reply(message: bytes, reply_key: bytes) -> bytes:
    """Return `message` encrypted to the public key of a request.

    Raises:
        InputError: `reply_key` is not a key.
    """
    return _encrypt(message, reply_key, _REPLY)


def decrypt_reply(reply: bytes, reply_key: X25519PrivateKey) -> bytes:
    """Return a reply's message.

    Raises:
        InputError: it is damaged, or the reply to another request.
    """
    return _decrypt(reply, reply_key, _REPLY, what="reply")


def _private_key(signer: Signer) -> X25519PrivateKey:
    derivation = HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"netwatch-encryption-key-v1")
    return X25519PrivateKey.from_private_bytes(derivation.derive(signer.private_bytes()))


def _encrypt(plain: bytes, public_key: bytes, purpose: bytes) -> bytes:
    try:
        return _SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(public_key), purpose)
    except ValueError as error:
        raise InputError("encryption: not an X25519 key") from error


def _decrypt(sealed: bytes, key: X25519PrivateKey, purpose: bytes, *, what: str) -> bytes:
    try:
        return _SUITE.decrypt(sealed, key, purpose)
    except (InvalidTag, ValueError) as error:
        raise InputError(f"{what}: damaged, or encrypted to another key") from error
