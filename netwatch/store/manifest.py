"""The manifest: every compacted file with its SHA-256, in a chain of hashes.

The table `compacted` decides which files count, since it changes in one transaction with the
open days. `days/manifest.jsonl` is a copy of it for people, and for the day when SQLite is lost.
Each line has the hash of the line before: who notes the last line's hash detects any later change.
"""

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec

from netwatch.model.errors import StoreError, os_errors_as
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.time import EPOCH
from netwatch.storage.private_files import FOLDER_MODE, create_private
from netwatch.storage.sqlite_file import SqliteFile
from netwatch.store.schema import DAY, Span

_LOG = logging.getLogger(__name__)

MANIFEST = "manifest.jsonl"


class Entry(msgspec.Struct, frozen=True):
    """One line: a day has a new file, or, where `file` is empty, none any more.

    Attributes:
        line: its number, from 1.
        day: the UTC day, days since 1970.
        date: the same day in ISO 8601.
        kind: `bins` or `levels`.
        revision: 1 for the day's first file; late data makes the next.
        file: name within `days/`; empty if the day was dropped or its file quarantined.
        rows, bytes, sha256: content of the file.
        reason: why `file` is empty.
        previous: SHA-256 of the line before, in hex; empty in the first.
    """

    line: int
    day: int
    date: str
    kind: str
    revision: int
    file: str
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    reason: str = ""
    previous: str = ""

    def encode(self) -> str:
        """Return the line without its line feed."""
        return msgspec.json.encode(self).decode()

    @property
    def span(self) -> Span:
        """The start of the day and of the next, in microseconds since 1970."""
        return self.day * DAY, (self.day + 1) * DAY


def iso_date(day: int) -> str:
    """Return the date of a day counted from 1970."""
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_damage(folder: Path, entry: Entry) -> str:
    """Return how the file of `entry` differs from what was compacted, empty if it does not."""
    path = folder / entry.file
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            return f"is damaged: it has {size} bytes, the manifest says {entry.bytes}"
        if file_sha256(path) != entry.sha256:
            return "is damaged: its SHA-256 is not that of the manifest"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


@contextmanager
def change_manifest(database: SqliteFile, folder: Path) -> Iterator[sqlite3.Connection]:
    """Run a durable transaction that may append entries, then complete the file."""
    with database.transaction(durable=True) as connection:
        yield connection
    with database.snapshot() as connection:
        if not write_manifest(connection, folder):
            _LOG.error("%s: the manifest was changed; run netwatch store check", folder)


def append_entry(connection: sqlite3.Connection, entry: Entry) -> Entry:
    """Write `entry` as the next line of the chain; return it as written."""
    last = connection.execute("SELECT line, entry FROM compacted ORDER BY line DESC LIMIT 1")
    line, text = last.fetchone() or (0, "")
    previous = hashlib.sha256(text.encode()).hexdigest() if text else ""
    entry = msgspec.structs.replace(entry, line=line + 1, previous=previous)
    insert_entry(connection, entry)
    return entry


def insert_entry(connection: sqlite3.Connection, entry: Entry) -> None:
    """Write `entry` as it is."""
    connection.execute(
        "INSERT INTO compacted (line, day, kind, file, entry) VALUES (?, ?, ?, ?, ?)",
        (entry.line, entry.day, entry.kind, entry.file, entry.encode()),
    )


_DECODER = msgspec.json.Decoder(Entry)


def newest_entries(
    connection: sqlite3.Connection, kind: str, span: Span = (0, 1 << 62)
) -> list[Entry]:
    """Return the newest line of every day that overlaps `span`, by day."""
    rows = connection.execute(
        "SELECT entry, max(line) FROM compacted"
        " WHERE kind = ? AND day BETWEEN ? AND ? GROUP BY day ORDER BY day",
        (kind, span[0] // DAY, (span[1] - 1) // DAY),
    )
    return [msgspec.json.decode(entry, type=Entry) for entry, _ in rows]


def current_entries(
    connection: sqlite3.Connection, kind: str, span: Span = (0, 1 << 62)
) -> list[Entry]:
    """Return the newest line of every day that overlaps `span` and has a file, by day."""
    return [entry for entry in newest_entries(connection, kind, span) if entry.file]


def write_manifest(connection: sqlite3.Connection, folder: Path) -> bool:
    """Complete the file from the table, durably; return False if the file has other lines."""
    rows = connection.execute("SELECT entry FROM compacted ORDER BY line")
    text = "".join(f"{entry}\n" for (entry,) in rows).encode()
    path = folder / MANIFEST
    with os_errors_as(StoreError, f"{path}: cannot be written"):
        written = path.read_bytes() if path.exists() else b""
        if not text.startswith(written):
            return False
        if text != written:
            folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            create_private(path)
            with path.open("ab") as file:
                file.write(text[len(written) :])
                file.flush()
                os.fsync(file.fileno())
    return True


def read_manifest(path: Path) -> list[Entry]:
    """Return the entries of a manifest, none if it is missing; a partial last line is ignored.

    Raises:
        StoreError: a line is not valid; names it.
    """
    entries: list[Entry] = []
    if not path.exists():
        return entries
    with os_errors_as(StoreError, f"{path}: cannot be read"):
        lines = path.read_bytes().split(b"\n")[:-1]
    for number, line in enumerate(lines, 1):
        what = f"{path}: line {number} is damaged"
        entries.append(decode_foreign(line, _DECODER.decode, what=what, kind=StoreError))
    return entries


def verify_chain(entries: Iterable[Entry]) -> list[str]:
    """Return where the chain is broken, one message each."""
    faults = []
    previous, number = "", 0
    for entry in entries:
        number += 1
        if entry.line != number:
            faults.append(f"manifest line {number}: its number is {entry.line}")
            number = entry.line
        if entry.previous != previous:
            faults.append(f"manifest line {number}: the line before it was changed or removed")
        previous = hashlib.sha256(entry.encode().encode()).hexdigest()
    return faults
