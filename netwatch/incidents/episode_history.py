"""Episodes: the dated losses of one entity.

The detector's probability reports some bins late that a loss began or ended; a change point of
the levels gives the time.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from netwatch.incidents.changepoints import find_changepoint
from netwatch.incidents.excursion import BinRun, is_same_loss
from netwatch.model.entities import Entity
from netwatch.model.incident import Episode
from netwatch.model.series import Level
from netwatch.model.thresholds import (
    CONFIRMED_PROBABILITY,
    CONFIRMING_BINS,
    EVEN_PROBABILITY,
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


class EpisodeHistory(msgspec.Struct, frozen=True):
    """The dated losses of one entity.

    Attributes:
        recent: (start of bin, level) of the newest bins with data, oldest first.
        ordinary: run of bins that are likelier ordinary than not.
        episodes: the losses, oldest first; the last one may last.
    """

    recent: tuple[tuple[datetime, float], ...] = ()
    ordinary: BinRun = BinRun()
    episodes: tuple[Episode, ...] = ()

    @property
    def current(self) -> Episode | None:
        """The episode that lasts, None in ordinary times."""
        return self.episodes[-1] if self.episodes and self.episodes[-1].ended_at is None else None

    def observe(self, level: Level, width: timedelta) -> "EpisodeHistory":
        """Return the history after one more bin. A bin without a value changes nothing.

        An episode opens with a probability of loss above .95 and closes after two bins below
        .5. It may continue the one before; see `is_same_loss`.
        """
        if level.value is None:
            return self
        recent = (*self._keep_recent(level, width), (level.time, level.value))
        ordinary = self.ordinary.extend(level.time, holds=level.probability < EVEN_PROBABILITY)
        history, current = (
            msgspec.structs.replace(self, recent=recent, ordinary=ordinary),
            self.current,
        )
        if current is None:
            certain = level.probability > CONFIRMED_PROBABILITY
            return _open(history, level.entity, width) if certain else history
        if ordinary.since is None:
            return _change_last(history, _lowered(current, level.value))
        return _close(history, current) if ordinary.bins >= CONFIRMING_BINS else history

    def _keep_recent(self, level: Level, width: timedelta) -> tuple[tuple[datetime, float], ...]:
        active = self.current is not None or level.probability > _ACTIVE_PROBABILITY
        span = max(_RECENT_ACTIVE if active else _RECENT_QUIET, _RECENT_MIN_BINS * width)
        if self.current is not None:
            # A return in steps reaches ordinary long before the probability says so.
            lows = (time for time, value in reversed(self.recent) if value < RETURNED)
            span = min(span + (level.time - next(lows, level.time)), _RECENT_MAX)
        return tuple(entry for entry in self.recent if level.time - entry[0] <= span)


def _open(history: EpisodeHistory, entity: Entity, width: timedelta) -> EpisodeHistory:
    before = history.episodes[-1] if history.episodes else None
    ended_at = before.ended_at if before else None
    rows = [row for row in history.recent if ended_at is None or row[0] >= ended_at]
    best, first, last = find_changepoint([row[1] for row in rows], falling=True)
    started_at = rows[best][0]
    if before and ended_at and is_same_loss(ended_at - before.started_at, started_at - ended_at):
        return _change_last(history, replace(_lowered(before, rows[-1][1]), ended_at=None))
    episode = Episode(
        entity=entity,
        started_at=started_at,
        started_low=rows[first][0] - width,
        started_high=rows[last][0],
        ended_at=None,
        lowest=min(row[1] for row in rows[best:]),
    )
    return msgspec.structs.replace(history, episodes=(*history.episodes, episode))


def _close(history: EpisodeHistory, current: Episode) -> EpisodeHistory:
    rows = [row for row in history.recent if row[0] >= current.started_at]
    best, _, _ = find_changepoint([row[1] for row in rows], falling=False)
    ended = replace(current, ended_at=rows[min(best, len(rows) - 1)][0])
    return msgspec.structs.replace(
        history, episodes=(*history.episodes[:-1], ended)[-_MAX_EPISODES:]
    )


def _change_last(history: EpisodeHistory, episode: Episode) -> EpisodeHistory:
    return msgspec.structs.replace(history, episodes=(*history.episodes[:-1], episode))


def _lowered(episode: Episode, value: float) -> Episode:
    return replace(episode, lowest=min(episode.lowest, value))
