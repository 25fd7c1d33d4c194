"""The rows in which a clock book writes down what it knows: boots, anchors, spans."""

from typing import NamedTuple

from netwatch.collector.clock_estimate import UNSURE

CLOCK_TABLES = """
CREATE TABLE IF NOT EXISTS clock_boot (
    vantage TEXT NOT NULL,
    boot TEXT NOT NULL,
    began INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    upper INTEGER,
    guess INTEGER NOT NULL,
    anchored INTEGER NOT NULL,
    PRIMARY KEY (vantage, boot)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS clock_order ON clock_boot (vantage, began);
CREATE TABLE IF NOT EXISTS clock_anchor (
    vantage TEXT NOT NULL,
    boot TEXT NOT NULL,
    trusted INTEGER NOT NULL,
    place INTEGER NOT NULL,
    steady INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    error INTEGER NOT NULL,
    PRIMARY KEY (vantage, boot, trusted, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock_span (
    vantage TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    place INTEGER NOT NULL,
    boot TEXT NOT NULL,
    shift INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    offset_low INTEGER NOT NULL,
    offset_high INTEGER NOT NULL,
    error INTEGER NOT NULL,
    plain INTEGER NOT NULL,
    PRIMARY KEY (vantage, sequence, place)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS clock_spans ON clock_span (vantage, boot, high);
"""
"""Times are milliseconds. `upper` is the most that a boot's offset can be, since its batches
arrived; `plain` is 1 where the vantage's own dates are as good as ours."""

MATTERS = 250
"""Milliseconds of change for which a batch is dated again."""
_NEGLIGIBLE = 100
"""Milliseconds of correction that are not worth making."""


class TimeRange(NamedTuple):
    """A stretch of time in which counts changed, milliseconds since 1970, both ends in it."""

    first: int
    last: int


class Boot(NamedTuple):
    """What is known of one boot besides its anchors."""

    boot: str
    began: int
    first: int
    last: int
    upper: int | None
    guess: int
    anchored: int


class Span(NamedTuple):
    """Rows of one batch with one timeline, and their offsets as they were last estimated."""

    sequence: int
    place: int
    boot: str
    shift: int
    rows: int
    low: int
    high: int
    offset_low: int
    offset_high: int
    error: int

    @property
    def sure(self) -> bool:
        """Whether its times are good enough to count."""
        return self.error <= UNSURE

    @property
    def plain(self) -> bool:
        """Whether the vantage's own dates stand."""
        offs = (self.offset_low - self.shift, self.offset_high - self.shift)
        return self.sure and max(map(abs, offs)) <= _NEGLIGIBLE

    def differs(self, other: "Span") -> bool:
        """Tell whether another estimate is worth writing down."""
        moved = max(
            abs(self.offset_low - other.offset_low), abs(self.offset_high - other.offset_high)
        )
        return moved > MATTERS or self.sure != other.sure

    def correct(self, time: int) -> int:
        """Return the true time of what the vantage dated `time`."""
        steady = time - self.shift
        part, whole = steady - self.low, max(1, self.high - self.low)
        return steady + self.offset_low + (self.offset_high - self.offset_low) * part // whole
