"""Keeps measurements on disk until the collector has said that it has them.

One SQLite file in WAL mode, used from one thread. Measurements are appended as rows, then
sealed: a sealed batch has a sequence that is never used again and bytes that never change.
Where the room runs out, old batches are merged, then thinned, never simply dropped.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Self

import msgspec

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.spool.batch_merge import (
    UNKNOWN,
    TimestampedRows,
    join_batches,
    join_ranges,
    split_dated,
)
from netwatch.agent.spool.schema import free_bytes, open_or_quarantine
from netwatch.model.clock_samples import ClockSegment
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.wire.batch_codec import pack_batch, unpack_batch

_log = logging.getLogger("netwatch.agent.spool.spool")
_ROWS = 500
"""Measurements in one fresh batch, so that it stays far below the largest message."""
_SEQUENCE_STEP = 20
"""A new file's first sequence is its birth in seconds times 2**20 and a random part: a file
that replaces a lost one does not use the lost one's sequences again."""
_WIDTHS = (None, timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))
"""What happens to batches of a tier on their way to the next: merged as they are, then
thinned to ever wider intervals."""
_TAKE_ROWS = (3_000, 12_000, 12_000, 12_000)
_TAKE_BATCHES = 400
_FRESH = 8
"""The newest batches are left alone: they are on their way."""
_FULL, _ROOMY = 0.9, 0.75
_MOST_TIMELINES = 150
"""Timelines in one batch; each brings a few readings along."""
_LEAST_LIMIT = 1024 * 1024
_BEHIND = 0.25
"""Share of the limit that is set aside for the write-ahead log."""


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A batch on its way: its sequence and its message."""

    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class SpoolState:
    """How full a spool is; `levels` counts batches as sealed, merged, and thinned ever more."""

    pending: int
    refused: int
    used_bytes: int
    limit_bytes: int
    levels: tuple[int, ...]


class Spool:
    """The agent's memory. Every method may raise StoreError; then nothing was changed.

    A damaged file is set aside under another name and a new one begun: never a reason not
    to measure.

    Args:
        path: the file; made where it is missing.
        vantage: whose measurements these are.
        created_at: the present, which names the first sequence of a new file.
        limit: bytes that file and log may take together, at least 1 MiB; of a disk that has
            less to give they take less.
        pack: turns a batch into a message.
    """

    def __init__(
        self,
        path: Path,
        *,
        vantage: Vantage,
        created_at: datetime,
        limit: int = 64 * 1024 * 1024,
        pack: Callable[[Batch], bytes] = pack_batch,
    ) -> None:
        self._vantage = vantage
        self._pack_batch = pack
        self._clock: DisciplinedClock | None = None
        self._timeline: int | None = None
        self._encode: Callable[[Measurement], bytes] = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Measurement).decode
        self._database = open_or_quarantine(path, created_at)
        self._file = self._database.connection
        self._page = self._database.read_number("PRAGMA page_size")
        self._limit, self._pages = max(limit, _LEAST_LIMIT), 0
        self._fit_disk()
        with self._database.transaction():
            self._start_sequences(int(created_at.timestamp()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def use_clock(self, clock: DisciplinedClock) -> None:
        """Say what dates the measurements that will be appended; else their times stand."""
        with self._database.transaction():
            self._timeline = self._begin_timeline(clock)
        self._clock = clock

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Write measurements down; they survive a crash of the process from here on."""
        with self._database.transaction():
            self._file.executemany(
                "INSERT INTO live (row, timeline) VALUES (?, ?)",
                [(self._encode(measurement), self._timeline) for measurement in measurements],
            )

    def flush(self) -> int:
        """Turn everything appended into batches, making room if need be; return how many."""
        made = 0
        self._fit_disk()
        while self._seal_one():
            made += 1
        self.make_room()
        return made

    def make_room(self) -> int:
        """Merge and thin until the file is roomy again; return how many steps that took."""
        steps = 0
        if self._filled() < _FULL:
            return 0
        while self._filled() > _ROOMY and self._compact():
            steps += 1
        if steps:
            _log.info("spool: made room in %d steps", steps)
        return steps

    def newest(self, limit: int, *, exclude: Collection[int] = ()) -> list[SealedBatch]:
        """Return up to `limit` waiting batches, newest first."""
        return self._waiting("DESC", limit, exclude)

    def oldest(self, limit: int, *, exclude: Collection[int] = ()) -> list[SealedBatch]:
        """Return up to `limit` waiting batches, oldest first."""
        return self._waiting("ASC", limit, exclude)

    def iterate_pending(self, at_once: int) -> Iterator[SealedBatch]:
        """Yield every waiting batch, oldest first, reading `at_once` of them together."""
        after = -1
        query = (
            "SELECT sequence, payload FROM batch WHERE refused IS NULL AND sequence > ?"
            " ORDER BY sequence LIMIT ?"
        )
        while True:
            with self._database.translate_errors():
                found = [SealedBatch(*row) for row in self._file.execute(query, (after, at_once))]
            yield from found
            if len(found) < at_once:
                return
            after = found[-1].sequence

    def acknowledge(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Forget the batches in inclusive `ranges`; return how many there were."""
        with self._database.transaction():
            before = self._file.total_changes
            self._file.executemany("DELETE FROM batch WHERE sequence BETWEEN ? AND ?", ranges)
            return self._file.total_changes - before

    def refuse(self, refusals: Sequence[tuple[int, str]]) -> None:
        """Keep the named batches, each with its reason, but send them no more."""
        with self._database.transaction():
            self._file.executemany(
                "UPDATE batch SET refused = ? WHERE sequence = ?",
                [(reason, sequence) for sequence, reason in refusals],
            )

    def get_meta(self, name: str) -> bytes | None:
        """Return what was remembered under a name."""
        with self._database.translate_errors():
            query = "SELECT value FROM fact WHERE name = ?"
            found = self._file.execute(query, (name,)).fetchone()
        return None if found is None else bytes(found[0])

    def set_meta(self, name: str, value: bytes) -> None:
        """Remember a value under a name, in place of what was there."""
        with self._database.transaction():
            self._file.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def pin_key(self, name: str, key: bytes | None) -> bool:
        """Tell whether `key` is the one that `name` has; the first one ever is remembered."""
        known = self.get_meta(name)
        if known is None and key is not None:
            self.set_meta(name, key)
        return known is None or known == key

    def count_pending(self) -> int:
        """Return how many batches wait for the collector."""
        return self._database.read_number("SELECT count(*) FROM batch WHERE refused IS NULL")

    def state(self) -> SpoolState:
        """Return how full the spool is."""
        with self._database.translate_errors():
            found = self._file.execute("SELECT tier, count(*) FROM batch GROUP BY tier")
            counts = {int(tier): int(count) for tier, count in found}
        return SpoolState(
            pending=self.count_pending(),
            refused=self._database.read_number(
                "SELECT count(*) FROM batch WHERE refused IS NOT NULL"
            ),
            used_bytes=self._used_pages() * self._page,
            limit_bytes=self._pages * self._page,
            levels=tuple(counts.get(tier, 0) for tier in range(len(_WIDTHS) + 1)),
        )

    def close(self) -> None:
        """Close the file; everything in it stays."""
        self._database.close()

    def _seal_one(self) -> bool:
        """Seal the oldest rows into one batch; tell whether there were any."""
        # What has left the machine must not be lost by it: a sequence is used once.
        with self._database.transaction(durable=True):
            query = "SELECT id, row, timeline FROM live ORDER BY id LIMIT ?"
            found = self._file.execute(query, (_ROWS,)).fetchall()
            if not found:
                return False
            rest = self._write_batch(self._dated(found), tier=0)
            last = found[len(found) - len(rest.rows) - 1][0]
            self._file.execute("DELETE FROM live WHERE id <= ?", (last,))
        return True

    def _dated(self, found: Sequence[tuple[int, bytes, int | None]]) -> TimestampedRows:
        """Return appended rows with the timelines that dated them."""
        lines: list[ClockSegment] = []
        for timeline, rows in groupby(found, key=lambda row: row[2]):
            query = "SELECT boot, shift, began, 0 FROM timeline WHERE id = ?"
            line = self._file.execute(query, (timeline,)).fetchone()
            known = UNKNOWN if line is None else ClockSegment(*line)
            lines.append(replace(known, rows=sum(1 for _ in rows)))
        readings = () if self._clock is None else (self._clock.sample(),)
        return TimestampedRows(
            tuple(self._decode(row) for _, row, _ in found), tuple(lines), readings
        )

    def _write_batch(
        self, dated: TimestampedRows, *, tier: int, supersedes: tuple[tuple[int, int], ...] = ()
    ) -> TimestampedRows:
        """Seal as many of the first rows as fit a message; return the others."""
        # The sequence is part of the bytes, so the row comes first and is filled in after.
        cursor = self._file.execute("INSERT INTO batch (payload, rows) VALUES (x'', 0)")
        sequence = int(cursor.lastrowid or 0)
        count = sum(line.rows for line in dated.clock_segments[:_MOST_TIMELINES])
        while True:
            first, rest = split_dated(dated, count)
            lines = first.clock_segments if any(line.boot for line in first.clock_segments) else ()
            batch = Batch(
                self._vantage, sequence, first.rows, supersedes, lines, first.clock_samples
            )
            try:
                payload = self._pack_batch(batch)
                break
            except InputError:
                if count == 1:
                    raise
                count //= 2
        self._file.execute(
            "UPDATE batch SET payload = ?, rows = ?, tier = ? WHERE sequence = ?",
            (payload, count, tier, sequence),
        )
        return rest

    def _compact(self) -> bool:
        """Bring the oldest batches of the lowest tier one tier up; False if none is left."""
        for tier, (width, most_rows) in enumerate(zip(_WIDTHS, _TAKE_ROWS, strict=True)):
            taken = self._take(tier, most_rows)
            if len(taken) > 1:
                if self._pages * self._page < self._limit - self._page:
                    # The disk is small: thinning needs all the room that the log may take.
                    self._database.read_number("PRAGMA wal_checkpoint(TRUNCATE)")
                self._replace(taken, tier + 1, width)
                return True
        return False

    def _take(self, tier: int, most_rows: int) -> list[SealedBatch]:
        """Return the oldest batches of a tier, up to `most_rows` measurements of them."""
        query = (
            "SELECT sequence, payload, rows FROM batch WHERE tier = ? AND refused IS NULL"
            " AND sequence <= (SELECT max(sequence) FROM batch) - ? ORDER BY sequence LIMIT ?"
        )
        taken: list[SealedBatch] = []
        rows = 0
        with self._database.translate_errors():
            for sequence, payload, count in self._file.execute(
                query, (tier, _FRESH, _TAKE_BATCHES)
            ):
                rows += count
                if rows > most_rows and len(taken) > 1:
                    break
                taken.append(SealedBatch(sequence, payload))
        return taken

    def _replace(self, taken: Sequence[SealedBatch], tier: int, width: timedelta | None) -> None:
        """Put fewer batches in the place of `taken`, which these name as replaced."""
        batches = [unpack_batch(sealed.payload) for sealed in taken]
        dated = join_batches(batches, width)
        old = {sealed.sequence for sealed in taken}
        supersedes = join_ranges(old, batches)
        with self._database.transaction(durable=True):
            self._file.executemany("DELETE FROM batch WHERE sequence = ?", [(one,) for one in old])
            while dated.rows:
                dated = self._write_batch(dated, tier=tier, supersedes=supersedes)

    def _waiting(self, order: str, limit: int, exclude: Collection[int]) -> list[SealedBatch]:
        """Return waiting batches in `order` of sequence."""
        marks = ",".join("?" * len(exclude))
        query = (
            "SELECT sequence, payload FROM batch WHERE refused IS NULL "  # noqa: S608 - marks and an order, no values
            f"AND sequence NOT IN ({marks}) ORDER BY sequence {order} LIMIT ?"
        )
        with self._database.translate_errors():
            return [SealedBatch(*row) for row in self._file.execute(query, (*exclude, limit))]

    def _start_sequences(self, seconds: int) -> None:
        """Give a new file its first sequence."""
        if self._file.execute("SELECT count(*) FROM sqlite_sequence").fetchone()[0]:
            return
        first = (max(seconds, 0) << _SEQUENCE_STEP) + Random().getrandbits(_SEQUENCE_STEP - 1)  # noqa: S311 - to differ, not to hide
        self._file.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('batch', ?)", (first,))

    def _begin_timeline(self, clock: DisciplinedClock) -> int:
        """Note by what the coming rows are dated, after all that was before; return its id."""
        query = "SELECT max(ifnull((SELECT max(began) FROM timeline), 0) + 1, max(seq))"
        began = self._file.execute(f"{query} FROM sqlite_sequence").fetchone()[0]
        line = (clock.boot, clock.shift)
        self._file.execute(
            "INSERT OR IGNORE INTO timeline (boot, shift, began) VALUES (?, ?, ?)", (*line, began)
        )
        query = "SELECT id FROM timeline WHERE boot = ? AND shift = ?"
        return int(self._file.execute(query, line).fetchone()[0])

    def _fit_disk(self) -> None:
        """Keep to the limit, or to less where the disk has less to give.

        A log that fills a disk to its last byte can never be brought into the file again.
        """
        pages = min(self._limit, free_bytes(self._database.path)) // self._page
        if pages == self._pages:
            return
        self._pages = pages
        log_pages = int(pages * _BEHIND)
        with self._database.translate_errors():
            self._file.execute(f"PRAGMA journal_size_limit = {log_pages * self._page}")
            self._file.execute(f"PRAGMA wal_autocheckpoint = {min(1000, log_pages // 2)}")
            self._file.execute(f"PRAGMA max_page_count = {pages - log_pages}")

    def _filled(self) -> float:
        """Return how much of the file's share of the limit is used, 0 to 1."""
        return self._used_pages() / (self._pages * (1 - _BEHIND))

    def _used_pages(self) -> int:
        return self._database.read_number("PRAGMA page_count") - self._database.read_number(
            "PRAGMA freelist_count"
        )
