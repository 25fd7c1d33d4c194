"""The SQLite file: opening it, transactions, and what its errors mean."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import IO

from netwatch.model.errors import StoreError

_APPLICATION = 0x4E575331  # "NWS1": tells our files from other people's SQLite files
_MAGIC = b"SQLite format 3\0"
_VERSION = 1
_PATIENCE = 30.0  # seconds to wait for another process's write


class DamagedError(StoreError):
    """Raised when the file is no longer a database, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of rows: the table's name, and the columns of numbers that a row has."""

    name: str
    columns: tuple[str, ...]

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.columns)

    def sql(self, text: str) -> str:
        """Return `text` with the table's name in place of every `@`."""
        return text.replace("@", self.name)


BINS = Table("bins", ("value", "total"))
"""A bin without a total has NaN there."""

LEVELS = Table(
    "levels",
    ("value", "low", "high", "probability", "coverage", "networks", "baseline_number"),
)
"""None is NaN; a baseline is the number of its text."""

TABLES = (BINS, LEVELS)

_SCHEMA = f"""
create table if not exists series (
    ordinal integer primary key,
    id integer not null unique,
    area text not null,
    signal text not null,
    kind text not null,
    code text not null,
    unique (signal, kind, code)
);
create table if not exists text (id integer primary key, text text not null unique);
create table if not exists bins (
    time integer not null, block integer not null, data blob not null,
    primary key (time, block)
) without rowid;
create table if not exists levels (
    time integer not null, block integer not null, data blob not null,
    primary key (time, block)
) without rowid;
create table if not exists promise (
    one integer primary key check (one = 1), closed_until integer not null
);
create table if not exists touched (day integer primary key, version integer not null);
create table if not exists sealed (
    line integer primary key,
    day integer not null,
    kind text not null,
    file text not null,
    entry text not null
);
create index if not exists sealed_day on sealed (kind, day, line);
pragma application_id = {_APPLICATION};
pragma user_version = {_VERSION};
"""


class Database:
    """One connection, shared by the threads of a process, one transaction at a time.

    Raises:
        StoreError: from every method, in one line that names the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error
        _refuse_torn(path)
        self._users = _register_user(path)
        with explain(path):
            self._connection = sqlite3.connect(
                path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
        try:
            with explain(path):
                self._prepare()
        except StoreError:
            self.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        application = run("pragma application_id").fetchone()[0]
        version = run("pragma user_version").fetchone()[0]
        tables = run("select count(*) from sqlite_master").fetchone()[0]
        if tables and application != _APPLICATION:
            raise StoreError(f"{self.path}: is a database, but not a store of netwatch")
        if version > _VERSION:
            raise StoreError(f"{self.path}: was written by a newer netwatch; update this one")
        run("pragma page_size = 32768")
        run("pragma auto_vacuum = incremental")
        run("pragma journal_mode = wal")
        run("pragma synchronous = normal")
        run("pragma cache_size = -65536")
        run("pragma journal_size_limit = 67108864")
        if version < _VERSION:
            self._connection.executescript(f"begin immediate; {_SCHEMA} commit;")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold one snapshot: whatever others write meanwhile is not seen."""
        with self._transaction("begin") as connection:
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Write all or nothing; `durable` has it on the disk before this returns."""
        if durable:
            self._connection.execute("pragma synchronous = full")
        try:
            with self._transaction("begin immediate") as connection:
                yield connection
        finally:
            if durable:
                self._connection.execute("pragma synchronous = normal")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, explain(self.path):
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    def give_back(self) -> None:
        """Return empty pages to the disk where they are more than those in use."""
        with self._lock, explain(self.path):
            run = self._connection.execute
            free = run("pragma freelist_count").fetchone()[0]
            pages = run("pragma page_count").fetchone()[0]
            if 2 * free > pages:
                # A script is stepped to its end; `execute` would give back one page.
                script = f"pragma incremental_vacuum({free}); pragma wal_checkpoint(passive);"
                self._connection.executescript(script)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, explain(self.path):
            self._connection.close()
        self._users.close()


def _refuse_torn(path: Path) -> None:
    """Raise for a file that ends within a page, which SQLite itself would fill with zeros.

    Raises:
        DamagedError: the file was cut.
        StoreError: it may not be read.
    """
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            head = file.read(18)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
    page = int.from_bytes(head[16:18], "big") or 1
    page = 65536 if page == 1 else page
    if head[:16] == _MAGIC and path.stat().st_size % page:
        raise DamagedError(f"{path}: is damaged: its end is missing")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep everybody else from opening the file at `path` meanwhile.

    Raises:
        StoreError: somebody has it open.
    """
    with _register_user(path) as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"{path}: is damaged, and still in use; stop netwatch first"
            ) from error
        yield


def _register_user(path: Path) -> IO[str]:
    """Say to others that the file at `path` is in use, until what is returned is closed."""
    lock = path.with_name(f"{path.name}.users")
    try:
        users = lock.open("a")
    except OSError as error:
        raise StoreError(f"{lock}: cannot be opened: {error.strerror}") from error
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


@contextmanager
def explain(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about `path` into one line that says what to do.

    Raises:
        StoreError: in place of every `sqlite3.Error`.
    """
    try:
        yield
    except sqlite3.Error as error:
        kind = DamagedError if _base_name(error) in _DAMAGED else StoreError
        raise kind(f"{path}: {_meaning(error)}") from error


_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}
_MEANINGS = {
    "SQLITE_FULL": "the disk is full; nothing of this write was kept",
    "SQLITE_BUSY": "another process has been writing for too long; is a second one running?",
    "SQLITE_LOCKED": "another process has been writing for too long; is a second one running?",
    "SQLITE_READONLY": "may not be written",
    "SQLITE_CANTOPEN": "cannot be opened; does the folder exist, and may it be written?",
    "SQLITE_PERM": "may not be opened",
    "SQLITE_CORRUPT": "is damaged; run netwatch store check",
    "SQLITE_NOTADB": "is no database; run netwatch store check",
}


def _meaning(error: sqlite3.Error) -> str:
    return _MEANINGS.get(_base_name(error), f"cannot be read or written: {error}")


def _base_name(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    return "_".join(name.split("_")[:2])
