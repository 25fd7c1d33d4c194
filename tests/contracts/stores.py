"""The stores that keep the contract of `SeriesStore`: add a parameter, and yours is held too.

Each parameter is a function that takes an empty folder and yields a fresh, empty store; a
store on a server makes itself empty. What it needs and does not find is a named skip, or a
failure in CI.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netwatch.protocols import SeriesStore
from netwatch.store.memory import MemoryStore
from netwatch.store.sqlite import SqliteStore

__all__ = ["STORES"]


@contextmanager
def memory_store(folder: Path) -> Iterator[SeriesStore]:
    yield MemoryStore()


@contextmanager
def sqlite_store(folder: Path) -> Iterator[SeriesStore]:
    store = SqliteStore(folder / "series.sqlite")
    yield store
    store.close()


STORES = [
    pytest.param(memory_store, id="memory"),
    pytest.param(sqlite_store, id="sqlite"),
]
