"""Batches in a file, for when no link gets through: whoever carries it needs no trust.

The file is a line of text, then messages with their lengths before them. The messages are
signed, so that nobody on the way can change them.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from netwatch.model.errors import InputError
from netwatch.wire.envelope import LARGEST_MESSAGE

__all__ = ["read_export", "write_export"]

_MAGIC = b"netwatch export 1\n"
_LENGTH = struct.Struct("!I")


def write_export(path: Path, messages: Iterable[bytes]) -> int:
    """Write `messages` to `path`, whole or not at all, and return how many they are.

    Raises:
        InputError: the file cannot be written.
    """
    count = 0
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(_MAGIC)
            for message in messages:
                file.write(_LENGTH.pack(len(message)) + message)
                count += 1
        part.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    return count


def read_export(path: Path) -> Iterator[bytes]:
    """Yield the messages in an export, one after another.

    Raises:
        InputError: the file cannot be read, is no export, or ends in the middle.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise InputError(f"{path}: is no export of netwatch")
            while head := file.read(_LENGTH.size):
                length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
                if not 0 < length <= LARGEST_MESSAGE:
                    raise InputError(f"{path}: damaged at byte {file.tell()}")
                message = file.read(length)
                if len(message) < length:
                    raise InputError(f"{path}: ends in the middle of a batch")
                yield message
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
