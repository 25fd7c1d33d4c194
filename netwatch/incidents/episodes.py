"""Runs of low bins in one entity's levels, bin after bin, with their onsets and ends.

A detector's probability says that a run began, some bins late; a change point of the levels
themselves then says when. Counts that are small (a few replies a bin) need both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

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

Floats = npt.NDArray[np.float64]

MOST_PAST = 16
"""Past episodes kept of an entity: what patterns of recurrence need."""
_KEPT_OPEN = timedelta(hours=8)
_KEPT_QUIET = timedelta(hours=2)
_LEAST_KEPT = 6
_STIRRING = 0.02
"""Probability of loss from which on more of the past is kept, in case it becomes an episode."""
_KEPT_MOST = timedelta(hours=48)
_ORDINARY_MEANS, _LOSS_MEANS = (RETURNED, 1.4), (0.02, 0.9)
"""Bounds of the two means; what is ordinary is itself known to some 30 % in a young series."""
_CEILING = 2.0
"""Bursts above it say no more than that nothing is lost."""
_LIKELIHOOD_DROP = 1.92
"""Half the 95 % quantile of chi-square with one degree of freedom: a profile interval."""


@dataclass(frozen=True, slots=True)
class EpisodeHistory:
    """What is remembered of one entity.

    Attributes:
        recent: (start of bin, level) of the newest bins with data, oldest first.
        current: the episode that goes on, None in ordinary times.
        over_bins: bins in a row that speak for its end.
        past: ended episodes, oldest first, 16 at the most.
    """

    recent: tuple[tuple[datetime, float], ...] = ()
    current: Episode | None = None
    over_bins: int = 0
    past: tuple[Episode, ...] = ()

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """Past episodes and the one that goes on, oldest first."""
        return self.past if self.current is None else (*self.past, self.current)


def follow_episodes(log: EpisodeHistory, level: Level, width: timedelta) -> EpisodeHistory:
    """Return `log` after one more bin of `width`. A bin without a value changes nothing.

    An episode opens where the probability of loss exceeds .95 and closes after two bins below
    .5. It continues the one before where that ended less than max(30 min, half its length,
    at most 2 h) earlier.
    """
    if level.value is None:
        return log
    recent = (*_kept(log, level, width), (level.time, level.value))
    log = replace(log, recent=recent)
    if log.current is not None:
        return _go_on(log, log.current, level)
    if level.probability > CONFIRMED_PROBABILITY:
        return _open(log, level, width)
    return log


def find_changepoint(values: Sequence[float] | Floats, *, falling: bool) -> tuple[int, int, int]:
    """Return where a series changes between ordinary and loss: best, earliest and latest index.

    Args:
        values: levels, 1.0 = ordinary, in order of time; two or more, no NaN.
        falling: ordinary before the index and loss from it on, else the reverse.

    Maximum likelihood of two segments with Poisson noise and a mean each (0.7 to 1.4 and 0.02
    to 0.9); the interval is where twice the log likelihood is within 3.84 of the best. The
    counts behind a level of 1 are read off the variance of the ordinary segment.
    """
    series = np.minimum(np.asarray(values, dtype=float), _CEILING)
    if not falling:
        best, first, last = find_changepoint(series[::-1], falling=True)
        size = len(series)
        return size - best, size - last, size - first
    loss = _part_gain(series[::-1], _LOSS_MEANS)[::-1]
    gain = (_part_gain(series, _ORDINARY_MEANS) + loss)[:-1]
    best = int(gain.argmax())
    counts = _counts(series[:best])
    near = np.flatnonzero(counts * (gain[best] - gain) <= _LIKELIHOOD_DROP)
    return best, int(near[0]), int(near[-1])


def _part_gain(series: Floats, means: tuple[float, float]) -> Floats:
    """Return the Poisson log likelihood of each beginning of `series`, at its best mean.

    The first value is that of no beginning at all, 0; the last that of the whole series.
    """
    sums = np.concatenate([[0.0], series.cumsum()])
    lengths = np.arange(len(sums))
    mean = np.clip(sums / np.maximum(lengths, 1), *means)
    return np.asarray(sums * np.log(mean) - lengths * mean)


def _counts(ordinary: Floats) -> float:
    """Return how many counts a level of 1 stands for, from its scatter; 1 where unknown."""
    if len(ordinary) < 3:
        return 1.0
    return float(np.clip(1 / max(float(ordinary.var(ddof=1)), 1e-4), 1, 1e4))


def _kept(
    log: EpisodeHistory, level: Level, width: timedelta
) -> tuple[tuple[datetime, float], ...]:
    """Return the recent bins that still matter: few in ordinary times, so that many fit.

    A level that came back in steps may have been back for long before it counts as ordinary:
    while an episode is open, the time since its newest low bin is kept as well.
    """
    stirring = log.current is not None or level.probability > _STIRRING
    span = max(_KEPT_OPEN if stirring else _KEPT_QUIET, _LEAST_KEPT * width)
    if log.current is not None:
        lows = (time for time, value in reversed(log.recent) if value < RETURNED)
        span = min(span + (level.time - next(lows, level.time)), _KEPT_MOST)
    return tuple(entry for entry in log.recent if level.time - entry[0] <= span)


def _open(log: EpisodeHistory, level: Level, width: timedelta) -> EpisodeHistory:
    """Open an episode at its most likely onset, or go on with the one that just ended."""
    after = log.past[-1].ended_at if log.past else None
    rows = [row for row in log.recent if after is None or row[0] >= after]
    best, first, last = find_changepoint([value for _, value in rows], falling=True)
    started_at = rows[best][0]
    if log.past and _is_same(log.past[-1], started_at):
        before = log.past[-1]
        current = replace(before, ended_at=None)
        return replace(log, current=_deepen(current, level), over_bins=0, past=log.past[:-1])
    current = Episode(
        entity=level.entity,
        started_at=started_at,
        started_low=rows[first][0] - width,
        started_high=rows[last][0],
        ended_at=None,
        lowest=min(value for _, value in rows[best:]),
    )
    return replace(log, current=current, over_bins=0)


def _is_same(before: Episode, started_at: datetime) -> bool:
    """Return whether a loss at `started_at` belongs to the episode before."""
    if before.ended_at is None:
        return True
    half = (before.ended_at - before.started_at) / 2
    return started_at - before.ended_at <= min(max(MERGE_GAP_MIN, half), MERGE_GAP_MAX)


def _go_on(log: EpisodeHistory, current: Episode, level: Level) -> EpisodeHistory:
    """Follow the open episode by one bin; close it where it is over."""
    if level.probability >= EVEN_PROBABILITY:
        return replace(log, current=_deepen(current, level), over_bins=0)
    if log.over_bins + 1 < CONFIRMING_BINS:
        return replace(log, over_bins=log.over_bins + 1)
    rows = [row for row in log.recent if row[0] >= current.started_at]
    best, _, _ = find_changepoint([value for _, value in rows], falling=False)
    ended_at = rows[min(best, len(rows) - 1)][0]
    past = (*log.past, replace(current, ended_at=ended_at))[-MOST_PAST:]
    return replace(log, current=None, over_bins=0, past=past)


def _deepen(current: Episode, level: Level) -> Episode:
    """Return the episode with its lowest level brought up to date."""
    value = 1.0 if level.value is None else level.value
    return replace(current, lowest=min(current.lowest, value))
