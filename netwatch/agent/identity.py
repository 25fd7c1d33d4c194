"""Who an agent is: an Ed25519 key made at its first start, and nothing of its machine."""

import os
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from netwatch.agent.private_files import FOLDER_MODE, is_accessible_to_others
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Batch
from netwatch.wire.batch_codec import pack_batch
from netwatch.wire.signing import BATCH, Signer

_MODE = 0o600
_ID_DIGITS = 32


class Identity:
    """A signer with a name.

    Attributes:
        signer: signs what we send.
        id: the first 16 bytes of the public key's SHA-256, in hexadecimal.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.signer = Signer(key)
        self.id = sha256(self.signer.public).hexdigest()[:_ID_DIGITS]

    def pack(self, batch: Batch) -> bytes:
        """Return a batch as a signed message; what a spool is given to pack with.

        Raises:
            InputError: the batch is too large.
        """
        return self.signer.sign(pack_batch(batch), BATCH)


def load_or_create_identity(path: Path) -> Identity:
    """Return the identity in `path`; made there at the first start, readable by us alone.

    Raises:
        ConfigError: the file is no key, cannot be read or made, or others may read it.
    """
    try:
        if not path.exists():
            _make(path)
        if is_accessible_to_others(path):
            raise ConfigError(f"{path}: others may read this key; run: chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: holds no key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: holds a key that is not Ed25519")
    return Identity(key)


def _make(path: Path) -> None:
    """Write a new key, whole or not at all, and never over another."""
    path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    # A start that was cut short may have left one; in a container all starts have one number.
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(unfinished, path)
    except FileExistsError:
        pass  # another start was quicker; its key it is
    finally:
        unfinished.unlink()
