"""What is known of one entity's present excursion, bin after bin; no history is needed."""

from datetime import datetime, timedelta

import msgspec

from netwatch.model.series import Level
from netwatch.model.thresholds import (
    CERTAIN_PROBABILITY,
    CONFIRMED_PROBABILITY,
    CONFIRMING_BINS,
    EVEN_PROBABILITY,
    LIKELY_PROBABILITY,
    LOST,
    LOW,
    MIN_NETWORKS,
    NOISE_PROBABILITY,
    ORDINARY,
)

_COLLAPSE = 0.2
"""Level below which a certain loss need not be held: a fifth of ordinary."""


def is_low(level: Level) -> bool:
    """Return whether a level is low enough, and surely enough, to be part of a loss."""
    return is_reduced(level) and level.probability > LIKELY_PROBABILITY


def is_reduced(level: Level) -> bool:
    """Return whether a level is 10 points below ordinary, and by more than noise.

    The interval of a few networks must be clear of the ordinary band. That of many says how
    unlike they are, which is what a loss of some of them looks like.
    """
    if level.value is None or level.high is None or level.value >= LOW:
        return False
    surely = level.high < ORDINARY and level.probability > NOISE_PROBABILITY
    # Of few counts a bin, many together are sure of a loss that no single one can show.
    surely = surely or (level.value < LOST and level.probability > CONFIRMED_PROBABILITY)
    return surely or level.networks >= MIN_NETWORKS


def is_below_half(level: Level) -> bool:
    """Return whether a level is surely and likely below half: its whole interval is."""
    if level.value is None or level.high is None:
        return False
    return max(level.value, level.high) < LOST and level.probability > LIKELY_PROBABILITY


class Excursion(msgspec.Struct):
    """The present excursion of one entity, or of one of its signals.

    Attributes:
        level: newest level with a value.
        ordinary_at: newest bin that was not reduced.
        reduced_from: first bin of the present run of reduced levels, sure or not.
        low_from: first bin of the present run of low levels.
        low_bins: bins in that run.
        provisional_at: when the run could first be told (end of its first low bin).
        lost_from: first bin of the present unbroken loss below half of ordinary.
        under_from: first bin of the present run of levels below 90 %, likely a loss or not.
        half_at: newest bin at half of ordinary or above.
        sunk_bins: bins in a row, missing ones aside, whose whole interval is below half.
        lowest, lowest_at: deepest level of the run and its bin.
    """

    level: Level
    ordinary_at: datetime | None = None
    reduced_from: datetime | None = None
    low_from: datetime | None = None
    low_bins: int = 0
    provisional_at: datetime | None = None
    lost_from: datetime | None = None
    under_from: datetime | None = None
    half_at: datetime | None = None
    sunk_bins: int = 0
    lowest: Level | None = None

    def see(self, level: Level, width: timedelta) -> None:
        """Take in the level of one bin. A bin without a value changes nothing."""
        if level.value is None:
            return
        self.level = level
        if is_reduced(level):
            self.reduced_from = self.reduced_from or level.time
        elif self.reduced_from is None or level.probability < EVEN_PROBABILITY:
            # One better bin within a loss that is still probable does not begin it anew.
            self.reduced_from, self.ordinary_at = None, level.time
        self._sink(level, level.value)
        if is_low(level):
            self._deepen(level, width)
        elif level.probability < EVEN_PROBABILITY or not is_reduced(level):
            self.low_from, self.low_bins, self.provisional_at, self.lowest = None, 0, None, None

    def _sink(self, level: Level, value: float) -> None:
        """Follow the loss below half, and below ordinary."""
        self.under_from = (self.under_from or level.time) if value < LOW else None
        if value < LOST:
            self.lost_from = self.lost_from or level.time
        else:
            self.lost_from, self.half_at = None, level.time
        self.sunk_bins = self.sunk_bins + 1 if is_below_half(level) else 0

    def _deepen(self, level: Level, width: timedelta) -> None:
        """Lengthen the run of low levels by one bin."""
        self.low_from = self.low_from or level.time
        self.provisional_at = self.provisional_at or level.time + width
        self.low_bins += 1
        value = level.value if level.value is not None else 1.0
        lowest = self.lowest.value if self.lowest and self.lowest.value is not None else 1.0
        if self.lowest is None or value < lowest:
            self.lowest = level

    @property
    def onset(self) -> datetime:
        """First bin of the excursion that the low run is a part of."""
        return self.reduced_from or self.low_from or self.level.time

    def held(self, width: timedelta) -> timedelta:
        """Return how long the low run has lasted, its newest bin included."""
        if self.low_from is None:
            return timedelta(0)
        return self.level.time + width - self.low_from


def should_open(watch: Excursion, hold: timedelta, width: timedelta, *, part: bool = False) -> bool:
    """Return whether an excursion is low, surely and for long enough to open an incident.

    Args:
        watch: the excursion.
        hold: how long it must have lasted. A collapse, below a fifth of ordinary, need not be
            held: two bins of it are no noise.
        width: bin width.
        part: whether a wider scope is watched, too, of which this may be the forerunner: then
            a collapse is held as well.
    """
    level = watch.level
    if level.value is None or level.probability <= CONFIRMED_PROBABILITY:
        return False
    very = level.probability > CERTAIN_PROBABILITY
    if very and level.value < _COLLAPSE and watch.lost_from is not None and not part:
        lost = level.time + width - watch.lost_from
        if lost >= min(hold, CONFIRMING_BINS * width):
            return True
    deep = very and level.value < LOST
    return watch.low_bins >= (1 if deep else CONFIRMING_BINS) and watch.held(width) >= hold
