"""Locks between processes: shared ones together, an exclusive one alone."""

from pathlib import Path

import pytest

from netwatch.model.errors import StoreError
from netwatch.storage.file_lock import lock_file


def test_shared_locks_exclude_an_exclusive_one_until_all_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "users"
    shared = [lock_file(path, busy="", shared=True) for _ in range(2)]
    shared[0].close()
    with pytest.raises(StoreError, match="in use"):
        lock_file(path, busy="in use")
    shared[1].close()
    lock_file(path, busy="in use").close()


def test_an_exclusive_lock_excludes_another(tmp_path: Path) -> None:
    with lock_file(tmp_path / "lock", busy=""), pytest.raises(StoreError, match="busy"):
        lock_file(tmp_path / "lock", busy="busy")


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="none/lock: cannot be opened"):
        lock_file(tmp_path / "none" / "lock", busy="")
