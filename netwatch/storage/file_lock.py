"""Locks between processes, each on a file of its own that stays empty."""

import fcntl
from pathlib import Path
from typing import IO

from netwatch.model.errors import StoreError, os_errors_as
from netwatch.storage.private_files import create_private


def lock_file(path: Path, *, busy: str, shared: bool = False) -> IO[str]:
    """Lock the file at `path`, created if missing, until the returned file is closed.

    Args:
        path: the file.
        busy: the error's text if another process has the lock.
        shared: any number of processes may have a shared lock at once.

    Raises:
        StoreError: another process has the lock, or the file cannot be opened.
    """
    with os_errors_as(StoreError, f"{path}: cannot be opened"):
        create_private(path)
        file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreError(busy) from error
    return file
