"""Private files: writes that fail, and files that are gone."""

import errno
import os
from pathlib import Path

import pytest

from netwatch.storage.private_files import close_to_others, write_private


@pytest.mark.parametrize(
    ("call", "overwrite"), [("fsync", True), ("fsync", False), ("link", False)]
)
def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, *, overwrite: bool
) -> None:
    path = tmp_path / "secret"
    write_private(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"new", overwrite=overwrite)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("secret", b"old")]


def test_without_overwriting_the_first_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for content in (b"first", b"second"):
        write_private(path, content, overwrite=False)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("secret", b"first")]


def test_a_file_that_is_gone_is_open_to_nobody(tmp_path: Path) -> None:
    """Another process may close a database, and so delete its log, at any moment."""
    assert not close_to_others(tmp_path / "batches.sqlite-wal")
