"""One SQLite file in WAL mode: opening, transactions, and one-line errors that name the file."""

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any, Self

from netwatch.model.errors import StoreError, os_errors_as
from netwatch.storage.private_files import create_private

_LOG = logging.getLogger(__name__)
BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's transaction."""
_LOG_BYTES = 1024 * 1024
"""Size to which SQLite truncates the write-ahead log after a checkpoint."""


class DamagedError(StoreError):
    """Raised when the file is not a database, or is corrupt."""


class ForeignError(StoreError):
    """Raised when the file is sound, but of another program or of another version of netwatch."""


class UnavailableError(StoreError):
    """Raised when the file is sound but cannot be used now: the disk is full, or it is locked."""


_ERRORS: Mapping[str, tuple[type[StoreError], str]] = {
    "SQLITE_FULL": (UnavailableError, "database or disk is full; nothing was written"),
    "SQLITE_BUSY": (UnavailableError, "another process has been writing for too long"),
    "SQLITE_LOCKED": (UnavailableError, "another process has been writing for too long"),
    "SQLITE_READONLY": (StoreError, "may not be written"),
    "SQLITE_CANTOPEN": (StoreError, "cannot be opened; does the folder exist, is it writable?"),
    "SQLITE_PERM": (StoreError, "may not be opened"),
    "SQLITE_CORRUPT": (DamagedError, "is damaged"),
    "SQLITE_NOTADB": (DamagedError, "is not a database"),
}


@contextmanager
def sqlite_errors_as_ours(path: Path) -> Iterator[None]:
    """Raise every `sqlite3.Error` of the block as a StoreError whose text names the file."""
    try:
        yield
    except sqlite3.Error as error:
        name = "_".join((getattr(error, "sqlite_errorname", None) or "").split("_")[:2])
        kind, text = _ERRORS.get(name, (StoreError, f"cannot be read or written: {error}"))
        raise kind(f"{path}: {text}") from error


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file holds.

    Attributes:
        statements: idempotent statements that create missing tables.
        application_id: marks files of one kind; a file of another kind is refused.
        version: a file of another version is refused.
    """

    statements: str
    application_id: int = 0
    version: int = 0


class SqliteFile:
    """One connection without implicit transactions; threads may share it.

    Args:
        path: the file, created for its owner alone if missing. Its folder must exist.
        schema: what the file holds.
        durable: whether every commit waits for the disk (`synchronous=FULL`). Without, a power
            cut may lose the last commits; a crash of the process loses none.
        pragmas: settings of the connection, applied before the schema.

    Attributes:
        path: the file.
        connection: for reads inside `translate_errors` and statements inside a transaction.

    Raises:
        StoreError: from every method: `DamagedError`, `UnavailableError`, or the file is that
            of another program or version.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        durable: bool,
        pragmas: Mapping[str, int | str] | None = None,
    ) -> None:
        self.path = path
        self._durable = durable
        self._lock = RLock()
        prepare_database(path)
        with self.translate_errors():
            self.connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        try:
            with self.translate_errors():
                self._check_format(schema)
                self._configure(pragmas or {})
                self._mark_format("application_id", schema.application_id)
                self._mark_format("user_version", schema.version)
                self.connection.executescript(schema.statements)
        except StoreError:
            self.connection.close()
            raise

    def read_number(self, query: str) -> int:
        """Return the only number that `query` yields."""
        with self._lock, self.translate_errors():
            return int(self.connection.execute(query).fetchone()[0])

    def fetch(
        self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[Any]:
        """Return all rows that `query` yields."""
        # SQLite crashes if another thread, whose task was cancelled, closes the file meanwhile.
        with self._lock, self.translate_errors():
            return self.connection.execute(query, parameters).fetchall()

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise every `sqlite3.Error` as a StoreError whose text names the file."""
        with sqlite_errors_as_ours(self.path):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read one state of the file, whatever other processes write meanwhile."""
        with self._run_transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Commit all that is written inside, or nothing after an exception.

        `durable` makes this commit wait for the disk.
        """
        wait_once = durable and not self._durable
        with self._lock:
            if wait_once:
                self._set_synchronous(durable=True)
            try:
                with self._run_transaction("BEGIN IMMEDIATE") as connection:
                    yield connection
            finally:
                if wait_once:
                    self._set_synchronous(durable=False)

    @contextmanager
    def secure_delete(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction; then no byte of what it deleted is left in the file or its log."""
        with self.translate_errors():
            self.connection.execute("PRAGMA secure_delete=ON")
        with self.transaction() as connection:
            yield connection
        with self.translate_errors():
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def shrink(self) -> None:
        """Return free pages to the disk if they are more than half of the file."""
        with self._lock, self.translate_errors():
            free = self.read_number("PRAGMA freelist_count")
            if 2 * free > self.read_number("PRAGMA page_count"):
                # A script runs to its end; `execute` would free one page.
                script = f"PRAGMA incremental_vacuum({free}); PRAGMA wal_checkpoint(PASSIVE);"
                self.connection.executescript(script)

    def close(self) -> None:
        """Close the connection."""
        with self._lock, self.translate_errors():
            self.connection.close()

    @contextmanager
    def _run_transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self.translate_errors():
            self.connection.execute(begin)
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def _check_format(self, schema: Schema) -> None:
        """Refuse a file of another program or version, or whose end is missing."""
        check_length(self.path, self.connection)
        if self.read_number("SELECT count(*) FROM sqlite_master") == 0:
            return
        if self.read_number("PRAGMA application_id") != schema.application_id:
            raise ForeignError(f"{self.path}: is a database of another program")
        version = self.read_number("PRAGMA user_version")
        if version != schema.version:
            age = "a newer" if version > schema.version else "an older"
            raise ForeignError(f"{self.path}: was written by {age} version of netwatch")

    def _mark_format(self, pragma: str, value: int) -> None:
        # Setting a number writes to the file, and waits for other writers, even if it is the same.
        if self.read_number(f"PRAGMA {pragma}") != value:
            self.connection.execute(f"PRAGMA {pragma}={value}")

    def _configure(self, pragmas: Mapping[str, int | str]) -> None:
        # The order counts: `page_size` (if given), then `auto_vacuum`, then WAL mode.
        settings = {"journal_size_limit": _LOG_BYTES, **pragmas, "auto_vacuum": "INCREMENTAL"}
        for name, value in (*settings.items(), ("journal_mode", "WAL")):
            self.connection.execute(f"PRAGMA {name}={value}")
        self._set_synchronous(durable=self._durable)

    def _set_synchronous(self, *, durable: bool) -> None:
        with self.translate_errors():
            self.connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")


def prepare_database(path: Path) -> None:
    """Create a missing database file for its owner alone; its log gets the same permissions.

    Raises:
        DamagedError: SQLite would use the file in silence, although a part of it is lost.
        StoreError: it cannot be opened.
    """
    log = path.with_name(f"{path.name}-wal")
    # The file is never opened here: closing it would drop the locks of this process's other
    # connections, and another process could then delete the log under them.
    with os_errors_as(StoreError, f"{path}: cannot be opened"):
        create_private(path)
        if not path.is_file():
            raise StoreError(f"{path}: cannot be opened: is not a file")
        is_lost = not path.stat().st_size and log.exists() and log.stat().st_size > 0
    if is_lost:
        raise DamagedError(f"{path}: is missing or empty, only its log {log.name} is there")


def check_length(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a database that ends within a page, where SQLite would read zeros.

    Raises:
        DamagedError: its end is missing, or it is not a database.
    """
    with sqlite_errors_as_ours(path):
        connection.execute("PRAGMA schema_version").fetchone()
        page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
    log = path.with_name(f"{path.name}-wal")
    with os_errors_as(StoreError, f"{path}: cannot be opened"):
        # With a log, a checkpoint may have been interrupted, and the next one continues it.
        has_log = log.exists() and log.stat().st_size > 0
        if not has_log and path.stat().st_size % page_bytes:
            raise DamagedError(f"{path}: is damaged: its end is missing")


def database_files(path: Path) -> list[Path]:
    """Return the existing files of the database at `path`: itself, its log and the log's index."""
    pieces = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    return [piece for piece in pieces if piece.exists()]


def rename_damaged(path: Path, now: datetime) -> Path:
    """Rename the files of a damaged database; return the new path.

    Raises:
        StoreError: they cannot be renamed.
    """
    damaged = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S}")
    with os_errors_as(StoreError, f"{path}: is damaged, and cannot be renamed"):
        for piece in database_files(path):
            piece.rename(damaged.with_name(piece.name.replace(path.name, damaged.name, 1)))
    return damaged


def open_or_replace(path: Path, schema: Schema, now: datetime) -> SqliteFile:
    """Open a database that can be done without; rename a damaged or foreign one and start anew.

    It is read once for damage, and not durable: a power cut may lose the last commits.

    Raises:
        StoreError: it cannot be opened or created, which is not its own fault.
    """
    try:
        database = SqliteFile(path, schema, durable=False)
        try:
            reason = str(database.fetch("PRAGMA quick_check(1)")[0][0])
        except StoreError:
            database.close()
            raise
        if reason == "ok":
            return database
        database.close()
    except (DamagedError, ForeignError) as error:
        reason = str(error)
    moved = rename_damaged(path, now)
    _LOG.error("%s is damaged (%s); renamed to %s, starting anew", path, reason, moved.name)
    return SqliteFile(path, schema, durable=False)


class SqliteStore:
    """Base of the classes that keep one SQLite file; closes it at the end of a `with` block."""

    def __init__(self, database: SqliteFile) -> None:
        self._database = database
        self._file = database.connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()
