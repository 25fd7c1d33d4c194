"""What a vantage knows of the time, so that whoever counts can put its times right.

A wall clock may be years off and may be set at any moment; the steady clock, which counts
from the start of the machine and goes on while it sleeps, is only ever slow or fast by a
little. Rows are dated on the steady clock; one true pair of the two dates them all.
"""

from dataclasses import dataclass
from enum import StrEnum


class ClockSource(StrEnum):
    """Who says what the time is, most trusted first."""

    COLLECTOR = "collector"
    KERNEL = "kernel"
    CANARY = "canary"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClockSegment:
    """How the next rows of a batch were dated.

    Attributes:
        boot: names one run of the machine, 16 hexadecimal digits; empty where nobody knows.
        shift: milliseconds from the steady clock of that boot to the rows' times.
        began: the vantage's largest sequence when this timeline began; orders boots.
        rows: how many of the batch's measurements it dates, after those of the one before.
    """

    boot: str
    shift: int
    began: int
    rows: int


@dataclass(frozen=True, slots=True)
class ClockSample:
    """What a vantage's clocks showed at one moment, and what it knew of the truth.

    Attributes:
        boot: the run of the machine.
        steady: milliseconds since it started, asleep or not.
        wall: milliseconds since 1970 that the wall clock showed then.
        source: who vouches for `offset`.
        synced: whether the system says that its clock is kept right; None where it cannot.
        offset: milliseconds to be added to `wall`, as far as is known.
        error: milliseconds by which the sum may still be wrong; None where nobody vouches.
    """

    boot: str
    steady: int
    wall: int
    source: ClockSource = ClockSource.UNKNOWN
    synced: bool | None = None
    offset: int = 0
    error: int | None = None
