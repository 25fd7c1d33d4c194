"""The stores that keep the contract of `SeriesStore`: add a parameter, and yours is held too.

Each parameter is a function that takes an empty folder and yields a fresh, empty store; a
store on a server makes itself empty. What it needs and does not find is a named skip, or a
failure in CI.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from influx_front import front_of_version_2
from influx_servers import AS_CORE, fresh_login, named_login, open_store

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


@contextmanager
def influx_store(folder: Path) -> Iterator[SeriesStore]:
    with fresh_login() as login:
        store = open_store(login)
        yield store
        store.close()


@contextmanager
def influx_store_like_core(folder: Path) -> Iterator[SeriesStore]:
    with fresh_login() as login:
        store = open_store(login, dialect=AS_CORE, page=50)
        yield store
        store.close()


@contextmanager
def influx_store_by_client(folder: Path) -> Iterator[SeriesStore]:
    with fresh_login() as login, front_of_version_2(login) as front:
        store = open_store(front)
        yield store
        store.close()


@contextmanager
def influx_store_named(folder: Path) -> Iterator[SeriesStore]:
    with named_login() as login:
        store = open_store(login)
        yield store
        store.close()


STORES = [
    pytest.param(memory_store, id="memory"),
    pytest.param(sqlite_store, id="sqlite"),
    pytest.param(influx_store, id="influx"),
    pytest.param(influx_store_like_core, id="influx-like-core"),
    pytest.param(influx_store_by_client, id="influx-by-client"),
]
if os.environ.get("NETWATCH_TEST_INFLUX_URL"):
    STORES.append(pytest.param(influx_store_named, id="influx-named"))
