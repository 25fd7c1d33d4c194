"""Batches in a file, for a vantage without any working transport; the carrier need not be trusted.

The file is a line of text, then messages, each with its length before it. The messages are
signed. The collector's acknowledgements return in a file of the same form: the receipts.
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
"""Bytes before each message in a file."""


def write_export(path: Path, batches: Iterable[bytes]) -> int:
    """Write signed batches to `path`, completely or not at all; return their number.

    Raises:
        InputError: the file cannot be written.
    """
    return _write(path, batches, _EXPORT)


def write_receipts(path: Path, acks: Iterable[bytes]) -> int:
    """Write signed acknowledgements to `path`; return their number.

    Raises:
        InputError: the file cannot be written.
    """
    return _write(path, acks, _RECEIPTS)


def read_export(path: Path) -> Iterator[bytes]:
    """Yield the batches of an export.

    Raises:
        InputError: the file cannot be read, is not an export, or is damaged.
    """
    return _read(path, _EXPORT, "an export")


def read_receipts(path: Path) -> Iterator[bytes]:
    """Yield the acknowledgements of a receipts file.

    Raises:
        InputError: the file cannot be read, is not a receipts file, or is damaged.
    """
    return _read(path, _RECEIPTS, "a receipts file")


def _write(path: Path, messages: Iterable[bytes], magic: bytes) -> int:
    count = 0
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(magic)
            for message in messages:
                file.write(_LENGTH.pack(len(message)) + message)
                count += 1
        part.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    return count


def _read(path: Path, magic: bytes, kind: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            if file.read(len(magic)) != magic:
                raise InputError(f"{path}: is not {kind} of netwatch")
            while header := file.read(_LENGTH.size):
                length = _LENGTH.unpack(header)[0] if len(header) == _LENGTH.size else 0
                if not 0 < length <= MAX_MESSAGE_BYTES:
                    raise InputError(f"{path}: damaged at byte {file.tell()}")
                message = file.read(length)
                if len(message) < length:
                    raise InputError(f"{path}: ends in the middle of a message")
                yield message
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
