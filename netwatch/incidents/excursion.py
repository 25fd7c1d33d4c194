"""Runs of low bins: the present excursion of a series, and the history of its episodes.

An `Excursion` decides when an incident opens, from the levels alone and without a memory of
the past. An `EpisodeHistory` dates the losses of an entity: the detector's probability says,
some bins late, that one began or ended, and a change point of the levels says when.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from netwatch.incidents.changepoints import find_changepoint
from netwatch.model.incident import Episode
from netwatch.model.series import Level
from netwatch.model.thresholds import (
    CERTAIN_PROBABILITY,
    CONFIRMED_PROBABILITY,
    CONFIRMING_BINS,
    EVEN_PROBABILITY,
    LIKELY_PROBABILITY,
    LOST,
    LOW,
    MERGE_GAP_MAX,
    MERGE_GAP_MIN,
    MIN_NETWORKS,
    NOISE_PROBABILITY,
    ORDINARY,
    RETURNED,
)

_COLLAPSE = 0.2
"""Level below which a certain loss need not last: a fifth of ordinary."""

_MAX_EPISODES = 16
"""Past episodes kept of an entity: patterns of recurrence look back five days."""
_RECENT_QUIET, _RECENT_ACTIVE = timedelta(hours=2), timedelta(hours=8)
"""Recent bins kept to date an onset, in ordinary times and once a loss is possible."""
_RECENT_MAX = timedelta(hours=48)
"""Most of the recent past kept while a loss ends in steps."""
_RECENT_MIN_BINS = 6
"""Bins kept at any width: a change point needs some on either side."""
_ACTIVE_PROBABILITY = 0.02
"""Probability of a loss above which more of the past is kept, in case an episode opens."""


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


def should_open(
    excursion: Excursion, min_duration: timedelta, width: timedelta, *, has_parent: bool = False
) -> bool:
    """Return whether an excursion is low, certain and long enough to open an incident.

    Args:
        excursion: the excursion.
        min_duration: how long it must last. A collapse below a fifth of ordinary needs two bins.
        width: bin width.
        has_parent: whether a wider entity is followed, of whose loss this may be the start; a
            collapse must then last as long as any other loss.
    """
    level = excursion.level
    if level.value is None or level.probability <= CONFIRMED_PROBABILITY:
        return False
    certain = level.probability > CERTAIN_PROBABILITY
    if certain and level.value < _COLLAPSE and excursion.lost_since and not has_parent:
        lost = level.time + width - excursion.lost_since
        if lost >= min(min_duration, CONFIRMING_BINS * width):
            return True
    min_bins = 1 if certain and level.value < LOST else CONFIRMING_BINS
    return excursion.low_bins >= min_bins and excursion.duration(width) >= min_duration


@dataclass(frozen=True, slots=True)
class EpisodeHistory:
    """The dated losses of one entity.

    Attributes:
        recent: (start of bin, level) of the newest bins with data, oldest first.
        current: the episode that lasts, None in ordinary times.
        ordinary_bins: bins in a row that speak for its end.
        past: ended episodes, oldest first.
    """

    recent: tuple[tuple[datetime, float], ...] = ()
    current: Episode | None = None
    ordinary_bins: int = 0
    past: tuple[Episode, ...] = ()

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """Past episodes and the current one, oldest first."""
        return self.past if self.current is None else (*self.past, self.current)

    def observe(self, level: Level, width: timedelta) -> "EpisodeHistory":
        """Return the history after one more bin. A bin without a value changes nothing.

        An episode opens with a probability of loss above .95 and closes after two bins below
        .5. It continues the one before if the gap is at most half as long as that one, within
        30 minutes and 2 hours.
        """
        if level.value is None:
            return self
        recent = (*self._keep_recent(level, width), (level.time, level.value))
        history = replace(self, recent=recent)
        if history.current is not None:
            return _extend(history, history.current, level.probability, level.value)
        if level.probability > CONFIRMED_PROBABILITY:
            return _open(history, level, level.value, width)
        return history

    def _keep_recent(self, level: Level, width: timedelta) -> tuple[tuple[datetime, float], ...]:
        active = self.current is not None or level.probability > _ACTIVE_PROBABILITY
        span = max(_RECENT_ACTIVE if active else _RECENT_QUIET, _RECENT_MIN_BINS * width)
        if self.current is not None:
            # A return in steps reaches ordinary long before the probability says so.
            lows = (time for time, value in reversed(self.recent) if value < RETURNED)
            span = min(span + (level.time - next(lows, level.time)), _RECENT_MAX)
        return tuple(entry for entry in self.recent if level.time - entry[0] <= span)


def _open(history: EpisodeHistory, level: Level, value: float, width: timedelta) -> EpisodeHistory:
    before = history.past[-1] if history.past else None
    rows = [
        row
        for row in history.recent
        if before is None or before.ended_at is None or row[0] >= before.ended_at
    ]
    best, first, last = find_changepoint([row[1] for row in rows], falling=True)
    started_at = rows[best][0]
    if before is not None and _continues(before, started_at):
        current = replace(before, ended_at=None, lowest=min(before.lowest, value))
        return replace(history, current=current, ordinary_bins=0, past=history.past[:-1])
    current = Episode(
        entity=level.entity,
        started_at=started_at,
        started_low=rows[first][0] - width,
        started_high=rows[last][0],
        ended_at=None,
        lowest=min(row[1] for row in rows[best:]),
    )
    return replace(history, current=current, ordinary_bins=0)


def _extend(
    history: EpisodeHistory, current: Episode, probability: float, value: float
) -> EpisodeHistory:
    if probability >= EVEN_PROBABILITY:
        current = replace(current, lowest=min(current.lowest, value))
        return replace(history, current=current, ordinary_bins=0)
    if history.ordinary_bins + 1 < CONFIRMING_BINS:
        return replace(history, ordinary_bins=history.ordinary_bins + 1)
    rows = [row for row in history.recent if row[0] >= current.started_at]
    best, _, _ = find_changepoint([row[1] for row in rows], falling=False)
    ended = replace(current, ended_at=rows[min(best, len(rows) - 1)][0])
    past = (*history.past, ended)[-_MAX_EPISODES:]
    return replace(history, current=None, ordinary_bins=0, past=past)


def _continues(before: Episode, started_at: datetime) -> bool:
    if before.ended_at is None:
        return True
    half = (before.ended_at - before.started_at) / 2
    return started_at - before.ended_at <= min(max(MERGE_GAP_MIN, half), MERGE_GAP_MAX)
