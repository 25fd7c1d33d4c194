"""The raw log: every batch as it was received, durable before it is acknowledged.

One SQLite file in WAL mode. A batch is stored as its own compact bytes (about ten per
measurement); an index on its times finds those of an interval.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from netwatch.collector.agent_tables import AgentTables, IngestResult
from netwatch.collector.clock_corrector import ClockCorrector
from netwatch.collector.clock_store import CLOCK_TABLES, WIDE_MS, TimeRange
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.model.time import from_millis, to_millis
from netwatch.wire.batch_codec import unpack_batch

BATCH_LOG_FILE = "batches.sqlite"
"""Name of the log in the data folder; it also holds the tables of agents."""
_BATCH_TABLES = """
CREATE TABLE IF NOT EXISTS batch (
    vantage TEXT NOT NULL, sequence INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, wide INTEGER NOT NULL,
    state INTEGER NOT NULL, digest BLOB NOT NULL, payload BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS once ON batch (vantage, sequence);
CREATE INDEX IF NOT EXISTS narrow ON batch (first, last) WHERE wide = 0;
CREATE INDEX IF NOT EXISTS broad ON batch (first, last) WHERE wide = 1;
CREATE TABLE IF NOT EXISTS superseded (
    vantage TEXT NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
    PRIMARY KEY (vantage, high, low)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS location (
    id TEXT PRIMARY KEY, country TEXT NOT NULL, asn INTEGER NOT NULL, sequence INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS late (time INTEGER PRIMARY KEY);
"""
"""`first` and `last` bound a batch's measurements in milliseconds since 1970, 0 without any;
`wide` batches span more than an hour, so that the index on `first` can start an hour before an
interval for all others. `location` is the country and network of an agent's newest batch."""
_COUNTED, _SUPERSEDED, _QUARANTINED = range(3)
"""Values of `state`."""
_INSERT = "INSERT OR IGNORE INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LOCATE = """
INSERT INTO location VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
SET country = excluded.country, asn = excluded.asn, sequence = excluded.sequence
WHERE excluded.sequence > sequence
    AND (excluded.country <> country OR excluded.asn <> asn)
"""
_IDENTIFY = """
SELECT coalesce(nullif(agent.country, ''), location.country, ''),
    coalesce(nullif(agent.network, 0), location.asn, 0), vantage.key
FROM (SELECT :agent AS id) AS asked
LEFT JOIN agent ON agent.id = asked.id AND agent.retired IS NULL
LEFT JOIN location ON location.id = asked.id LEFT JOIN vantage ON vantage.id = asked.id
WHERE agent.id IS NOT NULL OR location.id IS NOT NULL
"""
_IS_CORRECTED = """EXISTS (SELECT 1 FROM clock_span WHERE clock_span.vantage = batch.vantage
    AND clock_span.sequence = batch.sequence AND uncorrected = 0)"""
_IN_INTERVAL = f"""
SELECT payload, {_IS_CORRECTED} FROM batch
WHERE wide = 0 AND first >= :start - {WIDE_MS} AND first < :end AND last >= :start AND state = 0
UNION ALL
SELECT payload, {_IS_CORRECTED} FROM batch
WHERE wide = 1 AND first < :end AND last >= :start AND state = 0
"""  # noqa: S608 - constants
_FIRST_TIME = """
SELECT min(first) FROM (
    SELECT min(first) AS first FROM batch WHERE wide = 0 AND first > 0
    UNION ALL SELECT min(first) FROM batch WHERE wide = 1
)
"""
_FOREVER = 2**62


@dataclass(frozen=True, slots=True)
class ReceivedBatch:
    """A batch as it was received.

    Attributes:
        payload: the message it was unpacked from.
        key: the public key that signed it, None if unsigned.
    """

    batch: Batch
    payload: bytes
    key: bytes | None
    received_at: datetime


class BatchLog(AgentTables):
    """The collector's durable log; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, more_tables=_BATCH_TABLES + CLOCK_TABLES)
        self._clocks = ClockCorrector(self._file)
        self._seen_version = self._data_version()

    def add(
        self, received: Sequence[ReceivedBatch], *, closed_until: datetime | None, width: timedelta
    ) -> list[IngestResult]:
        """Store batches in one durable transaction and return the result of each.

        A repeated batch is stored once. A sequence that was used for other content is an
        equivocation: the second batch is not stored, and if it is signed, the agent is
        quarantined. A superseded batch does not count, whether it is stored already or arrives
        later. `netwatch.collector.agent_tables` decides about senders. Bins of `width` before
        `closed_until` that get new data are recorded as late in the same transaction.
        """
        with self._database.transaction():
            return [self._add_one(one, closed_until, width) for one in received]

    def release(self, vantage: str, *, width: timedelta) -> int:
        """End an agent's quarantine and count its batches; return how many.

        Bins of `width` that get new data are recorded as late. The agent is fully trusted from
        now on, however new it is, since the operator has vetted it.
        """
        chosen = "FROM batch WHERE vantage = ? AND state = 2"
        with self._database.transaction():
            self._file.execute("DELETE FROM quarantine WHERE id = ?", (vantage,))
            self._file.execute("UPDATE first_seen SET vetted = 1 WHERE id = ?", (vantage,))
            query = f"SELECT payload, first, last {chosen}"
            rows = self._file.execute(query, (vantage,)).fetchall()
            self._file.execute(
                "UPDATE batch SET state = 0 WHERE vantage = ? AND state = 2", (vantage,)
            )
            for payload, first, last in rows:
                batch = unpack_batch(payload)
                late = _row_ranges(batch, TimeRange(first, last))
                for low, high in batch.supersedes:
                    late += self._supersede(vantage, low, high)
                self._mark_late(late, _FOREVER, width)
        return len(rows)

    def erase(self, vantage: str) -> int:
        """Delete an agent, its key and its batches; return the number of batches."""
        with self._database.secure_delete():
            erased = self._file.execute("DELETE FROM batch WHERE vantage = ?", (vantage,)).rowcount
            self._file.execute("DELETE FROM superseded WHERE vantage = ?", (vantage,))
            self._file.execute("DELETE FROM location WHERE id = ?", (vantage,))
            self._clocks.erase(vantage)
            self._erase_agent(vantage)
        return erased

    def measurements(self, start: datetime, end: datetime) -> Iterator[tuple[Vantage, Measurement]]:
        """Yield every measurement with `start <= time < end` and its vantage.

        Times are corrected by what is known of the vantage's clocks; a measurement whose time
        is too uncertain is stored, but in no interval.
        """
        span = {"start": to_millis(start), "end": to_millis(end)}
        for payload, is_corrected in self._database.fetch(_IN_INTERVAL, span):
            batch = unpack_batch(payload)
            rows = self._clocks.correct(batch) if is_corrected else batch.measurements
            for row in rows:
                if start <= row.time < end:
                    yield batch.vantage, row

    def first_time(self) -> datetime | None:
        """Return the time of the oldest measurement, None without any."""
        ((first,),) = self._database.fetch(_FIRST_TIME)
        return None if first is None else from_millis(first)

    def late_bins(self) -> list[datetime]:
        """Return the starts of closed bins that got new data since."""
        with self._database.translate_errors():
            self._seen_version = self._data_version()
        rows = self._database.fetch("SELECT time FROM late ORDER BY time")
        return [from_millis(time) for (time,) in rows]

    def clear_late(self, times: Sequence[datetime]) -> None:
        """Record that late bins were counted again.

        If another process has written since `late_bins`, they stay late: its data was not counted.
        """
        with self._database.transaction():
            if self._data_version() != self._seen_version:
                return
            rows = [(to_millis(time),) for time in times]
            self._file.executemany("DELETE FROM late WHERE time = ?", rows)

    def identify(self, agent: str) -> tuple[Vantage, bytes | None] | None:
        """Return an agent with its registered country and network, and its key.

        The country and network are those of its enrollment, or, where that left them open, of
        its newest batch. None for an unknown agent; the key is None if it does not sign.
        """
        rows = self._database.fetch(_IDENTIFY, {"agent": agent})
        if not rows:
            return None
        country, asn, key = rows[0]
        return Vantage(agent, country, asn), key

    def _add_one(
        self, received: ReceivedBatch, closed_until: datetime | None, width: timedelta
    ) -> IngestResult:
        batch, vantage = received.batch, received.batch.vantage
        times = [to_millis(row.time) for row in batch.measurements] or [0]
        first, last = min(times), max(times)
        objection = self._check_sender(vantage, received.key, last=last)
        if objection in {IngestResult.WRONG_KEY, IngestResult.RETIRED}:
            return objection
        if self._is_superseded(vantage.id, batch.sequence):
            return IngestResult.REPEATED
        digest = blake2b(received.payload, digest_size=16).digest()
        # A batch that needs clock correction is in no interval before it is corrected.
        span = TimeRange(0, 0) if batch.clock_segments else TimeRange(first, last)
        row = (vantage.id, batch.sequence, *span, span.last - span.first > WIDE_MS)
        state = _QUARANTINED if objection else _COUNTED
        if not self._file.execute(_INSERT, (*row, state, digest, received.payload)).rowcount:
            return self._compare(received, digest, last)
        late = [TimeRange(time, time) for time in times]
        if batch.clock_segments:
            late = self._clocks.add(batch, to_millis(received.received_at))
        self._record_first_seen(vantage, received.received_at)
        if objection:
            return objection
        self._file.execute(_LOCATE, (vantage.id, vantage.country, vantage.asn, batch.sequence))
        for low, high in batch.supersedes:
            late += self._supersede(vantage.id, low, high)
        if closed_until is not None:
            self._mark_late(late, to_millis(closed_until), width)
        return IngestResult.STORED

    def _compare(self, received: ReceivedBatch, digest: bytes, last: int) -> IngestResult:
        name = received.batch.vantage.id
        query = "SELECT digest FROM batch WHERE vantage = ? AND sequence = ?"
        (known,) = self._file.execute(query, (name, received.batch.sequence)).fetchone()
        if known == digest:
            return IngestResult.REPEATED
        # Anyone may have sent an unsigned batch, so it is no reason to doubt the agent. The first
        # reason stays.
        if received.key is not None:
            row = (name, last, IngestResult.EQUIVOCATION.value)
            self._file.execute("INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)", row)
        return IngestResult.EQUIVOCATION

    def _data_version(self) -> int:
        """Return a number that changes when another connection writes to the file."""
        return int(self._file.execute("PRAGMA data_version").fetchone()[0])

    def _is_superseded(self, vantage: str, sequence: int) -> bool:
        query = "SELECT 1 FROM superseded WHERE vantage = ? AND high >= ? AND low <= ? LIMIT 1"
        return self._exists(query, vantage, sequence, sequence)

    def _supersede(self, vantage: str, low: int, high: int) -> list[TimeRange]:
        """Stop counting a vantage's range of sequences; return the times at which it counted."""
        batches = (vantage, low, high)
        chosen = "vantage = ? AND sequence BETWEEN ? AND ? AND state = 0"
        query = f"SELECT payload, first, last FROM batch WHERE {chosen}"  # noqa: S608 - constants
        self._file.execute("INSERT OR IGNORE INTO superseded VALUES (?, ?, ?)", batches)
        late = [
            times
            for payload, first, last in self._file.execute(query, batches)
            for times in _row_ranges(unpack_batch(payload), TimeRange(first, last))
        ]
        self._file.execute(f"UPDATE batch SET state = {_SUPERSEDED} WHERE {chosen}", batches)  # noqa: S608 - constants
        self._clocks.drop(*batches)
        return late

    def _mark_late(self, ranges: Iterable[TimeRange], bound: int, width: timedelta) -> None:
        """Record that the bins of `width` in time ranges, and before `bound`, got new data."""
        step = width // timedelta(milliseconds=1)
        late = {
            (start,)
            for first, last in ranges
            if last
            for start in range(first - first % step, min(last + 1, bound), step)
        }
        self._file.executemany("INSERT OR IGNORE INTO late VALUES (?)", sorted(late))


def _row_ranges(batch: Batch, span: TimeRange) -> list[TimeRange]:
    """Return the times at which a batch counted: of its rows, or `span` if they are corrected.

    Every bin of a span over months would be counted again for a few rows.
    """
    if batch.clock_segments:
        return [span]
    times = (to_millis(row.time) for row in batch.measurements)
    return [TimeRange(time, time) for time in times]
