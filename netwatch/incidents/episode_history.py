"""Episodes: the dated losses of one entity.

The detector's probability reports some bins late that a loss began or ended; a change point of
the levels gives the time.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from netwatch.incidents.changepoints import find_changepoint
from netwatch.model.incident import Episode
from netwatch.model.series import Level
from netwatch.model.thresholds import (
    CONFIRMED_PROBABILITY,
    CONFIRMING_BINS,
    EVEN_PROBABILITY,
    MERGE_GAP_MAX,
    MERGE_GAP_MIN,
    RETURNED,
)

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
        .5. It may continue the one before; see `is_same_loss`.
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
    return is_same_loss(before.ended_at - before.started_at, started_at - before.ended_at)


def is_same_loss(length: timedelta, gap: timedelta) -> bool:
    """Return whether low bins continue a loss of `length` that ended `gap` before.

    The gap may be half as long as the loss, within `MERGE_GAP_MIN` and `MERGE_GAP_MAX`.
    """
    return gap <= min(max(MERGE_GAP_MIN, length / 2), MERGE_GAP_MAX)
