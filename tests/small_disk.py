"""A file system of its own, to be filled or made read-only."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, *, megabytes: int = 6) -> Iterator[Path]:
    """Mount a small file system at a new folder."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", place]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a disk to fill: mounting a tmpfs needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def make_read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


def fill_disk(place: Path, *, leave: int = 0) -> Path:
    """Write a file that leaves so many bytes free."""
    filler = place / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(place).free - leave))
    return filler
