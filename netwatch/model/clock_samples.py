"""What a vantage knows about its clocks; the collector corrects measurement times with it.

A wall clock may be years off and may be stepped at any moment. The monotonic clock counts from
boot, also while the machine sleeps, and drifts only slightly. Measurements are dated by the
monotonic clock, so one sample of both clocks with a known true time corrects them all.
"""

from dataclasses import dataclass
from enum import StrEnum


class ClockSource(StrEnum):
    """Where a clock offset comes from, most trusted first."""

    COLLECTOR = "collector"
    KERNEL = "kernel"
    HTTP = "http"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClockSegment:
    """How a run of consecutive measurements in a batch was dated.

    Attributes:
        boot: identifies one boot of the machine, 16 hexadecimal digits; empty if unknown.
        shift: milliseconds to add to that boot's monotonic clock to get the measurements' times.
        after_sequence: the vantage's last sequence before this segment began; orders boots.
        rows: number of measurements, following those of the previous segment.
    """

    boot: str
    shift: int
    after_sequence: int
    rows: int


@dataclass(frozen=True, slots=True)
class ClockSample:
    """Both clocks of a vantage at one moment, and the estimated offset from true time.

    Attributes:
        monotonic: milliseconds since boot, including sleep.
        wall: wall clock, milliseconds since 1970.
        synced: whether the kernel reports a synchronised clock; None if it cannot say.
        offset: milliseconds to add to `wall` to get the best estimate of the true time.
        error: maximum error of that estimate in milliseconds; None if there is no source.
    """

    boot: str
    monotonic: int
    wall: int
    source: ClockSource = ClockSource.UNKNOWN
    synced: bool | None = None
    offset: int = 0
    error: int | None = None
