"""Wider bins for low-count series.

A bin in which one reply is expected says nothing when it is empty. The counts of such a series
are summed over a quarter, half or whole hour, aligned to the clock, and evaluated at its end
(Durbin, Richter et al. 2024, also adapt the bin to the rate). In between the series has no
value.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Float32, Floats, RowArray, divide
from netwatch.detect.state import SeriesState

MIN_COUNT = 3.0
"""Ordinary counts in a wide bin. Replies at 3.4 per half hour are distinguished from none within
some hours; in bins of an hour, a loss that begins at the half hour would be dated wrong."""
_WIDE_BINS = tuple(timedelta(minutes=minutes) for minutes in (15, 30, 60))
"""Wider ones would delay every detection by more than an hour."""
_HALF_MEASURED = 2.001
"""Expected counts of the bins with data times this reach those of a wide bin that is half
measured; a hair above 2, since sums are kept in single precision."""


@dataclass(frozen=True, slots=True)
class AdaptiveBin:
    """Wide bins after one more bin; arrays with a value a row.

    Attributes:
        wide: rows that are evaluated in wide bins.
        complete: rows whose wide bin ends here.
        observed, expected: counts in the wide bin so far, and ordinary ones of its bins with
            data.
        ratio: current over ordinary of complete wide bins that are half measured, else NaN.
    """

    wide: Bools
    complete: Bools
    observed: Floats
    expected: Floats
    ratio: Floats

    def close(self, state: SeriesState, fault: Bools) -> tuple[Float32, Float32]:
        """Return the counts `observed` and `expected` to go on from; rows at `fault` add none."""
        trusted = self.wide & ~fault
        counts = []
        for after, before in ((self.observed, state.observed), (self.expected, state.expected)):
            count = np.where(trusted, after, before).astype(np.float32)
            count[self.complete] = 0
            counts.append(count)
        return counts[0], counts[1]


def choose_bin_factor(values: Floats, width: timedelta) -> RowArray:
    """Return how many bins of each series make a wide bin; `values` are (time, series).

    Only counts, which are whole numbers, are summed. Those that are rare even in an hour are
    evaluated by the hour.
    """
    known = np.isfinite(values)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    counts = whole_numbers(values) & (mean > 0)
    factor = np.ones(values.shape[1], np.intp)
    for wide in _WIDE_BINS:
        if wide > width and wide % width == timedelta(0):
            factor[counts & (mean * factor < MIN_COUNT)] = wide // width
    return factor


def whole_numbers(values: Floats) -> Bools:
    """Return which columns hold only whole numbers and NaN."""
    filled = np.where(np.isfinite(values), values, 0.0)
    return np.asarray((filled == np.round(filled)).all(axis=0))


def rebin(
    times: list[datetime], values: Floats, *, bins: int, width: timedelta
) -> tuple[list[datetime], Floats]:
    """Return starts and means a bin of wide bins of `bins` bins; NaN if under half measured."""
    step = (width * bins).total_seconds()
    numbers = np.array([time.timestamp() // step for time in times])
    _, starts = np.unique(numbers, return_index=True)
    known = np.isfinite(values)
    sums = np.add.reduceat(np.where(known, values, 0), starts, axis=0)
    counts = np.add.reduceat(known, starts, axis=0)
    means = np.where(2 * counts >= bins, sums / np.maximum(counts, 1), np.nan)
    return [times[start] for start in starts.tolist()], means


def update_bin(state: SeriesState, time: datetime, values: Floats, ordinary: Floats) -> AdaptiveBin:
    """Return the wide bins with one more bin in them; `state` is not changed."""
    wide = state.bin_factor > 1
    number = np.int64(time.timestamp() // state.width)
    complete = wide & ((number + 1) % state.bin_factor == 0)
    known = wide & np.isfinite(values)
    observed = state.observed.astype(float) + np.where(known, values, 0.0)
    expected = state.expected.astype(float) + np.where(known, ordinary, 0.0)
    measured = complete & (_HALF_MEASURED * expected >= ordinary * state.bin_factor)
    ratio = np.where(measured, divide(observed, expected), np.nan)
    return AdaptiveBin(wide, complete, observed, expected, ratio)
