"""Batches in a file, for when no link gets through: whoever carries it needs no trust.

The file is a line of text, then messages with their lengths before them. The messages are
signed, so that nobody on the way can change them. The answers go back in a file alike, the
receipts.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from netwatch.model.errors import InputError
from netwatch.wire.batch_codec import MAX_MESSAGE_BYTES

_EXPORT = b"netwatch export 1\n"
_RECEIPTS = b"netwatch receipts 1\n"
_LENGTH = struct.Struct("!I")
FRAME_HEADER_BYTES = _LENGTH.size
"""Bytes that a message takes in a file besides its own."""


def write_export(path: Path, messages: Iterable[bytes]) -> int:
    """Write batches to `path`, whole or not at all, and return how many they are.

    Raises:
        InputError: the file cannot be written.
    """
    return _write(path, messages, _EXPORT)


def write_receipts(path: Path, messages: Iterable[bytes]) -> int:
    """Write signed acknowledgements to `path`, and return how many they are.

    Raises:
        InputError: the file cannot be written.
    """
    return _write(path, messages, _RECEIPTS)


def read_export(path: Path) -> Iterator[bytes]:
    """Yield the batches in an export, one after another.

    Raises:
        InputError: the file cannot be read, is no export, or ends in the middle.
    """
    return _read(path, _EXPORT, "no export of netwatch")


def read_receipts(path: Path) -> Iterator[bytes]:
    """Yield the acknowledgements in a file of receipts, one after another.

    Raises:
        InputError: the file cannot be read, holds no receipts, or ends in the middle.
    """
    return _read(path, _RECEIPTS, "no file of receipts of netwatch")


def _write(path: Path, messages: Iterable[bytes], begin: bytes) -> int:
    count = 0
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(begin)
            for message in messages:
                file.write(_LENGTH.pack(len(message)) + message)
                count += 1
        part.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    return count


def _read(path: Path, begin: bytes, otherwise: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            if file.read(len(begin)) != begin:
                raise InputError(f"{path}: is {otherwise}")
            while head := file.read(_LENGTH.size):
                length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
                if not 0 < length <= MAX_MESSAGE_BYTES:
                    raise InputError(f"{path}: damaged at byte {file.tell()}")
                message = file.read(length)
                if len(message) < length:
                    raise InputError(f"{path}: ends in the middle of a batch")
                yield message
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
