"""Files that a vantage keeps for itself: nobody else on its machine may read them."""

import os
from pathlib import Path

FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_OTHERS = 0o077


def create_private(path: Path) -> None:
    """Make an empty file that its owner alone may use, where there is none.

    Raises:
        OSError: it cannot be made.
    """
    if not path.exists():
        path.touch(_FILE_MODE)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may use, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    # One that a write before us left may be open to others.
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:
        file.write(content)
    part.replace(path)


def is_accessible_to_others(path: Path) -> bool:
    """Tell whether anybody but its owner may enter a folder or read a file."""
    return bool(path.stat().st_mode & _OTHERS)
