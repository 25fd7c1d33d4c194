"""Files that no other user of the machine may read, whatever the umask."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_OTHERS = 0o077
_LONGEST_WRITE = 600.0
"""Seconds after which a part is no longer being written: each has a few megabytes at most."""


def create_private(path: Path) -> None:
    """Create an empty file for its owner alone, if missing; raises OSError if that fails."""
    if path.exists():
        return
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))


def write_private(path: Path, content: bytes, *, overwrite: bool = True) -> None:
    """Write a file for its owner alone, completely or not at all, or raise OSError.

    Without `overwrite`, the file that another process wrote first stays.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        _write_new(part, content)
        _delete_leftovers(path, before=part.stat().st_mtime - _LONGEST_WRITE)
        if overwrite:
            part.replace(path)
        else:
            with suppress(FileExistsError):
                os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def _delete_leftovers(path: Path, *, before: float) -> None:
    """Delete the parts of killed processes; other processes and threads may be writing theirs."""
    for part in path.parent.glob(f"{path.name}.*.part"):
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < before:
                part.unlink()


def _write_new(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def close_to_others(path: Path) -> bool:
    """Take all permissions on a file or folder from everyone but its owner.

    Return whether anyone had one; raises OSError if they cannot be taken. A file that is gone, such
    as the log of a database that another process has just closed, has none.
    """
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS & 0o777)
    except FileNotFoundError:
        return False
    return bool(mode & _OTHERS)


def is_accessible_to_others(path: Path) -> bool:
    """Return whether anyone but the owner has any permission on a file or folder."""
    return bool(path.stat().st_mode & _OTHERS)
