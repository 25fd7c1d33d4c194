"""Keeps measurements on disk until the collector has said that it has them.

One SQLite file in WAL mode, used from one thread. Measurements are appended as rows, then
sealed: a sealed batch has a sequence that is never used again and bytes that never change.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Self

import msgspec

from netwatch.database import Database
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.wire.envelope import pack_batch

__all__ = ["Sealed", "Spool"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS live (id INTEGER PRIMARY KEY, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    payload BLOB NOT NULL,
    rows INTEGER NOT NULL,
    refused TEXT
);
CREATE INDEX IF NOT EXISTS waiting ON batch (sequence) WHERE refused IS NULL;
"""
_ROWS = 500
"""Measurements in one batch, so that it stays far below the largest message."""
_SEQUENCE_STEP = 20
"""A new file's first sequence is its birth in seconds times 2**20 and a random part: a file
that replaces a lost one does not use the lost one's sequences again."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch on its way: its sequence and its message."""

    sequence: int
    payload: bytes


class Spool:
    """The agent's memory. Every method may raise StoreError; then nothing was changed.

    Args:
        path: the file; made where it is missing.
        vantage: whose measurements these are.
        born: the present, which names the first sequence of a new file.
    """

    def __init__(self, path: Path, *, vantage: Vantage, born: datetime) -> None:
        self._vantage = vantage
        self._encode: Callable[[Measurement], bytes] = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Measurement).decode
        self._database = Database(path, _SCHEMA, durable=False)
        self._file = self._database.connection
        with self._database.writing():
            self._start_sequences(int(born.timestamp()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Write measurements down; they survive a crash of the process from here on."""
        with self._database.writing():
            self._file.executemany(
                "INSERT INTO live (row) VALUES (?)",
                [(self._encode(measurement),) for measurement in measurements],
            )

    def seal(self) -> int:
        """Turn everything appended into batches; return how many were made."""
        made = 0
        # What has left the machine must not be lost by it: a sequence is used once.
        self._set_durable(durable=True)
        try:
            while self._seal_one():
                made += 1
        finally:
            self._set_durable(durable=False)
        return made

    def newest(self, limit: int, *, without: Collection[int] = ()) -> list[Sealed]:
        """Return up to `limit` waiting batches, newest first."""
        return self._waiting("DESC", limit, without)

    def oldest(self, limit: int, *, without: Collection[int] = ()) -> list[Sealed]:
        """Return up to `limit` waiting batches, oldest first."""
        return self._waiting("ASC", limit, without)

    def acknowledge(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Forget the batches in inclusive `ranges`; return how many there were."""
        with self._database.writing():
            before = self._file.total_changes
            self._file.executemany("DELETE FROM batch WHERE sequence BETWEEN ? AND ?", ranges)
            return self._file.total_changes - before

    def refuse(self, refusals: Sequence[tuple[int, str]]) -> None:
        """Keep the named batches, each with its reason, but send them no more."""
        with self._database.writing():
            self._file.executemany(
                "UPDATE batch SET refused = ? WHERE sequence = ?",
                [(reason, sequence) for sequence, reason in refusals],
            )

    def count_waiting(self) -> int:
        """Return how many batches wait for the collector."""
        with self._database.reading():
            query = "SELECT count(*) FROM batch WHERE refused IS NULL"
            return int(self._file.execute(query).fetchone()[0])

    def close(self) -> None:
        """Close the file; everything in it stays."""
        self._database.close()

    def _seal_one(self) -> bool:
        """Seal the oldest rows into one batch; tell whether there were any."""
        with self._database.writing():
            rows = self._file.execute("SELECT id, row FROM live ORDER BY id LIMIT ?", (_ROWS,))
            found = rows.fetchall()
            if not found:
                return False
            # The sequence is part of the bytes, so the row comes first and is filled in after.
            cursor = self._file.execute("INSERT INTO batch (payload, rows) VALUES (x'', 0)")
            sequence = int(cursor.lastrowid or 0)
            payload, count = self._pack(sequence, [row for _, row in found])
            self._file.execute(
                "UPDATE batch SET payload = ?, rows = ? WHERE sequence = ?",
                (payload, count, sequence),
            )
            self._file.execute("DELETE FROM live WHERE id <= ?", (found[count - 1][0],))
        return True

    def _pack(self, sequence: int, rows: Sequence[bytes]) -> tuple[bytes, int]:
        """Return the message of as many of the oldest rows as fit, and how many they are."""
        measurements = tuple(self._decode(row) for row in rows)
        while True:
            try:
                return pack_batch(Batch(self._vantage, sequence, measurements)), len(measurements)
            except InputError:
                if len(measurements) == 1:
                    raise
                measurements = measurements[: len(measurements) // 2]

    def _waiting(self, order: str, limit: int, without: Collection[int]) -> list[Sealed]:
        """Return waiting batches in `order` of sequence."""
        marks = ",".join("?" * len(without))
        query = (
            "SELECT sequence, payload FROM batch WHERE refused IS NULL "  # noqa: S608 - marks and an order, no values
            f"AND sequence NOT IN ({marks}) ORDER BY sequence {order} LIMIT ?"
        )
        with self._database.reading():
            return [Sealed(*row) for row in self._file.execute(query, (*without, limit))]

    def _start_sequences(self, seconds: int) -> None:
        """Give a new file its first sequence."""
        if self._file.execute("SELECT count(*) FROM sqlite_sequence").fetchone()[0]:
            return
        first = (max(seconds, 0) << _SEQUENCE_STEP) + Random().getrandbits(_SEQUENCE_STEP - 1)  # noqa: S311 - to differ, not to hide
        self._file.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('batch', ?)", (first,))

    def _set_durable(self, *, durable: bool) -> None:
        """Choose whether commits wait for the disk."""
        with self._database.reading():
            self._database.set_durable(durable=durable)
