"""The ledger's database: an SQLAlchemy engine, its transactions, and one-line errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from netwatch.model.errors import StoreError, one_line
from netwatch.storage.private_files import FOLDER_MODE
from netwatch.storage.sqlite_file import prepare_database

METADATA = sql.MetaData()
"""The tables of the ledger; each is defined in the file that uses it."""
_BUSY_TIMEOUT = 30
"""Seconds to wait for another process's transaction, far longer than one takes."""


class Database:
    """Transactions in one database, named by an SQLAlchemy URL.

    Missing tables are created. An SQLite file runs in WAL mode with synchronous commits.

    Raises:
        StoreError: from every method, if the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        with _one_line_errors("open"):
            self.engine = _open_engine(url)
            with self._write_transaction() as connection:
                METADATA.create_all(connection)

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """Open a transaction that sees one state of the database."""
        with _one_line_errors("read"), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """Open a transaction that holds the write lock from its start."""
        with _one_line_errors("write"), self._write_transaction() as connection:
            yield connection

    @contextmanager
    def _write_transaction(self) -> Iterator[sql.Connection]:
        opened = self.engine.connect().execution_options(immediate=True)
        with opened as connection, connection.begin():
            yield connection


@contextmanager
def _one_line_errors(verb: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, msgspec.MsgspecError, ImportError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"ledger: cannot {verb}: {one_line(cause)}") from error


def _open_engine(url: str) -> sql.Engine:
    parsed = sql.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sql.create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        path = Path(parsed.database)
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        prepare_database(path)
    engine = sql.create_engine(parsed, connect_args={"timeout": _BUSY_TIMEOUT})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sql.PoolProxiedConnection, _record: object) -> None:
    """Leave transactions to `_begin_sqlite`, and set the durable, concurrent mode."""
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3's own attribute
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode")
    if cursor.fetchone() != ("wal",):
        # Changing the mode locks the whole file, so only the first connection does.
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: sql.Connection) -> None:
    """Begin as a writer if asked, so that two writers queue instead of failing midway."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
