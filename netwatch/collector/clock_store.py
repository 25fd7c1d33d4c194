"""Tables and rows in which the clock corrector stores boots, anchors and spans."""

from typing import NamedTuple

from netwatch.collector.clock_estimate import MAX_ERROR_MS, SIGNIFICANT_CHANGE_MS

CLOCK_TABLES = """
CREATE TABLE IF NOT EXISTS clock_boot (
    vantage TEXT NOT NULL, boot TEXT NOT NULL, after_sequence INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    max_offset INTEGER, wall_offset INTEGER NOT NULL, anchored INTEGER NOT NULL,
    PRIMARY KEY (vantage, boot)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS clock_order ON clock_boot (vantage, after_sequence);
CREATE TABLE IF NOT EXISTS clock_anchor (
    vantage TEXT NOT NULL, boot TEXT NOT NULL, trusted INTEGER NOT NULL, slot INTEGER NOT NULL,
    monotonic INTEGER NOT NULL, offset INTEGER NOT NULL, error INTEGER NOT NULL,
    PRIMARY KEY (vantage, boot, trusted, slot)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock_span (
    vantage TEXT NOT NULL, sequence INTEGER NOT NULL, segment INTEGER NOT NULL,
    boot TEXT NOT NULL, shift INTEGER NOT NULL, rows INTEGER NOT NULL,
    low INTEGER NOT NULL, high INTEGER NOT NULL,
    offset_low INTEGER NOT NULL, offset_high INTEGER NOT NULL,
    error INTEGER NOT NULL, uncorrected INTEGER NOT NULL,
    PRIMARY KEY (vantage, sequence, segment)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS clock_spans ON clock_span (vantage, boot, high);
CREATE INDEX IF NOT EXISTS clock_anchored ON clock_boot (vantage, anchored, after_sequence);
CREATE TABLE IF NOT EXISTS clock_redating (
    vantage TEXT NOT NULL, boot TEXT NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
    after_sequence INTEGER NOT NULL, after_segment INTEGER NOT NULL,
    received INTEGER NOT NULL, width INTEGER NOT NULL,
    PRIMARY KEY (vantage, boot)
) WITHOUT ROWID;
"""
"""All times are milliseconds. `first`, `last`, `low`, `high` and `monotonic` count from boot, as
do offsets from true time. `max_offset` is the upper bound that the receipt of a batch puts on a
boot's offset; `uncorrected` is 1 where the vantage's own times stand.
`clock_redating` holds ranges of boots whose spans are to be dated again, in order of `high`,
`sequence` and `segment` after the one named, by what was received then, in bins of `width`."""

WIDE_MS = 3_600_000
"""Batches that span more time than this are indexed separately."""
_NEGLIGIBLE_MS = 100
"""Largest correction that is not made."""


class TimeRange(NamedTuple):
    """A time range, milliseconds since 1970, both ends included."""

    first: int
    last: int


class Boot(NamedTuple):
    """A row of `clock_boot`."""

    boot: str
    after_sequence: int
    first: int
    last: int
    max_offset: int | None
    wall_offset: int
    anchored: int


class Span(NamedTuple):
    """A row of `clock_span`: measurements of one segment, and their estimated offsets."""

    sequence: int
    segment: int
    boot: str
    shift: int
    rows: int
    low: int
    high: int
    offset_low: int
    offset_high: int
    error: int

    @property
    def is_certain(self) -> bool:
        """Whether its times are good enough to count."""
        return self.error <= MAX_ERROR_MS

    @property
    def is_uncorrected(self) -> bool:
        """Whether the vantage's own times stand."""
        corrections = (self.offset_low - self.shift, self.offset_high - self.shift)
        return self.is_certain and max(map(abs, corrections)) <= _NEGLIGIBLE_MS

    def differs(self, other: "Span") -> bool:
        """Return whether another estimate differs enough to be stored."""
        change = max(
            abs(self.offset_low - other.offset_low), abs(self.offset_high - other.offset_high)
        )
        return change > SIGNIFICANT_CHANGE_MS or self.is_certain != other.is_certain

    def correct(self, time: int) -> int:
        """Return the true time of a measurement that the vantage dated `time`."""
        if self.is_uncorrected:
            return time
        monotonic = time - self.shift
        part, whole = monotonic - self.low, max(1, self.high - self.low)
        return monotonic + self.offset_low + (self.offset_high - self.offset_low) * part // whole
