"""Messages in a file, for a vantage without any working transport; the carrier need not be trusted.

The file is a line of text, then signed messages, each with its length before it. An export holds
batches; the receipts that return hold the collector's acknowledgements.
"""

import struct
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path

from netwatch.model.errors import InputError, os_errors_as
from netwatch.wire.signing import MAX_MESSAGE_BYTES

_LENGTH = struct.Struct("!I")
FRAME_HEADER_BYTES = _LENGTH.size
"""Bytes before each message in a file."""


class FileKind(Enum):
    """What a file holds; the value is its first line."""

    EXPORT = b"netwatch export 1\n"
    RECEIPTS = b"netwatch receipts 1\n"


def write_messages(path: Path, messages: Iterable[bytes], kind: FileKind) -> int:
    """Write signed messages to `path`, completely or not at all; return their number.

    Raises:
        InputError: the file cannot be written.
    """
    count = 0
    part = path.with_name(path.name + ".part")
    with os_errors_as(InputError, f"{path}: cannot be written"):
        with part.open("wb") as file:
            file.write(kind.value)
            for message in messages:
                file.write(_LENGTH.pack(len(message)) + message)
                count += 1
        part.rename(path)
    return count


def read_messages(path: Path, kind: FileKind) -> Iterator[bytes]:
    """Yield the messages in a file.

    Raises:
        InputError: the file cannot be read, is of another kind, or is damaged.
    """
    with os_errors_as(InputError, f"{path}: cannot be read"), path.open("rb") as file:
        if file.read(len(kind.value)) != kind.value:
            raise InputError(f"{path}: is not a netwatch {kind.name.lower()} file")
        while header := file.read(_LENGTH.size):
            length = _LENGTH.unpack(header)[0] if len(header) == _LENGTH.size else 0
            if not 0 < length <= MAX_MESSAGE_BYTES:
                raise InputError(f"{path}: damaged at byte {file.tell()}")
            message = file.read(length)
            if len(message) < length:
                raise InputError(f"{path}: ends in the middle of a message")
            yield message
