"""The manifest: every sealed file with its SHA-256, each line holding the hash of the one before.

The table `sealed` decides what readers see, because it changes in one transaction with the
open days; `days/manifest.jsonl` repeats it for people, and for a day when SQLite is lost.
Whoever keeps the hash of the last line can tell later whether any line or file was changed.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import msgspec

from netwatch.model.errors import StoreError
from netwatch.store.moments import DAY, EPOCH

NAME = "manifest.jsonl"


class Entry(msgspec.Struct, frozen=True):
    """One line: a day's file was sealed, or, where `file` is empty, given up.

    Attributes:
        line: its number, from 1.
        day: the UTC day, days since 1970.
        date: the same day, written out.
        kind: `bins` or `levels`.
        revision: 1 for the day's first file; late data makes the next.
        file: name within `days/`; empty where the day was dropped or set aside.
        rows, bytes, sha256: what the file holds.
        reason: why, where `file` is empty.
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

    def text(self) -> str:
        """Return the line as it stands in the manifest, without its end."""
        return msgspec.json.encode(self).decode()


def day_text(day: int) -> str:
    """Return the date of a day counted from 1970."""
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}"


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def append_entry(connection: sqlite3.Connection, entry: Entry) -> Entry:
    """Write `entry` as the next line, chained to the last; return it as written."""
    last = connection.execute("select line, entry from sealed order by line desc limit 1")
    line, text = last.fetchone() or (0, "")
    previous = hashlib.sha256(text.encode()).hexdigest() if text else ""
    entry = msgspec.structs.replace(entry, line=line + 1, previous=previous)
    insert_entry(connection, entry)
    return entry


def insert_entry(connection: sqlite3.Connection, entry: Entry) -> None:
    """Write `entry` as it is."""
    connection.execute(
        "insert into sealed (line, day, kind, file, entry) values (?, ?, ?, ?, ?)",
        (entry.line, entry.day, entry.kind, entry.file, entry.text()),
    )


def newest_entry(connection: sqlite3.Connection, kind: str, day: int) -> Entry | None:
    """Return the newest line about a day, None where it was never sealed."""
    found = connection.execute(
        "select entry from sealed where kind = ? and day = ? order by line desc limit 1",
        (kind, day),
    ).fetchone()
    return None if found is None else msgspec.json.decode(found[0], type=Entry)


def current_entries(
    connection: sqlite3.Connection, kind: str, span: tuple[int, int] | None = None
) -> list[Entry]:
    """Return the newest line of every day that touches `span` and has a file, by day."""
    first, last = (-1, 1 << 40) if span is None else (span[0] // DAY, (span[1] - 1) // DAY)
    found = connection.execute(
        "select file, entry, max(line) from sealed"
        " where kind = ? and day between ? and ? group by day order by day",
        (kind, first, last),
    )
    return [msgspec.json.decode(entry, type=Entry) for file, entry, _ in found if file]


def write_manifest(connection: sqlite3.Connection, folder: Path) -> None:
    """Add to the file what the table has and the file lacks, and see it onto the disk."""
    path = folder / NAME
    written = len(path.read_bytes().splitlines()) if path.exists() else 0
    if written and not path.read_bytes().endswith(b"\n"):
        _cut_torn_line(path)
        written -= 1
    found = connection.execute("select entry from sealed where line > ? order by line", (written,))
    lines = [entry + "\n" for (entry,) in found]
    if lines:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())


def parse_lines(path: Path) -> list[Entry]:
    """Return the lines of a manifest; a torn last line is left out.

    Raises:
        StoreError: a line cannot be read; names it.
    """
    entries = []
    lines = path.read_bytes().split(b"\n")[:-1]
    for number, line in enumerate(lines, 1):
        try:
            entries.append(msgspec.json.decode(line, type=Entry))
        except msgspec.MsgspecError as error:
            raise StoreError(f"{path}: line {number} is damaged: {error}") from error
    return entries


def faults_in(entries: Iterable[Entry]) -> list[str]:
    """Return where the chain is broken, a line each."""
    faults = []
    previous, number = "", 0
    for entry in entries:
        number += 1
        if entry.line != number:
            faults.append(f"manifest line {number}: says that it is line {entry.line}")
            number = entry.line
        if entry.previous != previous:
            faults.append(f"manifest line {number}: the line before it was changed or removed")
        previous = hashlib.sha256(entry.text().encode()).hexdigest()
    return faults


def _cut_torn_line(path: Path) -> None:
    """Take away a last line that a crash left half written."""
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
