"""One SQLite file in WAL mode, held by one thread at a time; errors name the file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netwatch.model.errors import StoreError

# Before anything is written: only an empty file takes the first of them.
_PRAGMAS = ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "journal_size_limit=1048576")


class SqliteFile:
    """A connection without implicit transactions.

    Args:
        path: the file; made where it is missing.
        schema: statements that make what is missing.
        durable: whether a commit waits for the disk (`synchronous=FULL`); without, a power
            cut may take the last commits, a crash of the process none.

    Raises:
        StoreError: the file cannot be opened or is no database.
    """

    def __init__(self, path: Path, schema: str, *, durable: bool) -> None:
        self.path = path
        with self.reading():
            self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self.reading():
                for pragma in _PRAGMAS:
                    self.connection.execute(f"PRAGMA {pragma}")
                self.set_durable(durable=durable)
                self.connection.executescript(schema)
        except StoreError:
            self.connection.close()
            raise

    def set_durable(self, *, durable: bool) -> None:
        """Choose whether commits from here on wait for the disk."""
        self.connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what SQLite raises into one StoreError that names the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Make one transaction of what is done inside: all of it, or nothing and an error."""
        with self.reading():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def erasing(self) -> Iterator[sqlite3.Connection]:
        """Make one transaction, after which the file holds no bytes of what was deleted in it."""
        with self.reading():
            self.connection.execute("PRAGMA secure_delete=ON")
        with self.writing() as connection:
            yield connection
        with self.reading():
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        self.connection.close()
