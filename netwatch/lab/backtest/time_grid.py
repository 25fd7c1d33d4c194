"""The intervals of a backtest, levels on them, and the values that one shard gets."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.arrays import Floats
from netwatch.model.entities import EntityInfo
from netwatch.model.series import SeriesKey


@dataclass(frozen=True, slots=True)
class Grid:
    """Intervals of one width in a row."""

    start: datetime
    width: timedelta
    bins: int

    def time(self, index: int) -> datetime:
        """Return the start of a bin."""
        return self.start + index * self.width

    def index(self, time: datetime) -> int:
        """Return the bin that holds `time`."""
        return (time - self.start) // self.width


COLUMNS = ("level", "low", "high", "probability")
"""Columns of the table of levels, the fields of `Levels`."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels of a detector, entities x bins, NaN for no level.

    Attributes:
        level: 1.0 = ordinary.
        low, high: its 95 % interval, None if the detector has none.
        probability: that the entity is below ordinary, None if the detector has none.
    """

    level: Floats
    low: Floats | None = None
    high: Floats | None = None
    probability: Floats | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """Whole countries and their values, as sent to a worker.

    Attributes:
        infos: descriptions of the entities.
        keys: the series, one column each.
        grid: the intervals.
        min_history: history of a series that only teaches.
        values: shape (bins, keys), NaN is no data.
        totals: the same, None if no series has trials.
    """

    infos: tuple[EntityInfo, ...]
    keys: tuple[SeriesKey, ...]
    grid: Grid
    min_history: timedelta
    values: Floats
    totals: Floats | None
