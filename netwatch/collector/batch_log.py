"""The raw log: every batch as it came, durable before anybody is told that it is kept.

One SQLite file in WAL mode. A batch stays in its own compact bytes (about ten a
measurement); an index on its times finds what an interval needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Self

from netwatch.collector.agent_keys import (
    PINS,
    SenderStatus,
    check_sender,
    forget_agent,
    note_first_seen,
    quarantine,
    read_first_seen,
    speaks_for,
)
from netwatch.collector.clock_corrector import ClockCorrector
from netwatch.collector.clock_store import CLOCK_TABLES
from netwatch.collector.trust_weights import FirstSeen
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.model.time import EPOCH, to_millis
from netwatch.storage.sqlite_file import Schema, SqliteFile
from netwatch.wire.batch_codec import unpack_batch

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    vantage TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    wide INTEGER NOT NULL,
    replaced INTEGER NOT NULL DEFAULT 0,
    digest BLOB NOT NULL,
    payload BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS once ON batch (vantage, sequence);
CREATE INDEX IF NOT EXISTS narrow ON batch (first, last) WHERE wide = 0;
CREATE INDEX IF NOT EXISTS broad ON batch (first, last) WHERE wide = 1;
CREATE TABLE IF NOT EXISTS replaced (
    vantage TEXT NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    PRIMARY KEY (vantage, high, low)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (
    id TEXT PRIMARY KEY,
    country TEXT NOT NULL,
    asn INTEGER NOT NULL,
    sequence INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS late (time INTEGER PRIMARY KEY);
"""
_SETTLE = """
INSERT INTO place VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
SET country = excluded.country, asn = excluded.asn, sequence = excluded.sequence
WHERE excluded.sequence > sequence
    AND (excluded.country <> country OR excluded.asn <> asn)
"""
_KEEP = (
    "INSERT OR IGNORE INTO batch (vantage, sequence, first, last, wide, digest, replaced, payload)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_COUNTS, _ASIDE = 0, 2
"""What `replaced` says besides 1: a batch counts, or is kept and set aside."""
_ALWAYS = 2**62
_IDENTIFY = """
SELECT coalesce(nullif(agent.country, ''), place.country, ''),
    coalesce(nullif(agent.network, 0), place.asn, 0), vantage.key
FROM (SELECT :agent AS id) AS asked
LEFT JOIN agent ON agent.id = asked.id AND agent.retired IS NULL
LEFT JOIN place ON place.id = asked.id LEFT JOIN vantage ON vantage.id = asked.id
WHERE agent.id IS NOT NULL OR place.id IS NOT NULL
"""
_WIDE = 3_600_000
"""Milliseconds beyond which a batch is looked up on its own: the index on first times can
then stop an hour before the interval."""
_FIND = """
SELECT payload, {repaired} FROM batch WHERE wide = 0 AND first >= :start - 3600000 AND first < :end
    AND last >= :start AND replaced = 0
UNION ALL
SELECT payload, {repaired} FROM batch WHERE wide = 1 AND first < :end AND last >= :start
    AND replaced = 0
""".format(
    repaired="EXISTS (SELECT 1 FROM clock_span WHERE clock_span.vantage = batch.vantage"
    " AND clock_span.sequence = batch.sequence AND plain = 0)"
)


class IngestResult(StrEnum):
    """What became of a parcel."""

    STORED = "stored"
    REPEATED = "repeated"
    EQUIVOCATION = "equivocation"
    WRONG_KEY = "wrong_key"
    RETIRED = "retired"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class ReceivedBatch:
    """A batch, the message that it came as, the public key that signed it, and when it came.

    Without `arrived` its times are taken as they are said, whatever its clocks showed; without
    `heard` its sender does not become older by it.
    """

    batch: Batch
    payload: bytes
    key: bytes | None = None
    arrived: datetime | None = None
    heard: datetime | None = None


class BatchLog:
    """The collector's durable memory; used by one thread at a time.

    Every method may raise StoreError, naming the file; then nothing was changed.
    """

    def __init__(self, path: Path) -> None:
        self._database = SqliteFile(path, Schema(_SCHEMA + PINS + CLOCK_TABLES), durable=True)
        self._file = self._database.connection
        self._clocks = ClockCorrector(self._file)
        self._looked = self._changes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self, parcels: Sequence[ReceivedBatch], *, closed_until: datetime | None, width: timedelta
    ) -> list[IngestResult]:
        """Keep `parcels` in one durable transaction and return what became of each.

        A repeated one is kept once. One whose name was used for other content is an
        equivocation and is not kept; where both were signed, the agent is under quarantine
        from then on. What a batch replaces counts no more, whether it is here already or
        comes later. Who may speak for a vantage, and who is set aside, is told by
        `netwatch.collector.agent_keys`. Bins of `width` that lie before `closed_until` and get
        something new are noted as late with it.
        """
        try:
            with self._database.transaction():
                return [self._add_one(parcel, closed_until, width) for parcel in parcels]
        except StoreError:
            self._clocks.forget()
            raise

    def count_again(self, vantage: str, *, width: timedelta) -> int:
        """End an agent's quarantine and count what was set aside; return how many batches.

        Bins of `width` that get something by it are noted as late. The agent is believed in
        full from now on, however new it is: somebody has looked at it.
        """
        chosen = "FROM batch WHERE vantage = ? AND replaced = 2"
        with self._database.transaction():
            self._file.execute("DELETE FROM quarantine WHERE id = ?", (vantage,))
            self._file.execute("UPDATE arrival SET vetted = 1 WHERE id = ?", (vantage,))
            query = f"SELECT payload, first, last {chosen}"
            found = self._file.execute(query, (vantage,)).fetchall()
            self._file.execute(
                "UPDATE batch SET replaced = 0 WHERE vantage = ? AND replaced = 2", (vantage,)
            )
            for payload, *ends in found:
                batch = unpack_batch(payload)
                times = _bins(batch, ends, width)
                for low, high in batch.supersedes:
                    times += self._replace((vantage, low, high), width)
                self._note_late(times, _ALWAYS, width)
        return len(found)

    def erase(self, vantage: str) -> int:
        """Forget an agent, its key, its place and its batches; return how many these were."""
        with self._database.secure_delete():
            erased = self._file.execute("DELETE FROM batch WHERE vantage = ?", (vantage,)).rowcount
            self._file.execute("DELETE FROM replaced WHERE vantage = ?", (vantage,))
            self._clocks.erase(vantage)
            self._file.execute("DELETE FROM place WHERE id = ?", (vantage,))
            forget_agent(self._file, vantage)
        return erased

    def measurements(self, start: datetime, end: datetime) -> Iterator[tuple[Vantage, Measurement]]:
        """Yield every measurement with `start <= time < end` and the vantage it came from.

        Times are put right by what is known of the vantage's clocks; a measurement whose time
        nobody knows well enough is kept, but is in no interval.
        """
        span = {"start": to_millis(start), "end": to_millis(end)}
        with self._database.translate_errors():
            found = self._file.execute(_FIND, span).fetchall()
        for payload, repaired in found:
            batch = unpack_batch(payload)
            rows = self._clocks.correct(batch) if repaired else batch.measurements
            for measurement in rows:
                if start <= measurement.time < end:
                    yield batch.vantage, measurement

    def first_time(self) -> datetime | None:
        """Return the time of the oldest measurement, None while there is none."""
        with self._database.translate_errors():
            query = "SELECT min(first) FROM (SELECT min(first) AS first FROM batch WHERE wide = 0"
            query += " AND first > 0 UNION ALL SELECT min(first) FROM batch WHERE wide = 1)"
            first = self._file.execute(query).fetchone()[0]
        return None if first is None else EPOCH + timedelta(milliseconds=first)

    def count_set_aside(self) -> int:
        """Return how many measurements are kept whose time nobody knows well enough."""
        with self._database.translate_errors():
            return self._clocks.count_set_aside()

    def arrivals(self) -> list[FirstSeen]:
        """Return when each agent was first heard from."""
        with self._database.translate_errors():
            return read_first_seen(self._file)

    def late_bins(self) -> list[datetime]:
        """Return the starts of closed bins that got something new since."""
        with self._database.translate_errors():
            self._looked = self._changes()
            rows = self._file.execute("SELECT time FROM late ORDER BY time").fetchall()
        return [EPOCH + timedelta(milliseconds=time) for (time,) in rows]

    def settle_late(self, times: Sequence[datetime]) -> None:
        """Forget that these bins were late: they are counted and written anew.

        Where another process has written since `late_bins`, they stay late: it may have
        brought what was not counted.
        """
        with self._database.transaction():
            if self._changes() != self._looked:
                return
            rows = [(to_millis(time),) for time in times]
            self._file.executemany("DELETE FROM late WHERE time = ?", rows)

    def identify(self, agent: str) -> tuple[Vantage, bytes | None] | None:
        """Return an agent with the country and network that it is known by, and its key.

        They are those it enrolled with; where it left them open, those of its newest batch.
        None for a stranger, the key None for one who does not sign.
        """
        with self._database.translate_errors():
            found = self._file.execute(_IDENTIFY, {"agent": agent}).fetchone()
        if found is None:
            return None
        country, asn, key = found
        return Vantage(agent, country, asn), key

    def speaks_for(self, agent: str, key: bytes | None) -> bool:
        """Tell whether `key` is an agent's, or nobody else's is."""
        with self._database.translate_errors():
            return speaks_for(self._file, agent, key)

    def count_batches(self) -> int:
        """Return how many batches are kept."""
        with self._database.translate_errors():
            return int(self._file.execute("SELECT count(*) FROM batch").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _add_one(
        self, parcel: ReceivedBatch, closed_until: datetime | None, width: timedelta
    ) -> IngestResult:
        """Keep one parcel, inside a transaction."""
        batch = parcel.batch
        times = [to_millis(measurement.time) for measurement in batch.measurements] or [0]
        first, last = min(times), max(times)
        who = check_sender(self._file, batch.vantage, parcel.key, last=last)
        if who in {SenderStatus.STRANGER, SenderStatus.RETIRED}:
            return IngestResult.RETIRED if who is SenderStatus.RETIRED else IngestResult.WRONG_KEY
        if self._is_replaced(batch.vantage.id, batch.sequence):
            return IngestResult.REPEATED
        digest = blake2b(parcel.payload, digest_size=16).digest()
        # What has clocks counts nowhere until they have been looked at.
        ends = (0, 0) if _is_clocked(parcel) else (first, last)
        row = (batch.vantage.id, batch.sequence, *ends, ends[1] - ends[0] > _WIDE, digest)
        state = _ASIDE if who is SenderStatus.ASIDE else _COUNTS
        added = self._file.execute(_KEEP, (*row, state, parcel.payload))
        if not added.rowcount:
            return self._compare(parcel, digest, last)
        if parcel.arrived is not None and _is_clocked(parcel):
            dated = self._clocks.take(batch, to_millis(parcel.arrived))
            times = [time for ends in dated for time in _steps(ends, width)]
        if parcel.heard is not None:
            note_first_seen(self._file, batch.vantage, parcel.heard)
        if state == _ASIDE:
            return IngestResult.QUARANTINED
        vantage = batch.vantage
        self._file.execute(_SETTLE, (vantage.id, vantage.country, vantage.asn, batch.sequence))
        for low, high in batch.supersedes:
            times += self._replace((batch.vantage.id, low, high), width)
        if closed_until is not None:
            self._note_late(times, to_millis(closed_until), width)
        return IngestResult.STORED

    def _compare(self, parcel: ReceivedBatch, digest: bytes, last: int) -> IngestResult:
        """Judge a parcel whose name is taken: is it the same once more, or other content?"""
        name = parcel.batch.vantage.id
        query = "SELECT digest FROM batch WHERE vantage = ? AND sequence = ?"
        (known,) = self._file.execute(query, (name, parcel.batch.sequence)).fetchone()
        if known == digest:
            return IngestResult.REPEATED
        # Without a signature anybody may have sent it: no reason to doubt the agent.
        if parcel.key is not None:
            quarantine(self._file, name, since=last, reason=IngestResult.EQUIVOCATION.value)
        return IngestResult.EQUIVOCATION

    def _changes(self) -> int:
        """Return a number that is another one after others have written to the file."""
        return int(self._file.execute("PRAGMA data_version").fetchone()[0])

    def _is_replaced(self, vantage: str, sequence: int) -> bool:
        """Tell whether a batch's place was taken by a later one."""
        query = "SELECT 1 FROM replaced WHERE vantage = ? AND high >= ? AND low <= ? LIMIT 1"
        found = self._file.execute(query, (vantage, sequence, sequence)).fetchone()
        return found is not None

    def _replace(self, place: tuple[str, int, int], width: timedelta) -> list[int]:
        """Let a vantage's range of batches count no more; return where in time they counted."""
        chosen = "vantage = ? AND sequence BETWEEN ? AND ? AND replaced = 0"
        query = f"SELECT payload, first, last FROM batch WHERE {chosen}"  # noqa: S608 - constants
        self._file.execute("INSERT OR IGNORE INTO replaced VALUES (?, ?, ?)", place)
        found = self._file.execute(query, place).fetchall()
        self._file.execute(f"UPDATE batch SET replaced = 1 WHERE {chosen}", place)  # noqa: S608 - constants
        self._clocks.drop(*place)
        return [
            time for payload, *ends in found for time in _bins(unpack_batch(payload), ends, width)
        ]

    def _note_late(self, times: Sequence[int], bound: int, width: timedelta) -> None:
        """Remember the closed bins that `times` lie in."""
        step = width // timedelta(milliseconds=1)
        late = {time - time % step for time in times if time < bound}
        self._file.executemany(
            "INSERT OR IGNORE INTO late VALUES (?)", [(time,) for time in sorted(late)]
        )


def _is_clocked(parcel: ReceivedBatch) -> bool:
    """Tell whether a parcel is dated by its clocks."""
    return bool(parcel.batch.clock_segments) and parcel.arrived is not None


def _bins(batch: Batch, ends: Sequence[int], width: timedelta) -> list[int]:
    """Return a time in every bin that a kept batch counts in, `ends` being its first and last."""
    if batch.clock_segments:
        return list(_steps(ends, width))
    return [to_millis(row.time) for row in batch.measurements]


def _steps(ends: Sequence[int], width: timedelta) -> range:
    """Return a time in every bin that lies between two times; none for a batch without any."""
    step = width // timedelta(milliseconds=1)
    return range(ends[0] - ends[0] % step, ends[1] + 1, step) if ends[1] else range(0)
