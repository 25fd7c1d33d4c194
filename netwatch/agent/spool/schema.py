"""The spool's file: its tables, and what is done about a damaged one."""

import logging
import shutil
from datetime import datetime
from pathlib import Path

from netwatch.agent.private_files import create_private
from netwatch.model.errors import StoreError
from netwatch.storage.sqlite_file import Schema, SqliteFile, UnavailableError

_log = logging.getLogger("netwatch.agent.spool.spool")
_KEPT_FREE = 200 * 1024 * 1024
_KEPT_SHARE = 10
"""A tenth of the disk, at most 200 MiB, is left to others."""
_LEAST_ROOM = 512 * 1024
_PIECES = ("", "-wal", "-shm")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS live (
    id INTEGER PRIMARY KEY,
    row BLOB NOT NULL,
    timeline INTEGER
);
CREATE TABLE IF NOT EXISTS timeline (
    id INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    shift INTEGER NOT NULL,
    began INTEGER NOT NULL,
    UNIQUE (boot, shift)
);
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    payload BLOB NOT NULL,
    rows INTEGER NOT NULL,
    tier INTEGER NOT NULL DEFAULT 0,
    refused TEXT
);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting ON batch (sequence) WHERE refused IS NULL;
CREATE INDEX IF NOT EXISTS tiers ON batch (tier, sequence);
"""


def open_or_quarantine(path: Path, born: datetime) -> SqliteFile:
    """Open the spool; a file that is damaged is kept under another name."""
    try:
        create_private(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    try:
        database = SqliteFile(path, Schema(_SCHEMA), durable=False)
        with database.translate_errors():
            found = database.connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found == "ok":
            return _brought_up(database)
        reason = found
        database.close()
    except UnavailableError:
        raise
    except StoreError as error:
        if not path.exists():
            raise
        reason = str(error)
    aside = path.with_name(f"{path.name}.damaged-{born:%Y%m%dT%H%M%S}")
    _log.error("spool: %s is damaged (%s); kept as %s, beginning anew", path, reason, aside.name)
    for ending in _PIECES:
        piece = path.with_name(path.name + ending)
        if piece.exists():
            piece.rename(aside.with_name(aside.name + ending))
    create_private(path)
    return SqliteFile(path, Schema(_SCHEMA), durable=False)


def free_bytes(path: Path) -> int:
    """Return how many bytes the spool may take of its disk, at least what it has already.

    Raises:
        StoreError: the disk cannot be asked.
    """
    try:
        disk = shutil.disk_usage(path.parent)
        pieces = [path.with_name(path.name + ending) for ending in _PIECES]
        own = sum(piece.stat().st_size for piece in pieces if piece.exists())
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    return max(own + disk.free - min(disk.total // _KEPT_SHARE, _KEPT_FREE), own, _LEAST_ROOM)


def _brought_up(database: SqliteFile) -> SqliteFile:
    """Add what files of before did not have."""
    with database.translate_errors():
        columns = {row[1] for row in database.connection.execute("PRAGMA table_info(live)")}
        if "timeline" not in columns:
            database.connection.execute("ALTER TABLE live ADD COLUMN timeline INTEGER")
    return database
