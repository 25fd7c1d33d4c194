"""Keeps measurements on disk until the collector has acknowledged them.

One SQLite file in WAL mode, used from one thread. Measurements are appended as rows and flushed
into batches. A batch has a sequence that is never reused, and a payload that never changes. When
space runs out, old batches are merged, then downsampled; none is dropped.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from random import Random

import msgspec

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.spool.batch_merge import UNKNOWN_SEGMENT, merge_batches, split_batch
from netwatch.agent.spool.schema import open_spool_file, usable_bytes
from netwatch.model.clock_samples import ClockSegment
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.storage.sqlite_file import SqliteStore
from netwatch.wire.ack import merge_ranges
from netwatch.wire.batch_codec import MAX_SUPERSEDED, pack_batch, unpack_batch

_log = logging.getLogger("netwatch.agent.spool.spool")
_BATCH_ROWS = 500
"""Measurements in one fresh batch, so that it stays far below the largest message."""
_SEQUENCE_BITS = 20
"""A new file's first sequence is its creation time in seconds times 2**20, plus a random part, so
that a file that replaces a lost one does not reuse sequences."""
_WIDTHS = (None, timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))
"""How batches are compacted from each level to the next: merged, then downsampled ever more."""
_COMPACT_ROWS = (3_000, 12_000, 12_000, 12_000)
"""Measurements that one compaction of each level takes at most."""
_COMPACT_BATCHES = 400
"""Batches that one compaction takes at most."""
_COMPACT_RANGES = 400
"""Separate ranges of sequences that one compaction merges at most; a batch with more is compacted
by itself. Each of the three further levels adds one range, that of the batch itself."""
_FRESH_BATCHES = 8
"""The newest batches are not compacted: they are being sent."""
_FULL, _COMPACTED = 0.9, 0.75
"""Share of the limit at which compaction starts, and at which it stops."""
_MAX_SEGMENTS = 150
"""Clock segments in one batch; each comes with a few samples."""
_MIN_LIMIT = 1024 * 1024
"""Bytes of the smallest accepted limit."""
_LOG_SHARE = 0.25
"""Share of the limit that is reserved for the write-ahead log."""
_MAX_AUTOCHECKPOINT = 1000
"""Pages of the log after which SQLite checkpoints; its default."""


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A pending batch: its sequence and its payload."""

    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class SpoolState:
    """How full a spool is; `levels` counts batches by how often they were compacted."""

    pending: int
    refused: int
    used_bytes: int
    limit_bytes: int
    levels: tuple[int, ...]


class Spool(SqliteStore):
    """The agent's queue on disk. A damaged file is moved out of the way and replaced.

    A new file's first sequence is derived from `created_at`. `limit` is the bytes of the file and
    its log together, at least 1 MiB; a small disk allows less. Every method may raise StoreError;
    then nothing was changed.
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
        super().__init__(open_spool_file(path, created_at))
        self._vantage = vantage
        self._pack_batch = pack
        self._clock: DisciplinedClock | None = None
        self._segment_id: int | None = None
        self._encode: Callable[[Measurement], bytes] = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Measurement).decode
        self._page_bytes = self._database.read_number("PRAGMA page_size")
        self._limit, self._pages = max(limit, _MIN_LIMIT), 0
        self._fit_disk()
        self._start_sequences(int(created_at.timestamp()))

    def use_clock(self, clock: DisciplinedClock) -> None:
        """Record that `clock` dates the measurements appended from now on."""
        query = "SELECT max(ifnull((SELECT max(after_sequence) FROM segment), 0) + 1, max(seq))"
        after_sequence = self._database.read_number(f"{query} FROM sqlite_sequence")
        key = (clock.boot, clock.shift)
        with self._database.transaction():
            self._file.execute(
                "INSERT OR IGNORE INTO segment (boot, shift, after_sequence) VALUES (?, ?, ?)",
                (*key, after_sequence),
            )
            query = "SELECT id FROM segment WHERE boot = ? AND shift = ?"
            self._segment_id = self._database.fetch(query, key)[0][0]
        self._clock = clock

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Store measurements; from then on they survive a crash of the process."""
        with self._database.transaction():
            self._file.executemany(
                "INSERT INTO measurement (row, segment) VALUES (?, ?)",
                [(self._encode(measurement), self._segment_id) for measurement in measurements],
            )

    def flush(self) -> int:
        """Turn all appended measurements into batches, compact if needed; return their number."""
        count = 0
        self._fit_disk()
        while self._flush_one():
            count += 1
        self._compact_if_full()
        return count

    def newest(self, limit: int, *, exclude: Collection[int] = ()) -> list[SealedBatch]:
        """Return up to `limit` pending batches, newest first."""
        return self._pending("DESC", limit, exclude)

    def oldest(self, limit: int, *, exclude: Collection[int] = ()) -> list[SealedBatch]:
        """Return up to `limit` pending batches, oldest first."""
        return self._pending("ASC", limit, exclude)

    def iterate_pending(self, page: int) -> Iterator[SealedBatch]:
        """Yield every pending batch, oldest first; read `page` of them at once."""
        after = -1
        while batches := self._pending("ASC", page, after=after):
            yield from batches
            after = batches[-1].sequence

    def acknowledge(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Delete the batches in inclusive `ranges`; return how many there were."""
        with self._database.transaction():
            before = self._file.total_changes
            self._file.executemany("DELETE FROM batch WHERE sequence BETWEEN ? AND ?", ranges)
            return self._file.total_changes - before

    def refuse(self, refusals: Sequence[tuple[int, str]]) -> None:
        """Mark batches as refused, each with its reason: they are kept and no longer pending."""
        with self._database.transaction():
            self._file.executemany(
                "UPDATE batch SET refused = ? WHERE sequence = ?",
                [(reason, sequence) for sequence, reason in refusals],
            )

    def get_meta(self, name: str) -> bytes | None:
        """Return a named value, None if it is not set."""
        rows = self._database.fetch("SELECT value FROM meta WHERE name = ?", (name,))
        return bytes(rows[0][0]) if rows else None

    def set_meta(self, name: str, value: bytes) -> None:
        """Set a named value."""
        with self._database.transaction():
            self._file.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def pin_key(self, name: str, key: bytes | None) -> bool:
        """Pin `key` unless another is pinned; return whether it matches. None matches no key."""
        pinned = self.get_meta(name)
        if pinned is None and key is not None:
            self.set_meta(name, key)
        return pinned is None or pinned == key

    def count_pending(self) -> int:
        """Return the number of pending batches."""
        return self._database.read_number("SELECT count(*) FROM batch WHERE refused IS NULL")

    def state(self) -> SpoolState:
        """Return how full the spool is."""
        counts = dict(self._database.fetch("SELECT level, count(*) FROM batch GROUP BY level"))
        refused = "SELECT count(*) FROM batch WHERE refused IS NOT NULL"
        return SpoolState(
            pending=self.count_pending(),
            refused=self._database.read_number(refused),
            used_bytes=self._used_pages() * self._page_bytes,
            limit_bytes=self._pages * self._page_bytes,
            levels=tuple(counts.get(level, 0) for level in range(len(_WIDTHS) + 1)),
        )

    def _flush_one(self) -> bool:
        # Durable before it is sent: after a power cut its sequence must not be used again.
        with self._database.transaction(durable=True):
            query = "SELECT id, row, segment FROM measurement ORDER BY id LIMIT ?"
            rows = self._database.fetch(query, (_BATCH_ROWS,))
            if not rows:
                return False
            rest = self._write_batch(self._unsealed_batch(rows), level=0)
            last_id = rows[len(rows) - len(rest.measurements) - 1][0]
            self._file.execute("DELETE FROM measurement WHERE id <= ?", (last_id,))
        return True

    def _unsealed_batch(self, rows: Sequence[tuple[int, bytes, int | None]]) -> Batch:
        segments: list[ClockSegment] = []
        query = "SELECT boot, shift, after_sequence, 0 FROM segment WHERE id = ?"
        for segment_id, group in groupby(rows, key=lambda row: row[2]):
            known = self._database.fetch(query, (segment_id,))
            segment = ClockSegment(*known[0]) if known else UNKNOWN_SEGMENT
            segments.append(replace(segment, rows=sum(1 for _ in group)))
        return Batch(
            self._vantage,
            sequence=0,
            measurements=tuple(self._decode(row) for _, row, _ in rows),
            clock_segments=tuple(segments),
            clock_samples=() if self._clock is None else (self._clock.sample(),),
        )

    def _write_batch(self, batch: Batch, *, level: int) -> Batch:
        """Write as many of the first measurements as fit one message; return the others."""
        # The payload contains the sequence, so the row comes first and is completed below.
        cursor = self._file.execute("INSERT INTO batch (payload, rows) VALUES (x'', 0)")
        sequence = int(cursor.lastrowid or 0)
        count = sum(segment.rows for segment in batch.clock_segments[:_MAX_SEGMENTS])
        while True:
            first, rest = split_batch(batch, count)
            if not any(segment.boot for segment in first.clock_segments):
                first = replace(first, clock_segments=())
            try:
                payload = self._pack_batch(replace(first, sequence=sequence))
                break
            except InputError:
                if count == 1:
                    raise
                count //= 2
        self._file.execute(
            "UPDATE batch SET payload = ?, rows = ?, level = ? WHERE sequence = ?",
            (payload, count, level, sequence),
        )
        return rest

    def _compact_if_full(self) -> None:
        steps = 0
        if self._used_share() < _FULL:
            return
        while self._used_share() > _COMPACTED and self._compact():
            steps += 1
        if steps:
            _log.info("spool: freed space in %d compactions", steps)

    def _compact(self) -> bool:
        for level, (width, max_rows) in enumerate(zip(_WIDTHS, _COMPACT_ROWS, strict=True)):
            batches = self._compactable(level, max_rows)
            if batches:
                if self._pages * self._page_bytes < self._limit - self._page_bytes:
                    # The disk is small: compaction needs all the space that the log may take.
                    self._database.read_number("PRAGMA wal_checkpoint(TRUNCATE)")
                self._replace(batches, level + 1, width)
                return True
        return False

    def _compactable(self, level: int, max_rows: int) -> list[Batch]:
        query = (
            "SELECT payload, rows FROM batch WHERE level = ? AND refused IS NULL"
            " AND sequence <= (SELECT max(sequence) FROM batch) - ? ORDER BY sequence LIMIT ?"
        )
        batches: list[Batch] = []
        total = 0
        ranges: tuple[tuple[int, int], ...] = ()
        with self._database.translate_errors():
            parameters = (level, _FRESH_BATCHES, _COMPACT_BATCHES)
            for payload, rows in self._file.execute(query, parameters):
                total += rows
                if total > max_rows and len(batches) > 1:
                    return batches
                batch = unpack_batch(payload)
                ranges = merge_ranges(
                    [*ranges, *batch.supersedes, (batch.sequence, batch.sequence)]
                )
                if len(ranges) > _COMPACT_RANGES and batches:
                    return batches
                batches.append(batch)
        return batches if len(batches) > 1 else []

    def _replace(self, batches: Sequence[Batch], level: int, width: timedelta | None) -> None:
        merged = replace(merge_batches(batches, width), vantage=self._vantage)
        with self._database.transaction(durable=True):
            self._file.executemany(
                "DELETE FROM batch WHERE sequence = ?", [(batch.sequence,) for batch in batches]
            )
            # Earlier versions named more than one batch may: others without measurements name them.
            while len(merged.supersedes) > MAX_SUPERSEDED:
                some, others = (
                    merged.supersedes[:_COMPACT_RANGES],
                    merged.supersedes[_COMPACT_RANGES:],
                )
                carrier = Batch(self._vantage, 0, (), some)
                self._write_batch(carrier, level=len(_WIDTHS))
                merged = replace(merged, supersedes=others)
            while merged.measurements:
                merged = self._write_batch(merged, level=level)

    def _pending(
        self, order: str, limit: int, exclude: Collection[int] = (), *, after: int = -1
    ) -> list[SealedBatch]:
        marks = ",".join("?" * len(exclude))
        query = (
            "SELECT sequence, payload FROM batch WHERE refused IS NULL AND sequence > ? "  # noqa: S608 - marks and an order, no values
            f"AND sequence NOT IN ({marks}) ORDER BY sequence {order} LIMIT ?"
        )
        return [SealedBatch(*row) for row in self._database.fetch(query, (after, *exclude, limit))]

    def _start_sequences(self, seconds: int) -> None:
        first = (max(seconds, 0) << _SEQUENCE_BITS) + Random().getrandbits(_SEQUENCE_BITS - 1)  # noqa: S311 - unique, not secret
        with self._database.transaction():
            if not self._database.read_number("SELECT count(*) FROM sqlite_sequence"):
                self._file.execute(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES ('batch', ?)", (first,)
                )

    def _fit_disk(self) -> None:
        """Apply the limit, or less on a small disk: a log that fills it cannot be checkpointed."""
        pages = min(self._limit, usable_bytes(self._database.path)) // self._page_bytes
        if pages == self._pages:
            return
        self._pages = pages
        log_pages = int(pages * _LOG_SHARE)
        checkpoint_pages = min(_MAX_AUTOCHECKPOINT, log_pages // 2)
        with self._database.translate_errors():
            self._file.execute(f"PRAGMA journal_size_limit = {log_pages * self._page_bytes}")
            self._file.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
            self._file.execute(f"PRAGMA max_page_count = {pages - log_pages}")

    def _used_share(self) -> float:
        return self._used_pages() / (self._pages * (1 - _LOG_SHARE))

    def _used_pages(self) -> int:
        pages = self._database.read_number("PRAGMA page_count")
        return pages - self._database.read_number("PRAGMA freelist_count")
