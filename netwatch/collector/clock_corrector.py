"""Corrects measurement times by what is known of each vantage's clocks.

Uses the file and the transactions of the batch log. New knowledge dates earlier batches again.
A batch that arrives before any anchor is stored, but is in no interval until its time is known
well enough.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from netwatch.collector.clock_estimate import UNBOUNDED, UNLIMITED, Anchor, Bounds, Estimate
from netwatch.collector.clock_store import WIDE_MS, Boot, Span, TimeRange
from netwatch.model.clock_samples import ClockSample, ClockSource
from netwatch.model.measurement import Batch
from netwatch.model.time import to_millis
from netwatch.wire.batch_codec import row_times

_UPDATE_BOOT = """
INSERT INTO clock_boot VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET
    after_sequence = min(after_sequence, excluded.after_sequence),
    max_offset = min(ifnull(max_offset, excluded.max_offset),
        ifnull(excluded.max_offset, max_offset)),
    wall_offset = CASE WHEN excluded.max_offset IS NOT NULL AND excluded.last >= last
        THEN excluded.wall_offset ELSE wall_offset END,
    first = min(first, excluded.first),
    last = max(last, excluded.last)
"""
_POSTPONE = """
INSERT INTO clock_redating VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    after_sequence = iif(excluded.low <= low, -1, after_sequence),
    after_segment = iif(excluded.low <= low, -1, after_segment),
    low = min(low, excluded.low), high = max(high, excluded.high),
    received = excluded.received, width = excluded.width
"""
_NEXT_SPANS = """
boot = ? AND (high, sequence, segment) > (?, ?, ?) AND low <= ?
ORDER BY high, sequence, segment LIMIT ?
"""
_CONTINUE = """
UPDATE clock_redating SET low = ?, after_sequence = ?, after_segment = ?
WHERE vantage = ? AND boot = ?
"""
_DONE = "DELETE FROM clock_redating WHERE vantage = ? AND boot = ?"
_LOOKED_AT_ONCE = 1_000
"""Spans and boots that are looked at in one transaction, to date them again."""
_MOVED_AT_ONCE = 50
"""Batches that are dated again in one transaction; each may have thousands of rows."""
_SLOT_MS = 2 * 3_600_000
"""The best anchor of each such period of a boot is kept."""
_MAX_AHEAD_MS = 300_000
"""How far a true time may be after its receipt; beyond that it is implausible."""
_MAX_AGE_MS = 400 * 86_400_000
"""Age beyond which a time is implausible, since a spool holds some months."""
_PROMPT_MS, _PROMPT_ERROR_MS = 5_000, 100_000
"""A wall clock within 5 s of the collector's at receipt is taken to be correct to 100 s: a wrong
clock would need a message delayed by just its error. Replaced by the first acknowledged sample,
one batch later."""

_SAMPLES_OF_BOOT = 8
"""Samples of one boot that are used of one batch; an agent sends at most five."""
_MAX_ANCHORS = 10_000
"""Anchors of one boot: two kinds in each slot of 400 days."""

_BootRange = tuple[str, int, int]
"""A boot and a range of its monotonic times."""


class ClockCorrector:
    """Dates batches, inside transactions of the batch log.

    `file` is a connection to a file that has `CLOCK_TABLES` and the table `batch`.
    """

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def add(self, batch: Batch, received_at: int, width: int) -> list[TimeRange]:
        """Learn from a stored batch; date it, and some of the earlier batches that it corrects.

        `redate` dates the others. `received_at` is milliseconds since 1970, and `width` that of
        bins in milliseconds. Returns where counts changed: times of rows, and time ranges of at
        most an hour.
        """
        vantage = batch.vantage.id
        ranges = self._add_spans(batch, received_at)
        for boot, samples in _some_of_each_boot(batch.clock_samples).items():
            ranges += self._learn(vantage, boot, samples, received_at)
        spans = self._spans_of(vantage, batch.sequence)
        estimates = {one.boot: self._estimate(vantage, one.boot) for one in spans if one.boot}
        dated = [_date(one, estimates[one.boot], received_at) for one in spans if one.boot]
        places = self._move(vantage, batch.sequence, dated)
        rows = [(vantage, *one, -1, -1, received_at, width) for one in ranges]
        self._file.executemany(_POSTPONE, rows)
        return places + self.redate(vantage)

    def waiting(self, after: str) -> tuple[str, int] | None:
        """Return the next vantage, by name, of which more is to be dated again, and its width."""
        query = "SELECT vantage, width FROM clock_redating WHERE vantage > ? LIMIT 1"
        for start in (after, ""):
            if found := self._file.execute(query, (start,)).fetchone():
                return str(found[0]), int(found[1])
        return None

    def redate(self, vantage: str) -> list[TimeRange]:
        """Date some earlier batches again; return where counts changed, as `add` does.

        One anchor may correct all batches of a boot, which would take too long at once.
        """
        places: list[TimeRange] = []
        looked = moved = 0
        query = (
            "SELECT boot, low, after_sequence, after_segment, high, received FROM clock_redating"
            " WHERE vantage = ? LIMIT 1"
        )
        while looked < _LOOKED_AT_ONCE and moved < _MOVED_AT_ONCE:
            task = self._file.execute(query, (vantage,)).fetchone()
            if task is None:
                break
            boot, *position, _, received_at = task
            estimate = self._estimate(vantage, boot)
            most = _LOOKED_AT_ONCE - looked
            spans = self._spans(vantage, _NEXT_SPANS, *task[:-1], most)
            looked += 1 + len(spans)
            is_done = len(spans) < most
            for span in spans:
                dated = _date(span, estimate, received_at)
                if dated.differs(span):
                    if moved == _MOVED_AT_ONCE:
                        is_done = False
                        break
                    places += self._move(vantage, span.sequence, [dated])
                    moved += 1
                position = [span.high, span.sequence, span.segment]
            if is_done:
                self._file.execute(_DONE, (vantage, boot))
            else:
                self._file.execute(_CONTINUE, (*position, vantage, boot))
        return places

    def places(self, vantage: str, sequence: int) -> list[TimeRange]:
        """Return where a stored batch counts: its span, or each of its rows if that is wide.

        Every bin of a span over months would be counted again for a few rows.
        """
        query = (
            "SELECT first, last, CASE wide WHEN 1 THEN payload END FROM batch"
            " WHERE vantage = ? AND sequence = ?"
        )
        first, last, payload = self._file.execute(query, (vantage, sequence)).fetchone()
        if not last:
            return []
        if payload is None:
            return [TimeRange(first, last)]
        times = self.true_times(vantage, sequence, row_times(payload))
        return [TimeRange(time, time) for time in times if time is not None]

    def drop(self, vantage: str, low: int, high: int) -> None:
        """Delete the spans of superseded batches."""
        query = "DELETE FROM clock_span WHERE vantage = ? AND sequence BETWEEN ? AND ?"
        self._file.execute(query, (vantage, low, high))

    def erase(self, vantage: str) -> None:
        """Delete everything about a vantage."""
        for table in ("clock_boot", "clock_anchor", "clock_span", "clock_redating"):
            self._file.execute(f"DELETE FROM {table} WHERE vantage = ?", (vantage,))  # noqa: S608 - constants

    def _add_spans(self, batch: Batch, received_at: int) -> list[_BootRange]:
        ranges: list[_BootRange] = []
        start = 0
        for number, segment in enumerate(batch.clock_segments):
            rows = batch.measurements[start : start + segment.rows]
            start += segment.rows
            times = [to_millis(row.time) - segment.shift for row in rows] or [0]
            low, high = min(times), max(times)
            is_plausible = _is_plausible(low + segment.shift, high + segment.shift, received_at)
            error = 0 if is_plausible and not segment.boot else UNBOUNDED
            span = Span(
                batch.sequence, number, segment.boot, segment.shift, len(rows), low, high,
                segment.shift, segment.shift, error,
            )  # fmt: skip
            self._write_span(batch.vantage.id, span)
            if segment.boot and rows:
                boot = Boot(segment.boot, segment.after_sequence, low, high, None, segment.shift, 0)
                self._file.execute(_UPDATE_BOOT, (batch.vantage.id, *boot[:-1]))
                ranges.append((segment.boot, low, high))
        return ranges

    def _learn(
        self, vantage: str, boot: str, samples: Sequence[ClockSample], received_at: int
    ) -> list[_BootRange]:
        """Add clock samples of one boot; return the ranges of boots whose estimate they change."""
        known = self._boot(vantage, boot)
        anchors = [_to_anchor(sample, received_at) for sample in samples]
        better = [one for one in anchors if one and self._is_best(vantage, boot, one)]
        is_needless = known is not None and known.anchored and not better
        before = None if is_needless else self._estimate(vantage, boot)
        for sample in samples:
            monotonic = sample.monotonic
            row = Boot(
                boot, UNLIMITED, monotonic, monotonic, received_at - monotonic,
                sample.wall - monotonic, 0,
            )  # fmt: skip
            self._file.execute(_UPDATE_BOOT, (vantage, *row[:-1]))
        if before is None:
            return []
        for anchor in better:
            if self._is_best(vantage, boot, anchor):
                self._keep_anchor(vantage, boot, anchor)
        after = self._estimate(vantage, boot)
        changed = after.changed_range(before)
        if changed is None:
            return []
        ranges = [(boot, *changed)]
        if after.anchors and not before.anchors:
            query = "UPDATE clock_boot SET anchored = 1 WHERE vantage = ? AND boot = ?"
            self._file.execute(query, (vantage, boot))
            ranges += self._bounded_by(vantage, boot)
        return ranges

    def _is_best(self, vantage: str, boot: str, anchor: Anchor) -> bool:
        """Return whether an anchor is much better than the one of its slot."""
        query = "SELECT error FROM clock_anchor WHERE (vantage, boot, trusted, slot) = (?, ?, ?, ?)"
        name = (vantage, boot, anchor.trusted, anchor.monotonic // _SLOT_MS)
        known = self._file.execute(query, name).fetchone()
        if known is not None:
            return bool(anchor.error * 2 <= known[0])
        query = "SELECT count(*) FROM clock_anchor WHERE vantage = ? AND boot = ?"
        return bool(self._file.execute(query, (vantage, boot)).fetchone()[0] < _MAX_ANCHORS)

    def _keep_anchor(self, vantage: str, boot: str, anchor: Anchor) -> None:
        query = "INSERT OR REPLACE INTO clock_anchor VALUES (?, ?, ?, ?, ?, ?, ?)"
        slot = anchor.monotonic // _SLOT_MS
        row = (vantage, boot, anchor.trusted, slot, anchor.monotonic, anchor.offset, anchor.error)
        self._file.execute(query, row)

    def _estimate(self, vantage: str, boot: str) -> Estimate:
        columns = "monotonic, offset, error, trusted"
        query = f"SELECT {columns} FROM clock_anchor WHERE vantage = ? AND boot = ?"  # noqa: S608 - constants
        anchors = [
            Anchor(monotonic, offset, error, bool(trusted))
            for monotonic, offset, error, trusted in self._file.execute(query, (vantage, boot))
        ]
        return Estimate(anchors, Bounds(0) if anchors else self._bounds(vantage, boot))

    def _bounds(self, vantage: str, boot: str) -> Bounds:
        this = self._boot(vantage, boot)
        if this is None:
            return Bounds(0)
        past, future = (
            next(boots, None) for boots in self._neighbours(vantage, this, "anchored = 1 AND ")
        )
        low, high = None, this.max_offset
        if past is not None:
            offset, error = self._estimate(vantage, past.boot).at(past.last)
            low = past.last + offset - error - this.first
        if future is not None:
            offset, error = self._estimate(vantage, future.boot).at(future.first)
            bound = future.first + offset + error - this.last
            high = bound if high is None else min(high, bound)
        return Bounds(this.wall_offset, low, high)

    def _bounded_by(self, vantage: str, boot: str) -> list[_BootRange]:
        """Return the neighbouring boots without anchors, which a newly anchored one bounds."""
        this = self._boot(vantage, boot)
        return [
            (one.boot, -UNLIMITED, UNLIMITED)
            for boots in (self._neighbours(vantage, this) if this else ())
            for one in takewhile(lambda one: not one.anchored, boots)
        ]

    def _neighbours(
        self, vantage: str, this: Boot, condition: str = ""
    ) -> tuple[Iterator[Boot], Iterator[Boot]]:
        """Return the boots before this one, the latest first, and those after it, in order."""
        past = f"{condition}after_sequence < ? ORDER BY after_sequence DESC"
        future = f"{condition}after_sequence > ? ORDER BY after_sequence"
        return (
            self._boots(vantage, past, this.after_sequence),
            self._boots(vantage, future, this.after_sequence),
        )

    def _boot(self, vantage: str, boot: str) -> Boot | None:
        return next(self._boots(vantage, "boot = ?", boot), None)

    def _boots(self, vantage: str, condition: str, value: str | int) -> Iterator[Boot]:
        columns = ", ".join(Boot._fields)
        query = f"SELECT {columns} FROM clock_boot WHERE vantage = ? AND {condition}"  # noqa: S608 - constants
        return map(Boot._make, self._file.execute(query, (vantage, value)))

    def _move(self, vantage: str, sequence: int, spans: Sequence[Span]) -> list[TimeRange]:
        """Write new dates of a batch; return where it counted before and where it does now."""
        before = self.places(vantage, sequence)
        for span in spans:
            self._write_span(vantage, span)
        ends = [
            time
            for span in self._spans_of(vantage, sequence)
            if span.is_certain and span.rows
            for time in (span.correct(span.low + span.shift), span.correct(span.high + span.shift))
        ]
        new = TimeRange(min(ends, default=0), max(ends, default=0))
        query = "UPDATE batch SET first = ?, last = ?, wide = ? WHERE vantage = ? AND sequence = ?"
        self._file.execute(query, (*new, new.last - new.first > WIDE_MS, vantage, sequence))
        return before + self.places(vantage, sequence)

    def true_times(self, vantage: str, sequence: int, times: Sequence[int]) -> Iterator[int | None]:
        """Yield the corrected time of each row of a batch, None where it is uncertain."""
        spans = self._spans_of(vantage, sequence)
        if not spans:
            yield from times
            return
        rest = iter(times)
        for span in spans:
            for time in islice(rest, span.rows):
                yield span.correct(time) if span.is_certain else None

    def _spans_of(self, vantage: str, sequence: int) -> list[Span]:
        return self._spans(vantage, "sequence = ? ORDER BY segment", sequence)

    def _spans(self, vantage: str, condition: str, *values: str | int) -> list[Span]:
        columns = ", ".join(Span._fields)
        query = f"SELECT {columns} FROM clock_span WHERE vantage = ? AND {condition}"  # noqa: S608 - constants
        return [*map(Span._make, self._file.execute(query, (vantage, *values)))]

    def _write_span(self, vantage: str, span: Span) -> None:
        query = "INSERT OR REPLACE INTO clock_span VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._file.execute(query, (vantage, *span, span.is_uncorrected))


def _some_of_each_boot(samples: Sequence[ClockSample]) -> dict[str, list[ClockSample]]:
    """Return the first and last samples of each boot: every sample costs work on a whole boot."""
    by_boot: dict[str, list[ClockSample]] = {}
    for sample in samples:
        if sample.boot:
            by_boot.setdefault(sample.boot, []).append(sample)
    half = _SAMPLES_OF_BOOT // 2
    return {
        boot: own if len(own) <= _SAMPLES_OF_BOOT else own[:half] + own[-half:]
        for boot, own in by_boot.items()
    }


def _to_anchor(sample: ClockSample, received_at: int) -> Anchor | None:
    """Return the anchor in a clock sample, None if it has no source or is implausible."""
    wall_offset = sample.wall - sample.monotonic
    if sample.error is None:
        is_prompt = abs(received_at - sample.wall) <= _PROMPT_MS
        return Anchor(sample.monotonic, wall_offset, _PROMPT_ERROR_MS) if is_prompt else None
    true = sample.wall + sample.offset
    if not _is_plausible(true, true, received_at):
        return None
    trusted = sample.source is ClockSource.COLLECTOR
    return Anchor(sample.monotonic, wall_offset + sample.offset, sample.error, trusted=trusted)


def _date(span: Span, estimate: Estimate, received_at: int) -> Span:
    """Return a span with its estimated offsets; implausible times are uncertain."""
    offset_low, error_low = estimate.at(span.low)
    offset_high, error_high = estimate.at(span.high)
    error = max(error_low, error_high)
    if not _is_plausible(span.low + offset_low, span.high + offset_high, received_at):
        error = UNBOUNDED
    return span._replace(offset_low=offset_low, offset_high=offset_high, error=error)


def _is_plausible(first: int, last: int, received_at: int) -> bool:
    return received_at - _MAX_AGE_MS <= first and last <= received_at + _MAX_AHEAD_MS
