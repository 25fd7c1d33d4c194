"""Excursions: runs of low bins of a series, which decide when an incident opens."""

from datetime import datetime, timedelta

import msgspec

from netwatch.model.series import Level
from netwatch.model.thresholds import (
    CONFIRMED_PROBABILITY,
    EVEN_PROBABILITY,
    LIKELY_PROBABILITY,
    LOST,
    LOW,
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


class Excursion(msgspec.Struct):
    """The present run of low bins in one series.

    Attributes:
        level: newest level with a value.
        ordinary_at: newest bin that was not reduced.
        reduced_since: first bin of the present run of reduced levels.
        low_since: first bin of the present run of low levels.
        low_bins: number of bins in that run.
        provisional_at: end of that run's first bin, when a live system first holds it likely.
        lowest: deepest level of that run.
        lost_since: first bin of the present run below half of ordinary.
        half_at: newest bin at half of ordinary or above.
        below_since: first bin of the present run below 90 %, significant or not.
        below_half_bins: bins with data in a row whose whole interval is below half.
    """

    level: Level
    ordinary_at: datetime | None = None
    reduced_since: datetime | None = None
    low_since: datetime | None = None
    low_bins: int = 0
    provisional_at: datetime | None = None
    lowest: Level | None = None
    lost_since: datetime | None = None
    half_at: datetime | None = None
    below_since: datetime | None = None
    below_half_bins: int = 0

    def observe(self, level: Level, width: timedelta) -> None:
        """Add the level of one bin. A bin without a value changes nothing."""
        if level.value is None:
            return
        self.level = level
        reduced, ended = is_reduced(level), level.probability < EVEN_PROBABILITY
        if reduced:
            self.reduced_since = self.reduced_since or level.time
        elif self.reduced_since is None or ended:
            # One better bin within a loss that is still probable does not restart it.
            self.reduced_since, self.ordinary_at = None, level.time
        self._observe_depth(level, level.value)
        if is_low(level):
            self._extend_low_run(level, level.value, width)
        elif ended or not reduced:
            self.low_since, self.low_bins, self.provisional_at, self.lowest = None, 0, None, None

    def _observe_depth(self, level: Level, value: float) -> None:
        self.below_since = (self.below_since or level.time) if value < LOW else None
        if value < LOST:
            self.lost_since = self.lost_since or level.time
        else:
            self.lost_since, self.half_at = None, level.time
        self.below_half_bins = self.below_half_bins + 1 if is_below_half(level) else 0

    def _extend_low_run(self, level: Level, value: float, width: timedelta) -> None:
        self.low_since = self.low_since or level.time
        self.provisional_at = self.provisional_at or level.time + width
        self.low_bins += 1
        if self.lowest is None or self.lowest.value is None or value < self.lowest.value:
            self.lowest = level

    @property
    def onset(self) -> datetime:
        """First bin of the excursion that contains the low run."""
        return self.reduced_since or self.low_since or self.level.time

    @property
    def is_quiet(self) -> bool:
        """Whether the newest level is neither reduced nor below 90 %."""
        return self.reduced_since is None and self.below_since is None

    def duration(self, width: timedelta) -> timedelta:
        """Return the length of the low run, with its newest bin."""
        if self.low_since is None:
            return timedelta(0)
        return self.level.time + width - self.low_since
