"""Bins and levels to rows of numbers and back."""

import sqlite3
from collections.abc import Iterator, Sequence
from math import isnan

import numpy as np

from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.moments import to_micros, to_time
from netwatch.store.rows import Ints, Rows

__all__ = ["Texts", "bins_of", "levels_of", "rows_of_bins", "rows_of_levels"]

_NAN = float("nan")


def rows_of_bins(bins: Sequence[Bin], ids: dict[SeriesKey, int]) -> Rows:
    """Return `bins` as settled rows; every series has a number in `ids`."""
    totals = [_NAN if bin_.total is None else bin_.total for bin_ in bins]
    cells = np.array([[bin_.value for bin_ in bins], totals], np.float64)
    return Rows(_times(bins), _ids(bins, ids), cells).settled()


def bins_of(rows: Rows, keys: dict[int, SeriesKey]) -> Iterator[Bin]:
    """Yield the bins that `rows` stand for, in their order."""
    times = {time: to_time(time) for time in np.unique(rows.times).tolist()}
    values, totals = rows.cells.tolist() if len(rows) else ([], [])
    columns = zip(rows.times.tolist(), rows.ids.tolist(), values, totals, strict=True)
    for time, number, value, total in columns:
        yield Bin(times[time], keys[number], value, None if isnan(total) else total)


def rows_of_levels(
    levels: Sequence[Level], ids: dict[SeriesKey, int], texts: dict[str, int]
) -> Rows:
    """Return `levels` as settled rows; every baseline has a number in `texts`."""
    columns = (
        [_none_to_nan(level.value) for level in levels],
        [_none_to_nan(level.low) for level in levels],
        [_none_to_nan(level.high) for level in levels],
        [level.probability for level in levels],
        [level.coverage for level in levels],
        [level.networks for level in levels],
        [texts[level.baseline] for level in levels],
    )
    return Rows(_times(levels), _ids(levels, ids), np.array(columns, np.float64)).settled()


def levels_of(rows: Rows, keys: dict[int, SeriesKey], texts: dict[int, str]) -> Iterator[Level]:
    """Yield the levels that `rows` stand for, in their order."""
    times = {time: to_time(time) for time in np.unique(rows.times).tolist()}
    columns = zip(rows.times.tolist(), rows.ids.tolist(), *rows.cells.tolist(), strict=True)
    for time, number, value, low, high, probability, coverage, networks, text in columns:
        yield Level(
            time=times[time],
            series=keys[number],
            value=_nan_to_none(value),
            low=_nan_to_none(low),
            high=_nan_to_none(high),
            probability=probability,
            coverage=coverage,
            networks=int(networks),
            baseline=texts[int(text)],
        )


class Texts:
    """Numbers for the few texts that levels repeat."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.texts: dict[int, str] = {}

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Take up what other processes have numbered since."""
        last = max(self.texts, default=0)
        for number, text in connection.execute(
            "select id, text from text where id > ? order by id", (last,)
        ):
            self.ids[text] = number
            self.texts[number] = text

    def claim(self, connection: sqlite3.Connection, texts: set[str]) -> None:
        """Number those of `texts` that have no number yet; `refresh` once that is committed."""
        connection.executemany(
            "insert or ignore into text (text) values (?)",
            [(text,) for text in sorted(texts - self.ids.keys())],
        )


def _times(items: Sequence[Bin] | Sequence[Level]) -> Ints:
    times = [item.time for item in items]
    micros = {time: to_micros(time) for time in set(times)}
    return np.fromiter(map(micros.__getitem__, times), np.int64, len(times))


def _ids(items: Sequence[Bin] | Sequence[Level], ids: dict[SeriesKey, int]) -> Ints:
    keys = (item.series for item in items)
    return np.fromiter(map(ids.__getitem__, keys), np.int64, len(items))


def _none_to_nan(number: float | None) -> float:
    return _NAN if number is None else number


def _nan_to_none(number: float) -> float | None:
    return None if isnan(number) else number
