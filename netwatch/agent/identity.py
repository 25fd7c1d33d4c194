"""An agent's identity: an Ed25519 key that its first start creates; nothing about its machine."""

from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.model.errors import ConfigError, os_errors_as
from netwatch.model.measurement import Batch
from netwatch.storage.private_files import FOLDER_MODE, is_accessible_to_others, write_private
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import Signer

_ID_DIGITS = 32
"""Hexadecimal digits of an id: 128 bits."""


class Identity:
    """A signer; `id` is the first 16 bytes of the public key's SHA-256, in hexadecimal."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.signer = Signer(key)
        self.id = sha256(self.signer.public).hexdigest()[:_ID_DIGITS]

    def pack(self, batch: Batch) -> bytes:
        """Return the signed payload of a batch; raises InputError if it is too large."""
        return BATCH.pack(batch, self.signer)


def load_or_create_identity(path: Path) -> Identity:
    """Return the identity in `path`; a missing file is created, readable by its owner alone.

    Raises ConfigError if that fails, if the file is not a key, or if others may read it.
    """
    with os_errors_as(ConfigError, str(path)):
        if not path.exists():
            _create(path)
    return load_identity(path)


def load_identity(path: Path) -> Identity:
    """Return the identity in `path`; raises ConfigError like `load_or_create_identity`."""
    try:
        if is_accessible_to_others(path):
            raise ConfigError(f"{path}: others may read this key; run: chmod 600 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: is not a private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: is not an Ed25519 key")
    return Identity(key)


def _create(path: Path) -> None:
    path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, pem, overwrite=False)
