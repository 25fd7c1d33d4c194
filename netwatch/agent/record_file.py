"""Records of a vantage, each in a private JSON file that is replaced as a whole."""

from pathlib import Path
from typing import TypeVar

import msgspec

from netwatch.model.errors import ConfigError, InputError, os_errors_as
from netwatch.storage.private_files import FOLDER_MODE, write_private
from netwatch.wire.message_format import decode

_MAX_RECORD_BYTES = 1024 * 1024
_T = TypeVar("_T")


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
