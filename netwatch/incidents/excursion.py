"""Runs of low bins: the rules by which they start, pause and end, and those of one series now."""

from datetime import datetime, timedelta

import msgspec

from netwatch.model.series import Level
from netwatch.model.thresholds import (
    CONFIRMED_PROBABILITY,
    EVEN_PROBABILITY,
    LIKELY_PROBABILITY,
    LOST,
    LOW,
    MERGE_GAP_MAX,
    MERGE_GAP_MIN,
    MIN_NETWORKS,
    NOISE_PROBABILITY,
    ORDINARY,
)


def is_low(level: Level) -> bool:
    """Return whether a level is likely part of a loss."""
    return is_reduced(level) and level.probability > LIKELY_PROBABILITY


def is_reduced(level: Level) -> bool:
    """Return whether a level is 10 points below ordinary by more than noise.

    The interval of a few networks must be clear of the ordinary band. The interval of many
    networks shows how they differ, which is wide in a partial loss; they need no such test.
    """
    if level.value is None or level.high is None or level.value >= LOW:
        return False
    significant = level.high < ORDINARY and level.probability > NOISE_PROBABILITY
    # With few counts per bin, several bins together are significant where no single one is.
    significant = significant or (level.value < LOST and level.probability > CONFIRMED_PROBABILITY)
    return significant or level.networks >= MIN_NETWORKS


def is_below_half(level: Level) -> bool:
    """Return whether the whole interval of a level is below half of ordinary."""
    if level.value is None or level.high is None:
        return False
    return max(level.value, level.high) < LOST and level.probability > LIKELY_PROBABILITY


def is_same_loss(length: timedelta, gap: timedelta) -> bool:
    """Return whether low bins continue a loss of `length` that ended `gap` before.

    The gap may be half as long as the loss, within `MERGE_GAP_MIN` and `MERGE_GAP_MAX`.
    """
    return gap <= min(max(MERGE_GAP_MIN, length / 2), MERGE_GAP_MAX)


def deeper(trough: Level | None, level: Level) -> Level:
    """Return the lower of two levels, of equal ones the first; `level` has a value."""
    if trough is None or trough.value is None or level.value is None:
        return level
    return level if level.value < trough.value else trough


class BinRun(msgspec.Struct, frozen=True, array_like=True):
    """Bins in a row for which a condition holds.

    Attributes:
        since: the first of them, None if the condition does not hold now.
        bins: how many they are.
        outside_at: newest bin for which it did not hold.
    """

    since: datetime | None = None
    bins: int = 0
    outside_at: datetime | None = None

    def extend(self, time: datetime, *, holds: bool) -> "BinRun":
        """Return the run after one more bin."""
        if not holds:
            return BinRun(outside_at=time)
        return BinRun(self.since or time, self.bins + 1, self.outside_at)

    def length(self, until: datetime) -> timedelta:
        """Return its length up to `until`, the end of its newest bin."""
        return until - self.since if self.since else timedelta(0)


class Excursion(msgspec.Struct):
    """The present runs of low bins in one series.

    Attributes:
        level: newest level with a value.
        reduced, low: runs of reduced and of low levels. A better bin within a loss that is
            still probable does not end them.
        trough: deepest level of the low run.
        lost: run of levels below half of ordinary.
        below: run of levels below 90 %, significant or not.
        below_half: run of levels whose whole interval is below half.
    """

    level: Level
    reduced: BinRun = BinRun()
    low: BinRun = BinRun()
    trough: Level | None = None
    lost: BinRun = BinRun()
    below: BinRun = BinRun()
    below_half: BinRun = BinRun()

    def observe(self, level: Level) -> None:
        """Add the level of one bin. A bin without a value changes nothing."""
        time, value = level.time, level.value
        if value is None:
            return
        self.level = level
        reduced, low, over = is_reduced(level), is_low(level), level.probability < EVEN_PROBABILITY
        if reduced or over or self.reduced.since is None:
            self.reduced = self.reduced.extend(time, holds=reduced)
        if low or over or not reduced:
            self.low = self.low.extend(time, holds=low)
            self.trough = deeper(self.trough, level) if low else None
        self.lost = self.lost.extend(time, holds=value < LOST)
        self.below = self.below.extend(time, holds=value < LOW)
        self.below_half = self.below_half.extend(time, holds=is_below_half(level))

    def level_at(self, time: datetime) -> Level | None:
        """Return its level in the bin `time`, None without data."""
        return self.level if self.level.time == time and self.level.value is not None else None

    @property
    def onset(self) -> datetime:
        """First bin of the excursion that contains the low run."""
        return self.reduced.since or self.low.since or self.level.time

    @property
    def is_quiet(self) -> bool:
        """Whether the newest level is neither reduced nor below 90 %."""
        return self.reduced.since is None and self.below.since is None
