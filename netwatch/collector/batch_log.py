"""The raw log: every batch as it was received, durable before it is acknowledged.

One SQLite file in WAL mode. A batch is stored as its own compact bytes (about ten per
measurement); an index on its times finds those of an interval.
"""

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from time import monotonic

from netwatch.collector.agent_tables import AgentTables, IngestResult
from netwatch.collector.clock_corrector import ClockCorrector
from netwatch.collector.clock_store import CLOCK_TABLES, WIDE_MS, TimeRange
from netwatch.collector.late_bins import LATE_TABLES, LateBins, bin_starts
from netwatch.collector.superseded import SUPERSEDED_TABLES, SupersededRanges
from netwatch.collector.trust_weights import TrustSettings
from netwatch.model.errors import InputError, StoreError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.model.time import from_millis, to_millis
from netwatch.wire.batch_codec import unpack_batch, unpack_chosen
from netwatch.wire.signing import signer_of

_BATCH_TABLES = """
CREATE TABLE IF NOT EXISTS batch (
    vantage TEXT NOT NULL, sequence INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, wide INTEGER NOT NULL,
    state INTEGER NOT NULL, digest BLOB NOT NULL, payload BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS once ON batch (vantage, sequence);
CREATE INDEX IF NOT EXISTS narrow ON batch (first, last) WHERE wide = 0;
CREATE INDEX IF NOT EXISTS broad ON batch (first, last) WHERE wide = 1;
CREATE TABLE IF NOT EXISTS location (
    id TEXT PRIMARY KEY, country TEXT NOT NULL, asn INTEGER NOT NULL, sequence INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsigned (vantage TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock_line (boot TEXT PRIMARY KEY, line REAL NOT NULL);
"""
"""`first` and `last` bound a batch's measurements in milliseconds since 1970, 0 without any;
`wide` batches span more than an hour, so that the index on `first` can start an hour before an
interval for all others. `location` is the country and network of an agent's newest batch;
`unsigned` names the agents of which unsigned batches are stored.
`clock_line` is the collector's own clock: seconds from this machine's monotonic one to the time."""
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
_MAX_OVERLAPPING = 50
"""Batches of more than an hour that one agent may have at one time. It merges batches in order, so
that its own overlap little; others would be read for every interval of their months."""
_IS_CORRECTED = """EXISTS (SELECT 1 FROM clock_span WHERE clock_span.vantage = batch.vantage
    AND clock_span.sequence = batch.sequence AND uncorrected = 0)"""
_IN_INTERVAL = f"""
SELECT vantage, sequence, payload, {_IS_CORRECTED} FROM batch
WHERE wide = 0 AND first >= :start - {WIDE_MS} AND first < :end AND last >= :start AND state = 0
UNION ALL
SELECT vantage, sequence, payload, {_IS_CORRECTED} FROM batch WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER (PARTITION BY vantage ORDER BY sequence) AS number
        FROM batch WHERE wide = 1 AND first < :end AND last >= :start AND state = 0
    ) WHERE number <= {_MAX_OVERLAPPING}
)
"""  # noqa: S608 - constants
_FIRST_TIME = """
SELECT min(first) FROM (
    SELECT min(first) AS first FROM batch WHERE wide = 0 AND first > 0
    UNION ALL SELECT min(first) FROM batch WHERE wide = 1
)
"""
_FOREVER = 2**62
_log = logging.getLogger("netwatch.collector")
_SUPERSEDED_AT_ONCE = 200
"""Stored batches that one transaction takes out of the count because a newer one replaces them. The
rest follows later. An agent deletes what it merges, so few of them are stored."""
_MAX_ROWS = 20_000
"""Measurements of one agent that are read in an interval: 66 a second in five minutes."""
_MAX_UNCOUNTED = 200
"""Batches in an interval that are read of all agents together that do not count."""
_MAX_POSTPONED_SECONDS = 0.25
"""Seconds after which no more of what was postponed is done: batches wait meanwhile."""
_LOOKED_AT_ONCE = 1_000
"""Stored batches and superseded ranges that are looked at in one transaction for the same."""


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
    """The collector's durable log; used by one thread at a time.

    Attributes:
        waiting_bins: late bins of the last `add` that are not counted again at once, since an
            agent used up its allowance; see `netwatch.collector.late_bins`.
        trust: who counts in addition to enrolled agents. Late data of those who do not count
            changes no bin, so none is counted again for it.
        unread: batches of the last interval that were not read, since their agents sent too many.
    """

    def __init__(self, path: Path) -> None:
        tables = _BATCH_TABLES + SUPERSEDED_TABLES + LATE_TABLES + CLOCK_TABLES
        super().__init__(path, more_tables=tables)
        self._clocks = ClockCorrector(self._file)
        self._superseded = SupersededRanges(self._file)
        self._late = LateBins(self._database)
        self._redated = ""
        self.waiting_bins = 0
        self.trust = TrustSettings()
        self.unread = 0
        with self._database.transaction():
            self._superseded.adopt_former_table()

    def add(
        self, received: Iterable[ReceivedBatch], *, closed_until: datetime | None, width: timedelta
    ) -> list[IngestResult]:
        """Store batches in one durable transaction and return the result of each.

        They are taken one by one, so that one at a time is in memory. A repeated batch is stored
        once. Two batches with one sequence, both signed with keys of the agent, are an
        equivocation: the second is not stored, and the agent is quarantined. A batch that such
        a key signed replaces those that none did. A superseded batch does not count, whether it is
        stored already or arrives later. `netwatch.collector.agent_tables` decides about senders.
        Bins of `width` before `closed_until` that get new data are recorded as late in the same
        transaction.
        """
        self.waiting_bins = 0
        with self._database.transaction():
            return [self._try_to_add(one, closed_until, width) for one in received]

    def release(self, vantage: str, *, width: timedelta) -> int:
        """End an agent's quarantine and count its batches; return how many.

        Bins of `width` that get new data are recorded as late. The agent is fully trusted from
        now on, however new it is, since the operator has vetted it.

        Raises:
            InputError: it has sent nothing yet, so there is nothing to vet.
        """
        chosen = "FROM batch WHERE vantage = ? AND state = 2"
        with self._database.transaction():
            self._file.execute("DELETE FROM quarantine WHERE id = ?", (vantage,))
            vet = "UPDATE first_seen SET vetted = 1 WHERE id = ?"
            if not self._file.execute(vet, (vantage,)).rowcount:
                raise InputError(f"{vantage!r} has sent nothing yet; see: netwatch agents list")
            query = f"SELECT sequence, payload {chosen}"
            rows = self._file.execute(query, (vantage,)).fetchall()
            self._file.execute(
                "UPDATE batch SET state = 0 WHERE vantage = ? AND state = 2", (vantage,)
            )
            for sequence, payload in rows:
                places = self._clocks.places(vantage, sequence)
                places += self._supersede(vantage, unpack_batch(payload).supersedes, width)
                self._late.mark_all(bin_starts(places, before=_FOREVER, width=width))
        return len(rows)

    def erase(self, vantage: str, *, now: datetime) -> int:
        """Delete an agent, its key and its batches; return the number of batches."""
        with self._database.secure_delete():
            erased = self._forget_batches(vantage)
            self._late.erase(vantage)
            self._erase_agent(vantage, now)
        return erased

    def measurements(self, start: datetime, end: datetime) -> Iterator[tuple[Vantage, Measurement]]:
        """Yield every measurement with `start <= time < end` and its vantage.

        Times are corrected by what is known of the vantage's clocks; a measurement whose time
        is too uncertain is stored, but in no interval. Beyond `_MAX_ROWS` and `_MAX_UNCOUNTED`,
        batches are not read; see `unread`.
        """
        span = {"start": to_millis(start), "end": to_millis(end)}
        counted = None if self.trust.open_weight > 0 else self.may_count(self.trust.own_keys())
        rows: Counter[str] = Counter()
        uncounted = self.unread = 0
        for vantage, sequence, payload, is_corrected in self._database.fetch(_IN_INTERVAL, span):
            account = vantage if counted is None or vantage in counted else ""
            uncounted += not account
            if rows[account] >= _MAX_ROWS or (uncounted > _MAX_UNCOUNTED and not account):
                self.unread += 1
                continue

            def choose(
                times: list[int],
                batch: tuple[str, int] | None = (vantage, sequence) if is_corrected else None,
            ) -> dict[int, int]:
                true_times = self._clocks.true_times(*batch, times) if batch else times
                return {
                    index: time
                    for index, time in enumerate(true_times)
                    if time is not None and span["start"] <= time < span["end"]
                }

            found = unpack_chosen(payload, choose)
            rows[account] += len(found.measurements)
            for row in found.measurements:
                yield found.vantage, row

    def first_time(self) -> datetime | None:
        """Return the time of the oldest measurement, None without any."""
        ((first,),) = self._database.fetch(_FIRST_TIME)
        return None if first is None else from_millis(first)

    def recount(self, start: datetime, end: datetime, *, width: timedelta) -> bool:
        """Have the bins of `width` in an interval counted again; False without data for them."""
        interval = (to_millis(start), to_millis(end))
        query = "SELECT 1 FROM batch WHERE last >= ? AND first < ? AND state = 0 LIMIT 1"
        with self._database.transaction():
            if not self._exists(query, *interval):
                return False
            places = TimeRange(interval[0], interval[1] - 1)
            self._late.mark_all(bin_starts([places], before=_FOREVER, width=width))
        return True

    def late_bins(self) -> list[datetime]:
        """Return the starts of closed bins that got new data since."""
        since = monotonic()
        postponed = "SELECT 1 FROM superseding UNION ALL SELECT 1 FROM clock_redating LIMIT 1"
        while self._database.fetch(postponed):
            with self._database.transaction():
                self._continue_superseding()
                self._continue_redating()
            if monotonic() - since > _MAX_POSTPONED_SECONDS:
                break
        return self._late.read()

    def late_senders(self, time: datetime) -> set[str]:
        """Return the agents of which the late bin at `time` got new data."""
        return self._late.senders(time)

    def clear_late(self, times: Sequence[datetime]) -> None:
        """Record that late bins were counted again.

        If another process has written since `late_bins`, they stay late: its data was not counted.
        """
        self._late.clear(times)

    def clock_line(self, boot: str) -> float | None:
        """Return the line of the collector's clock in a boot of its machine, None if unknown."""
        rows = self._database.fetch("SELECT line FROM clock_line WHERE boot = ?", (boot,))
        return rows[0][0] if rows else None

    def keep_clock_line(self, boot: str, line: float) -> None:
        """Store the line of the collector's clock, for its next start in the same boot."""
        with self._database.transaction():
            self._file.execute("DELETE FROM clock_line")
            self._file.execute("INSERT INTO clock_line VALUES (?, ?)", (boot, line))

    def identify(self, agent: str, at: datetime) -> tuple[Vantage, frozenset[bytes | None]] | None:
        """Return an agent with its registered country and network, and the keys valid at a time.

        The country and network are those of its enrollment, or, where that left them open, of
        its newest batch. None for an unknown agent; the only key is None if it does not sign.
        """
        rows = self._database.fetch(_IDENTIFY, {"agent": agent})
        if not rows:
            return None
        country, asn, key = rows[0]
        query = "SELECT key FROM former_key WHERE id = ? AND until >= ?"
        former = self._database.fetch(query, (agent, to_millis(at)))
        return Vantage(agent, country, asn), frozenset([key, *(one for (one,) in former)])

    def _try_to_add(
        self, received: ReceivedBatch, closed_until: datetime | None, width: timedelta
    ) -> IngestResult:
        """Add a batch completely or not at all: no single one may stop the others.

        A failure of the disk is no batch's fault and stops all, so that they are sent again; a row
        that breaks a rule of the tables is a defect.
        """
        self._file.execute("SAVEPOINT batch")
        try:
            result = self._add_one(received, closed_until, width)
        except Exception as error:  # a defect, whatever it is
            is_of_disk = isinstance(error, (sqlite3.Error, StoreError))
            if is_of_disk and not isinstance(error, sqlite3.IntegrityError):
                raise
            _log.exception("a batch of %s cannot be stored", received.batch.vantage.id)
            self._file.execute("ROLLBACK TO batch")
            result = IngestResult.DEFECT
        self._file.execute("RELEASE batch")
        return result

    def _add_one(
        self, received: ReceivedBatch, closed_until: datetime | None, width: timedelta
    ) -> IngestResult:
        batch, vantage = received.batch, received.batch.vantage
        times = [to_millis(row.time) for row in batch.measurements] or [0]
        first, last = min(times), max(times)
        objection = self._check_sender(vantage, received.key, last=last, now=received.received_at)
        if objection in {IngestResult.WRONG_KEY, IngestResult.RETIRED}:
            return objection
        late = self._prefer_signed(vantage.id, received.key)
        if self._superseded.contains(vantage.id, batch.sequence):
            return IngestResult.REPEATED
        digest = blake2b(received.payload, digest_size=16).digest()
        # A batch that needs clock correction is in no interval before it is corrected.
        span = TimeRange(0, 0) if batch.clock_segments else TimeRange(first, last)
        row = (vantage.id, batch.sequence, *span, span.last - span.first > WIDE_MS)
        state = _QUARANTINED if objection else _COUNTED
        values = (*row, state, digest, received.payload)
        if not self._file.execute(_INSERT, values).rowcount:
            if conflict := self._compare(received, digest, last):
                return conflict
            late += self._remove(vantage.id, batch.sequence)
            self._file.execute(_INSERT, values)
        if batch.clock_segments:
            width_ms = width // timedelta(milliseconds=1)
            late += self._clocks.add(batch, to_millis(received.received_at), width_ms)
        else:
            late += [TimeRange(time, time) for time in times]
        self._record_first_seen(vantage, received.received_at)
        if not objection:
            self._file.execute(_LOCATE, (vantage.id, vantage.country, vantage.asn, batch.sequence))
            late += self._supersede(vantage.id, batch.supersedes, width)
            if closed_until is not None:
                now_ms = to_millis(received.received_at)
                self._mark_late(vantage.id, late, to_millis(closed_until), width, now_ms=now_ms)
        return objection or IngestResult.STORED

    def _compare(self, received: ReceivedBatch, digest: bytes, last: int) -> IngestResult | None:
        """Return the result for a batch whose sequence is used; None if it replaces the other."""
        name = received.batch.vantage.id
        query = "SELECT digest, payload FROM batch WHERE vantage = ? AND sequence = ?"
        known, payload = self._file.execute(query, (name, received.batch.sequence)).fetchone()
        if known == digest:
            return IngestResult.REPEATED
        if received.key is None:
            return IngestResult.EQUIVOCATION
        if not self._has_key(name, signer_of(payload)):
            return None
        # The first reason stays.
        row = (name, last, IngestResult.EQUIVOCATION.value)
        self._file.execute("INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)", row)
        return IngestResult.EQUIVOCATION

    def _prefer_signed(self, vantage: str, key: bytes | None) -> list[TimeRange]:
        """Forget an agent's unsigned batches once it signs; return where they counted.

        Anyone may have sent them, under a name that is not theirs.
        """
        if key is None:
            self._file.execute("INSERT OR IGNORE INTO unsigned VALUES (?)", (vantage,))
            return []
        query = "DELETE FROM unsigned WHERE vantage = ?"
        if not self._file.execute(query, (vantage,)).rowcount:
            return []
        query = "SELECT sequence FROM batch WHERE vantage = ? AND state = 0"
        sequences = self._file.execute(query, (vantage,)).fetchall()
        places = [
            one for (sequence,) in sequences for one in self._clocks.places(vantage, sequence)
        ]
        self._forget_batches(vantage)
        return places

    def _forget_batches(self, vantage: str) -> int:
        """Delete all batches of an agent and what follows from them; return their number."""
        count = self._file.execute("DELETE FROM batch WHERE vantage = ?", (vantage,)).rowcount
        self._file.execute("DELETE FROM location WHERE id = ?", (vantage,))
        self._file.execute("DELETE FROM unsigned WHERE vantage = ?", (vantage,))
        self._superseded.erase(vantage)
        self._clocks.erase(vantage)
        return count

    def _remove(self, vantage: str, sequence: int) -> list[TimeRange]:
        """Delete one batch; return where it counted."""
        places = self._clocks.places(vantage, sequence)
        name = (vantage, sequence)
        self._file.execute("DELETE FROM batch WHERE vantage = ? AND sequence = ?", name)
        self._clocks.drop(vantage, sequence, sequence)
        return places

    def _supersede(
        self, vantage: str, ranges: Sequence[tuple[int, int]], width: timedelta
    ) -> list[TimeRange]:
        """Stop counting an agent's ranges of sequences; return where they counted."""
        # One that ends before it starts holds nothing, and would break the order of the others.
        ranges = [one for one in ranges if one[0] <= one[1]]
        if not ranges:
            return []
        self._superseded.add(vantage, ranges)
        low, high = min(one[0] for one in ranges), max(one[1] for one in ranges)
        return self._stop_counting(vantage, low, high, width)

    def _continue_superseding(self) -> None:
        """Stop counting more of what one agent superseded."""
        postponed = self._superseded.take_postponed()
        if postponed is not None:
            vantage, low, high, width_ms = postponed
            width = timedelta(milliseconds=width_ms)
            places = self._stop_counting(vantage, low, high, width)
            now = self._late.last_day_ms()
            self._mark_late(vantage, places, _FOREVER, width, now_ms=now)

    def _continue_redating(self) -> None:
        """Date more of one agent's batches by what is known of its clocks since."""
        waiting = self._clocks.waiting(self._redated)
        if waiting is not None:
            self._redated, width_ms = waiting
            places = self._clocks.redate(self._redated)
            width = timedelta(milliseconds=width_ms)
            (now,) = self._file.execute("SELECT unixepoch() * 1000").fetchone()
            self._mark_late(self._redated, places, _FOREVER, width, now_ms=now)

    def _stop_counting(
        self, vantage: str, low: int, high: int, width: timedelta
    ) -> list[TimeRange]:
        """Stop counting superseded batches from one sequence to another; return where they were.

        What would take too long is postponed.
        """
        counted = "vantage = ? AND sequence BETWEEN ? AND ? AND state = 0"
        query = f"SELECT sequence FROM batch WHERE {counted} ORDER BY sequence LIMIT 1"  # noqa: S608 - constants
        stop = f"UPDATE batch SET state = {_SUPERSEDED} WHERE vantage = ? AND sequence = ?"  # noqa: S608 - constants
        places: list[TimeRange] = []
        stopped = 0
        for _ in range(_LOOKED_AT_ONCE):
            found = self._file.execute(query, (vantage, low, high)).fetchone()
            start = found and self._superseded.next_start(vantage, found[0])
            if start is None:
                return places
            low = start
            if start <= found[0]:
                if stopped == _SUPERSEDED_AT_ONCE:
                    break
                places += self._clocks.places(vantage, found[0])
                self._file.execute(stop, (vantage, found[0]))
                self._clocks.drop(vantage, found[0], found[0])
                low, stopped = found[0] + 1, stopped + 1
        self._superseded.postpone(vantage, low, high, width // timedelta(milliseconds=1))
        return places

    def _mark_late(
        self,
        vantage: str,
        places: Iterable[TimeRange],
        before: int,
        width: timedelta,
        *,
        now_ms: int,
    ) -> None:
        """Record that the bins of `width` before a bound got new data, as far as allowed."""
        is_counted = self.is_invited(vantage) or self.key_of(vantage) in self.trust.own_keys()
        if is_counted or self.trust.open_weight > 0:
            bins = bin_starts(places, before=before, width=width)
            waiting = self._late.mark(bins, vantage, is_counted=is_counted, now_ms=now_ms)
            self.waiting_bins += waiting
