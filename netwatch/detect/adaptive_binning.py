"""Series of few counts: their bins are put together until they hold enough to be judged.

A bin in which one reply is expected says nothing when it is empty. So the counts of such a
series are added up over a quarter, half or whole hour, aligned to the clock, and judged when
that is over (Durbin, Richter et al. 2024, let the bin follow the rate as well). In between the
series has no value.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats, RowArray, divide
from netwatch.detect.state import SeriesState

ENOUGH = 3.0
"""Counts that a window should hold in ordinary times.

The design has 4. Replies at 3.4 in half an hour are told from none within some hours, and
in windows of an hour losses that begin at the half hour would be dated wrong.
"""
_WINDOWS = tuple(timedelta(minutes=minutes) for minutes in (15, 30, 60))


@dataclass(frozen=True, slots=True)
class AdaptiveBin:
    """Where the windows of slow series stand after one bin; arrays with a value a row.

    Attributes:
        slow: which series are put together at all.
        due: whose window is over.
        counted, awaited: counts in the window so far, and ordinary ones in its bins with data.
    """

    slow: Bools
    due: Bools
    counted: Floats
    awaited: Floats

    def ratio(self, ordinary: Floats, pace: npt.NDArray[np.int8]) -> Floats:
        """Return current over ordinary of the windows that are over and half full, else NaN."""
        # Sums are kept in single precision.
        full = self.due & (2.001 * self.awaited >= ordinary * pace)
        return np.where(full, divide(self.counted, self.awaited), np.nan)


def choose_bin_factor(values: Floats, width: timedelta) -> RowArray:
    """Return how many bins of each series make a window; `values` are (time, series), NaN missing.

    Only counts, which are whole numbers, are put together. Those that are rare even in an hour
    are judged by the hour.
    """
    seen = np.isfinite(values)
    mean = np.where(seen, values, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    counts = whole_numbers(values) & (mean > 0)
    pace = np.ones(values.shape[1], np.intp)
    for window in _WINDOWS:
        if window > width and window % width == timedelta(0):
            more = counts & (mean * pace < ENOUGH)
            pace[more] = window // width
    return pace


def whole_numbers(values: Floats) -> Bools:
    """Return which columns hold nothing but whole numbers, gaps aside."""
    filled = np.where(np.isfinite(values), values, 0.0)
    return np.asarray((filled == np.round(filled)).all(axis=0))


def rebin(
    times: list[datetime], values: Floats, *, bins: int, width: timedelta
) -> tuple[list[datetime], Floats]:
    """Return the windows of `bins` bins in a span: their starts, and means a bin."""
    step = (width * bins).total_seconds()
    places = np.array([time.timestamp() // step for time in times])
    names, starts = np.unique(places, return_index=True)
    seen = np.isfinite(values)
    sums = np.add.reduceat(np.where(seen, values, 0), starts, axis=0)
    known = np.add.reduceat(seen, starts, axis=0)
    means = np.where(2 * known >= bins, sums / np.maximum(known, 1), np.nan)
    return [times[start] for start in starts[: len(names)].tolist()], means


def update_bin(
    state: SeriesState, time: datetime, values: Floats, ordinary: Floats
) -> AdaptiveBin | None:
    """Return the windows with one more bin in them, None where no series is slow."""
    slow = state.pace > 1
    if not slow.any():
        return None
    place = np.int64(time.timestamp() // state.width)
    due = slow & ((place + 1) % state.pace == 0)
    seen = slow & np.isfinite(values)
    return AdaptiveBin(
        slow,
        due,
        state.counted.astype(float) + np.where(seen, values, 0.0),
        state.awaited.astype(float) + np.where(seen, ordinary, 0.0),
    )
