"""Files of a vantage that other users of the machine may not read, and records kept in them."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from netwatch.model.errors import ConfigError, InputError, os_errors_as
from netwatch.wire.message_format import decode

FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_OTHERS = 0o077
_MAX_RECORD_BYTES = 1024 * 1024
_T = TypeVar("_T")


def create_private(path: Path) -> None:
    """Create an empty file for its owner alone, if missing; raises OSError if that fails."""
    if not path.exists():
        path.touch(_FILE_MODE)


def write_private(path: Path, content: bytes, *, overwrite: bool = True) -> None:
    """Write a file for its owner alone, completely or not at all, or raise OSError.

    Without `overwrite`, the file that another process wrote first stays.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    # A killed process may have left one; in a container every start has the same process id.
    part.unlink(missing_ok=True)
    try:
        _write_new(part, content)
        if overwrite:
            part.replace(path)
        else:
            with suppress(FileExistsError):
                os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write_new(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def is_accessible_to_others(path: Path) -> bool:
    """Return whether anyone but the owner has any permission on a file or folder."""
    return bool(path.stat().st_mode & _OTHERS)


def read_record(path: Path, kind: type[_T]) -> _T | None:
    """Return the record in a JSON file, None without a file; raises ConfigError if unreadable."""
    try:
        decoder = msgspec.json.Decoder(kind).decode
        return decode(path.read_bytes(), decoder, what=str(path), limit=_MAX_RECORD_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except InputError as error:
        raise ConfigError(str(error)) from error


def write_record(path: Path, record: object) -> None:
    """Write JSON, completely or not at all, and its folder; raises ConfigError if that fails."""
    with os_errors_as(ConfigError, f"{path}: cannot be written"):
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        write_private(path, msgspec.json.encode(record))
