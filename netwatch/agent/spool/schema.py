"""Opens the spool's file: its tables, its share of the disk, and what happens to a damaged one."""

import shutil
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from netwatch.model.errors import StoreError, os_errors_as
from netwatch.storage.sqlite_file import Schema, SqliteFile, database_files, open_or_replace

_RESERVED_BYTES = 200 * 1024 * 1024
_RESERVED_DIVISOR = 10
"""The spool leaves a tenth of the disk free, but at most 200 MiB."""
_MIN_BYTES = 512 * 1024
"""Bytes that the spool may use on any disk."""
_TABLES = """
CREATE TABLE IF NOT EXISTS measurement (
    id INTEGER PRIMARY KEY, row BLOB NOT NULL, segment INTEGER
);
CREATE TABLE IF NOT EXISTS segment (
    id INTEGER PRIMARY KEY,
    boot TEXT NOT NULL, shift INTEGER NOT NULL, after_sequence INTEGER NOT NULL,
    UNIQUE (boot, shift)
);
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL, rows INTEGER NOT NULL,
    level INTEGER NOT NULL DEFAULT 0, refused TEXT
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending ON batch (sequence) WHERE refused IS NULL;
CREATE INDEX IF NOT EXISTS levels ON batch (level, sequence);
"""
_SCHEMA = Schema(_TABLES, application_id=0x4E575350, version=1)  # "NWSP"


class MetaKey(StrEnum):
    """Names of the values in the spool's table `meta`; JSON, if nothing else is said."""

    AGENT_STATE = "agent_state"
    COLLECTOR = "collector"  # the collector's public key
    RATE_ADVICE = "rate_advice"  # the last valid message
    SESSION = "session"  # the number of the last session
    UPLINK = "uplink"  # the transport in use, and the status of each


def open_spool_file(path: Path, now: datetime) -> SqliteFile:
    """Open the spool; a damaged file is moved out of the way, and a new one started.

    Raises StoreError if the disk is full, or the file is locked or cannot be created.
    """
    return open_or_replace(path, _SCHEMA, now)


def usable_bytes(path: Path) -> int:
    """Return the bytes of the disk that the spool may use, those it uses now included."""
    with os_errors_as(StoreError, str(path)):
        disk = shutil.disk_usage(path.parent)
        own = sum(piece.stat().st_size for piece in database_files(path))
    reserved = min(disk.total // _RESERVED_DIVISOR, _RESERVED_BYTES)
    return max(own + disk.free - reserved, own, _MIN_BYTES)
