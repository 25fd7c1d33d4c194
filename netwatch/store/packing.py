"""Bins and levels to rows of numbers and back."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite, isnan
from typing import Self

import numpy as np

from netwatch.model.baseline import Baseline
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.moments import to_micros, to_time
from netwatch.store.rows import Ints, Rows
from netwatch.store.rules import time_fault

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """What bins hold, field by field."""

    times: list[datetime]
    keys: list[SeriesKey]
    values: list[float]
    totals: list[float | None]

    @classmethod
    def of(cls, bins: Sequence[Bin]) -> Self:
        """Return the columns of `bins`."""
        return cls(
            [bin_.time for bin_ in bins],
            [bin_.series for bin_ in bins],
            [bin_.value for bin_ in bins],
            [bin_.total for bin_ in bins],
        )

    def look_sound(self, now: datetime) -> bool:
        """Judge all at once by the rules for numbers and times, not for names.

        It takes a tenth of the time of judging one by one: a sum is finite only where all
        of its parts are. A sum of finite numbers may overflow; then each is looked at.
        """
        numbers = [number for number in self.totals if number is not None]
        if not isfinite(sum(self.values)) or not isfinite(sum(numbers)):
            return False
        return not any(time_fault(time, now) for time in set(self.times))

    def rows(self, numbers: Ints) -> Rows:
        """Return settled rows; `numbers` are those of the keys, one by one."""
        totals = self.totals
        if None in totals:
            totals = [_NAN if total is None else total for total in totals]
        cells = np.array([self.values, totals], np.float64)
        return Rows(_micros(self.times), numbers, cells).settled()


def bins_of(rows: Rows, keys: dict[int, SeriesKey]) -> Iterator[Bin]:
    """Yield the bins that `rows` stand for, in their order."""
    times = {time: to_time(time) for time in np.unique(rows.times).tolist()}
    values, totals = rows.cells.tolist() if len(rows) else ([], [])
    columns = zip(rows.times.tolist(), rows.ids.tolist(), values, totals, strict=True)
    for time, number, value, total in columns:
        yield Bin(times[time], keys[number], value, None if isnan(total) else total)


def rows_of_levels(levels: Sequence[Level], numbers: Ints, texts: dict[str, int]) -> Rows:
    """Return `levels`, whose series have these `numbers`, as settled rows."""
    columns = (
        [_none_to_nan(level.value) for level in levels],
        [_none_to_nan(level.low) for level in levels],
        [_none_to_nan(level.high) for level in levels],
        [level.probability for level in levels],
        [level.coverage for level in levels],
        [level.networks for level in levels],
        [texts[level.baseline.encode()] for level in levels],
    )
    times = _micros([level.time for level in levels])
    return Rows(times, numbers, np.array(columns, np.float64)).settled()


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
            baseline=Baseline.decode(texts[int(text)]),
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


def _micros(times: Sequence[datetime]) -> Ints:
    micros = {time: to_micros(time) for time in set(times)}
    return np.fromiter(map(micros.__getitem__, times), np.int64, len(times))


def _none_to_nan(number: float | None) -> float:
    return _NAN if number is None else number


def _nan_to_none(number: float) -> float | None:
    return None if isnan(number) else number
