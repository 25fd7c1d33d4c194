"""The SQLite file: transactions, durability, formats, and errors of one line."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from netwatch.model.errors import StoreError
from netwatch.storage.sqlite_file import DamagedError, Schema, SqliteFile, UnavailableError

SCHEMA = Schema("CREATE TABLE IF NOT EXISTS word (text TEXT)")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    opened = SqliteFile(tmp_path / "words.sqlite", SCHEMA, durable=False)
    yield opened
    opened.close()


def count(file: SqliteFile) -> int:
    return file.read_number("SELECT count(*) FROM word")


def test_a_transaction_that_raises_writes_nothing(file: SqliteFile) -> None:
    def fail() -> None:
        with file.transaction() as connection:
            connection.execute("INSERT INTO word VALUES ('lost')")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert count(file) == 0
    with file.transaction() as connection:
        connection.execute("INSERT INTO word VALUES ('kept')")
    assert count(file) == 1


def test_a_durable_transaction_changes_no_later_one(file: SqliteFile) -> None:
    with file.transaction(durable=True):
        assert file.read_number("PRAGMA synchronous") == 2
    with file.transaction():
        assert file.read_number("PRAGMA synchronous") == 1


def test_a_snapshot_does_not_see_later_writes(file: SqliteFile) -> None:
    other = sqlite3.connect(file.path)
    with file.snapshot():
        assert count(file) == 0
        other.execute("INSERT INTO word VALUES ('later')")
        other.commit()
        assert count(file) == 0
    assert count(file) == 1
    other.close()


def test_threads_wait_for_each_others_transactions(file: SqliteFile) -> None:
    def write() -> None:
        for _ in range(50):
            with file.transaction() as connection:
                connection.execute("INSERT INTO word VALUES ('x')")

    threads = [Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(file) == 200


def test_a_secure_delete_leaves_no_bytes(file: SqliteFile) -> None:
    with file.transaction() as connection:
        connection.execute("INSERT INTO word VALUES ('a secret that must go')")
    with file.secure_delete() as connection:
        connection.execute("DELETE FROM word")
    pieces = file.path.parent.glob("words.sqlite*")
    assert not any(b"a secret that must go" in piece.read_bytes() for piece in pieces)


def test_shrink_returns_free_pages_to_the_disk(file: SqliteFile) -> None:
    with file.transaction() as connection:
        connection.executemany("INSERT INTO word VALUES (?)", [("x" * 4096,)] * 200)
    with file.transaction() as connection:
        connection.execute("DELETE FROM word")
    file.shrink()
    assert file.read_number("PRAGMA page_count") < 10


def test_pragmas_apply_before_the_first_table(tmp_path: Path) -> None:
    pragmas = {"page_size": 32768, "journal_size_limit": 5_000_000}
    file = SqliteFile(tmp_path / "a.sqlite", SCHEMA, durable=True, pragmas=pragmas)
    assert file.read_number("PRAGMA page_size") == 32768
    assert file.read_number("PRAGMA journal_size_limit") == 5_000_000
    assert file.read_number("PRAGMA auto_vacuum") == 2
    assert file.read_number("PRAGMA synchronous") == 2
    file.close()


def test_only_files_of_the_same_program_and_version_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    schema = replace(SCHEMA, application_id=7, version=2)
    for _ in range(2):
        SqliteFile(path, schema, durable=False).close()
    for other, reason in [
        (replace(schema, application_id=8), "another program"),
        (replace(schema, version=1), "newer version of netwatch"),
        (replace(schema, version=3), "older version of netwatch"),
    ]:
        with pytest.raises(StoreError, match=reason):
            SqliteFile(path, other, durable=False)


def test_a_file_that_is_not_a_database_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database, only text" * 100)
    with pytest.raises(DamagedError, match=r"a\.sqlite: is not a database"):
        SqliteFile(path, SCHEMA, durable=False)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing.*: cannot be opened"):
        SqliteFile(tmp_path / "missing" / "a.sqlite", SCHEMA, durable=False)


def test_a_lock_that_is_never_released_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.storage.sqlite_file.BUSY_TIMEOUT", 0.1)
    file = SqliteFile(tmp_path / "a.sqlite", SCHEMA, durable=False)
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="another process"), file.transaction():
        pass
    other.close()
    file.close()


def test_a_full_file_is_named(file: SqliteFile) -> None:
    file.connection.execute("PRAGMA max_page_count = 3")
    with pytest.raises(UnavailableError, match="disk is full"), file.transaction() as connection:
        connection.executemany("INSERT INTO word VALUES (?)", [("x" * 4096,)] * 20)
    assert count(file) == 0
