"""The intervals of a backtest, and the part of its values that one shard gets."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.arrays import Floats
from netwatch.model.entities import EntityInfo
from netwatch.model.series import SeriesKey


@dataclass(frozen=True, slots=True)
class Grid:
    """The intervals of a backtest, and the history that only teaches."""

    start: datetime
    width: timedelta
    bins: int
    min_history: timedelta

    def time(self, number: int) -> datetime:
        """Return the start of a bin."""
        return self.start + number * self.width


@dataclass(frozen=True, slots=True)
class Partition:
    """Whole countries and their values, as sent to a worker.

    Attributes:
        infos: descriptions of the entities.
        keys: the series, one column each.
        grid: the intervals.
        values: shape (bins, keys), NaN is no data.
        totals: the same, None if no series has trials.
    """

    infos: tuple[EntityInfo, ...]
    keys: tuple[SeriesKey, ...]
    grid: Grid
    values: Floats
    totals: Floats | None
