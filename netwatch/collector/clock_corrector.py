"""Keeps what every vantage's clocks were, and dates its batches by it, again where it learns more.

It lives in the inbox's file and in the inbox's transactions. A batch that came before any
anchor did is set aside: kept, but dated nowhere until its time is known well enough.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from netwatch.collector.clock_estimate import BOUNDLESS, UNSURE, Anchor, Bounds, Estimate
from netwatch.collector.clock_store import MATTERS, Boot, Span, TimeRange
from netwatch.model.clock_samples import ClockSample, ClockSource
from netwatch.model.measurement import Batch, Measurement
from netwatch.model.time import EPOCH, to_millis

_NOTE_BOOT = """
INSERT INTO clock_boot VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET
    began = min(began, excluded.began),
    upper = min(ifnull(upper, excluded.upper), ifnull(excluded.upper, upper)),
    guess = CASE WHEN excluded.upper IS NOT NULL AND excluded.last >= last
        THEN excluded.guess ELSE guess END,
    first = min(first, excluded.first),
    last = max(last, excluded.last)
"""
_PLACE = 2 * 3_600_000
"""One anchor is kept for each so many milliseconds of a boot, the surest."""
_AHEAD = 300_000
"""Milliseconds by which a truth may be later than its arrival; beyond, it is none."""
_OLDEST = 400 * 86_400_000
"""Nothing older than this is dated: a spool holds some months."""
_PROMPT, _PROMPT_ERROR = 5_000, 100_000
"""A wall clock that shows what ours does when its message arrives, to the first, is taken to be
right to the second: for a wrong one to do so, its message must be late by just its error. It
counts until an answer of ours is heard of, a batch later."""
_BOOTS = 5_000
"""Boots whose anchors are held in memory."""
_EVER = 2**53


_Ranges = list[tuple[str, int, int]]


class ClockCorrector:
    """Dates batches inside the transactions of whoever holds `file`.

    Args:
        file: a connection to a file that has `CLOCK_TABLES` and the inbox's batches.
    """

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self._anchors: dict[tuple[str, str], list[Anchor]] = {}
        self._changes = 0

    def forget(self) -> None:
        """Drop what is in memory, after a transaction that was undone."""
        self._anchors.clear()

    def take(self, batch: Batch, arrived: int) -> list[TimeRange]:
        """Learn from a batch that was just kept; date it, and whatever it sheds light on.

        Args:
            batch: the batch; it is in the inbox already.
            arrived: milliseconds since 1970 when it arrived.

        Returns:
            The stretches of time in which counts changed, the batch's own among them.
        """
        self._look_again()
        vantage = batch.vantage.id
        ranges = self._write_spans(batch, arrived)
        for reading in batch.clock_samples:
            if reading.boot:
                ranges += self._learn(vantage, reading, arrived)
        touched = {batch.sequence}
        for boot, low, high in ranges:
            touched |= self._redate(vantage, boot, (low, high), arrived)
        return [
            stretch for sequence in sorted(touched) for stretch in self._settle(vantage, sequence)
        ]

    def correct(self, batch: Batch) -> Iterator[Measurement]:
        """Yield those of a batch's measurements whose times are sure, put right."""
        rows = iter(batch.measurements)
        for span in self._spans_of(batch.vantage.id, batch.sequence):
            for row in islice(rows, span.rows):
                if span.sure:
                    true = span.correct(to_millis(row.time))
                    yield replace(row, time=EPOCH + timedelta(milliseconds=true))

    def count_set_aside(self) -> int:
        """Return how many measurements are kept whose time nobody knows well enough."""
        query = "SELECT coalesce(sum(rows), 0) FROM clock_span WHERE error > ?"
        return int(self._file.execute(query, (UNSURE,)).fetchone()[0])

    def drop(self, vantage: str, low: int, high: int) -> None:
        """Forget the spans of batches that count no more."""
        query = "DELETE FROM clock_span WHERE vantage = ? AND sequence BETWEEN ? AND ?"
        self._file.execute(query, (vantage, low, high))

    def erase(self, vantage: str) -> None:
        """Forget all about a vantage."""
        for table in ("clock_boot", "clock_anchor", "clock_span"):
            self._file.execute(f"DELETE FROM {table} WHERE vantage = ?", (vantage,))  # noqa: S608 - constants
        self.forget()

    def _look_again(self) -> None:
        """Drop what is in memory where another process has written to the file."""
        changes = self._file.execute("PRAGMA data_version").fetchone()[0]
        if changes != self._changes:
            self.forget()
        self._changes = changes

    def _write_spans(self, batch: Batch, arrived: int) -> _Ranges:
        """Write down which rows were dated how; return what has to be estimated."""
        ranges: _Ranges = []
        start = 0
        for place, line in enumerate(batch.clock_segments):
            rows = batch.measurements[start : start + line.rows]
            start += line.rows
            times = [to_millis(row.time) - line.shift for row in rows] or [0]
            low, high = min(times), max(times)
            said = (low + line.shift, high + line.shift)
            sound = arrived - _OLDEST <= said[0] and said[1] <= arrived + _AHEAD
            error = 0 if sound and not line.boot else BOUNDLESS
            span = Span(
                batch.sequence, place, line.boot, line.shift, len(rows), low, high,
                line.shift, line.shift, error,
            )  # fmt: skip
            self._write(batch.vantage.id, span)
            if line.boot and rows:
                seen = Boot(line.boot, line.after_sequence, low, high, None, line.shift, 0)
                self._file.execute(_NOTE_BOOT, (batch.vantage.id, *seen[:-1]))
                ranges.append((line.boot, low, high))
        return ranges

    def _learn(self, vantage: str, reading: ClockSample, arrived: int) -> _Ranges:
        """Take one reading; return the stretches of boots that it sheds light on."""
        boot, steady, guess = reading.boot, reading.monotonic, reading.wall - reading.monotonic
        before = self._estimate(vantage, boot)
        seen = Boot(boot, _EVER, steady, steady, arrived - steady, guess, 0)
        self._file.execute(_NOTE_BOOT, (vantage, *seen[:-1]))
        anchor = _anchor_of(reading, arrived)
        if anchor is not None:
            self._keep_anchor(vantage, boot, anchor)
        after = self._estimate(vantage, boot)
        if after.anchors and not before.anchors:
            query = "UPDATE clock_boot SET anchored = 1 WHERE vantage = ? AND boot = ?"
            self._file.execute(query, (vantage, boot))
            return [(boot, -_EVER, _EVER), *self._between(vantage, boot)]
        if not after.anchors:
            (was, doubt), (now, less) = before.at(0), after.at(0)
            same = abs(was - now) <= MATTERS and (doubt > UNSURE) == (less > UNSURE)
            return [] if same else [(boot, -_EVER, _EVER)]
        changed = _difference(before.anchors, after.anchors)
        return [] if changed is None else [(boot, *changed)]

    def _keep_anchor(self, vantage: str, boot: str, anchor: Anchor) -> None:
        """Keep an anchor if it is the first or by far the surest of its place."""
        place = anchor.steady // _PLACE
        known = [
            one
            for one in self._anchors_of(vantage, boot)
            if one.trusted == anchor.trusted and one.steady // _PLACE == place
        ]
        if known and anchor.error * 2 > known[0].error:
            return
        query = "INSERT OR REPLACE INTO clock_anchor VALUES (?, ?, ?, ?, ?, ?, ?)"
        row = (vantage, boot, anchor.trusted, place, anchor.steady, anchor.offset, anchor.error)
        self._file.execute(query, row)
        self._anchors.pop((vantage, boot), None)

    def _anchors_of(self, vantage: str, boot: str) -> list[Anchor]:
        """Return the anchors of a boot."""
        found = self._anchors.get((vantage, boot))
        if found is None:
            query = (
                "SELECT steady, offset, error, trusted FROM clock_anchor"
                " WHERE vantage = ? AND boot = ?"
            )
            rows = self._file.execute(query, (vantage, boot))
            found = [Anchor(row[0], row[1], row[2], trusted=bool(row[3])) for row in rows]
            if len(self._anchors) >= _BOOTS:
                self._anchors.clear()
            self._anchors[vantage, boot] = found
        return found

    def _estimate(self, vantage: str, boot: str) -> Estimate:
        """Return what is known of a boot's offset by now."""
        anchors = self._anchors_of(vantage, boot)
        return Estimate(anchors, Bounds(0) if anchors else self._bounds(vantage, boot))

    def _bounds(self, vantage: str, boot: str) -> Bounds:
        """Return what the neighbours of a boot, and the arrival of its batches, say of it."""
        this = self._boot(vantage, "boot = ?", boot)
        if this is None:
            return Bounds(0)
        near = "anchored = 1 AND began {} ? ORDER BY began {} LIMIT 1"
        past = self._boot(vantage, near.format("<", "DESC"), this.began)
        future = self._boot(vantage, near.format(">", "ASC"), this.began)
        low, high = None, this.upper
        if past is not None:
            offset, error = Estimate(self._anchors_of(vantage, past.boot), Bounds(0)).at(past.last)
            low = past.last + offset - error - this.first
        if future is not None:
            estimate = Estimate(self._anchors_of(vantage, future.boot), Bounds(0))
            offset, error = estimate.at(future.first)
            bound = future.first + offset + error - this.last
            high = bound if high is None else min(high, bound)
        return Bounds(this.guess, low, high)

    def _boot(self, vantage: str, condition: str, value: str | int) -> Boot | None:
        """Return the boot of a vantage that a condition chooses."""
        query = (
            "SELECT boot, began, first, last, upper, guess, anchored FROM clock_boot"  # noqa: S608 - constants
            f" WHERE vantage = ? AND {condition}"
        )
        found = self._file.execute(query, (vantage, value)).fetchone()
        return None if found is None else Boot(*found)

    def _between(self, vantage: str, boot: str) -> _Ranges:
        """Return the boots without anchors that a newly anchored one bounds."""
        this = self._boot(vantage, "boot = ?", boot)
        if this is None:
            return []
        found: _Ranges = []
        for sign, order in (("<", "DESC"), (">", "ASC")):
            query = (
                "SELECT boot, anchored FROM clock_boot WHERE vantage = ?"  # noqa: S608 - constants
                f" AND began {sign} ? ORDER BY began {order}"
            )
            for other, anchored in self._file.execute(query, (vantage, this.began)).fetchall():
                if anchored:
                    break
                found.append((other, -_EVER, _EVER))
        return found

    def _redate(self, vantage: str, boot: str, reach: tuple[int, int], arrived: int) -> set[int]:
        """Estimate the spans of a boot within `reach` anew; return the batches that changed."""
        low, high = reach
        estimate = self._estimate(vantage, boot)
        changed = set()
        for span in self._spans(vantage, "boot = ? AND high >= ? AND low <= ?", boot, low, high):
            found = _date(span, estimate, arrived)
            if found.differs(span):
                self._write(vantage, found)
                changed.add(span.sequence)
        return changed

    def _settle(self, vantage: str, sequence: int) -> list[TimeRange]:
        """Bring a batch's place in the inbox up to date; return where counts changed."""
        name = (vantage, sequence)
        query = "SELECT first, last FROM batch WHERE vantage = ? AND sequence = ?"
        was = TimeRange(*self._file.execute(query, name).fetchone())
        sure = [span for span in self._spans_of(vantage, sequence) if span.sure and span.rows]
        ends = [
            time for one in sure for time in (one.low + one.offset_low, one.high + one.offset_high)
        ]
        now = TimeRange(min(ends, default=0), max(ends, default=0))
        query = "UPDATE batch SET first = ?, last = ?, wide = ? WHERE vantage = ? AND sequence = ?"
        self._file.execute(query, (*now, now.last - now.first > 3_600_000, *name))
        return [one for one in (was, now) if one.last]

    def _spans_of(self, vantage: str, sequence: int) -> list[Span]:
        """Return a batch's spans in order."""
        return self._spans(vantage, "sequence = ? ORDER BY place", sequence)

    def _spans(self, vantage: str, condition: str, *values: str | int) -> list[Span]:
        """Return the spans of a vantage that a condition chooses."""
        columns = ", ".join(Span._fields)
        query = f"SELECT {columns} FROM clock_span WHERE vantage = ? AND {condition}"  # noqa: S608 - constants
        return [Span(*row) for row in self._file.execute(query, (vantage, *values))]

    def _write(self, vantage: str, span: Span) -> None:
        """Write a span down."""
        query = "INSERT OR REPLACE INTO clock_span VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._file.execute(query, (vantage, *span, span.plain))


def _anchor_of(reading: ClockSample, arrived: int) -> Anchor | None:
    """Return the true pair that a reading holds, None where nobody can vouch for one."""
    guess = reading.wall - reading.monotonic
    if reading.error is None:
        prompt = abs(arrived - reading.wall) <= _PROMPT
        return Anchor(reading.monotonic, guess, _PROMPT_ERROR) if prompt else None
    true = reading.wall + reading.offset
    if true > arrived + _AHEAD or true < arrived - _OLDEST:
        return None
    trusted = reading.source is ClockSource.COLLECTOR
    return Anchor(reading.monotonic, guess + reading.offset, reading.error, trusted=trusted)


def _date(span: Span, estimate: Estimate, arrived: int) -> Span:
    """Return a span with its present offsets; what cannot have been is unsure."""
    offset_low, error_low = estimate.at(span.low)
    offset_high, error_high = estimate.at(span.high)
    error = max(error_low, error_high)
    if span.high + offset_high > arrived + _AHEAD or span.low + offset_low < arrived - _OLDEST:
        error = BOUNDLESS
    return span._replace(offset_low=offset_low, offset_high=offset_high, error=error)


def _difference(before: list[Anchor], after: list[Anchor]) -> tuple[int, int] | None:
    """Return the stretch in which two lists of anchors say different things."""
    if before == after:
        return None
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    low = after[head - 1].steady if head else -_EVER
    high = after[-tail].steady if tail else _EVER
    return low, high
