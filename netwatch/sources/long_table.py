"""Series in long form: a CSV or Parquet file with one value per row.

Columns: `time`, `signal`, `entity`, `value`, and optionally `total` (trials), `parent`
(an entity), `weight` (share in the parent), `name` and `timezone`. Times without a zone are
UTC. A missing row, an empty value and NaN mean no data.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from netwatch.model.entities import Entity, EntityInfo
from netwatch.model.errors import InputError
from netwatch.model.series import Bin, SeriesKey
from netwatch.plugins import NoOptions
from netwatch.protocols import RecordedSeries
from netwatch.sources.table_reader import line_of, read_parts

_REQUIRED = ("time", "signal", "entity", "value")
_OPTIONAL: dict[str, str] = {"total": "", "parent": "", "weight": "1", "name": "", "timezone": ""}
_KEY = ["time", "signal", "entity"]
_TEXT_COLUMNS = ("signal", "entity", "parent", "name", "timezone")
_NULLS = frozenset({"", "nan", "na", "n/a", "null", "none"})
_WORDS = ("now", "today", "NOW", "TODAY", "Now", "Today")
_MAX_VALUE = 1e30
"""Above any count; its squares and sums are still finite."""
_PART_ROWS = 500_000
"""Rows that are converted at a time."""
_MIN_REGULAR_SHARE = 0.9
"""Share of intervals that are multiples of the most frequent one."""
_MAX_INTERVALS, _MAX_INTERVALS_PER_TIME = 100_000, 50
"""Intervals in all and per time with a value; above both, a time must be wrong."""


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """Bins in order of time, their entities and their width.

    Attributes:
        frame: columns time, signal, entity, value, total; sorted, each series once per time.
        places: the entities that the file describes.
        dropped: number of rows that were exact duplicates.
    """

    frame: pd.DataFrame
    places: tuple[EntityInfo, ...]
    width: timedelta
    dropped: int = 0

    def bins(self) -> Iterator[Bin]:
        """Yield the bins in order of time."""
        keys: dict[tuple[str, str], SeriesKey] = {}
        columns = (self.frame[name] for name in ("time", "signal", "entity", "value", "total"))
        for time, signal, entity, value, total in zip(*columns, strict=True):
            key = keys.get((signal, entity))
            if key is None:
                key = keys[signal, entity] = SeriesKey(signal, Entity.parse(entity))
            yield Bin(
                time.to_pydatetime(), key, float(value), None if pd.isna(total) else float(total)
            )


class LongTableSource(NoOptions):
    """CSV or Parquet with the columns time, signal, entity, value and optionally total."""

    suffixes = frozenset({".csv", ".csv.gz", ".parquet"})

    def read(self, path: Path, *, width: timedelta | None = None) -> SeriesTable:
        """Return the series in a file; see `netwatch.protocols.Source`.

        With `width`, counts are summed and other values averaged. Without it, the rows must have
        a regular interval.
        """
        return _assemble(read_parts(path), path, width)


def as_series_table(series: RecordedSeries) -> SeriesTable:
    """Return recorded series of any source as a table."""
    if isinstance(series, SeriesTable):
        return series
    rows = [
        (bin_.time, bin_.series.signal, str(bin_.series.entity), bin_.value, bin_.total)
        for bin_ in series.bins()
    ]
    frame = pd.DataFrame(rows, columns=["time", "signal", "entity", "value", "total"])
    frame["total"] = frame["total"].astype(float)
    return SeriesTable(frame, series.places, series.width)


def make_series_table(
    frame: pd.DataFrame, path: Path, *, width: timedelta | None = None
) -> SeriesTable:
    """Return a table's rows as series; see `LongTableSource.read`. Errors name `path`.

    Raises:
        InputError: the table or a row of it cannot be used.
    """
    frame = frame.reset_index(drop=True)
    starts = range(0, max(1, len(frame)), _PART_ROWS)
    return _assemble((frame.iloc[start : start + _PART_ROWS] for start in starts), path, width)


def _assemble(parts: Iterable[pd.DataFrame], path: Path, width: timedelta | None) -> SeriesTable:
    typed = [_typed(part, path) for part in parts]
    texts = {
        name: union_categoricals([part.pop(name).array for part in typed], sort_categories=True)
        for name in _TEXT_COLUMNS
    }
    frame = pd.concat(typed, ignore_index=True).assign(**texts)
    frame, dropped = _without_repeats(frame)
    places = _places(frame)
    frame = frame.loc[frame["value"].notna(), ["time", "signal", "entity", "value", "total"]]
    if frame.empty:
        raise InputError(f"{path}: no row with a value")
    if width is None:
        _refuse_contradictions(frame, path)
        width = _bin_width(frame["time"], path)
        frame = _on_grid(frame, width, path)
    else:
        frame = _gather(frame, width)
    frame = frame.sort_values(["time", "signal", "entity"], ignore_index=True)
    _refuse_emptiness(frame["time"], width, path)
    return SeriesTable(frame, places, width, dropped)


def _without_repeats(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    again = frame.duplicated(_KEY, keep=False)
    if not again.any():
        return frame, 0
    bad = frame[again].duplicated()
    return frame.drop(index=bad.index[bad]), int(bad.sum())


def _typed(part: pd.DataFrame, path: Path) -> pd.DataFrame:
    missing = [name for name in _REQUIRED if name not in part.columns]
    if missing:
        names = ", ".join(map(str, part.columns))
        raise InputError(f"{path}: no column {missing[0]!r}; found {names}")
    twice = part.columns[part.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path}: two columns are called {str(twice[0])!r}")
    part = part.assign(**{name: fill for name, fill in _OPTIONAL.items() if name not in part})
    typed = pd.DataFrame(index=part.index)
    typed["time"] = _times(part["time"], path)
    for name in ("value", "total", "weight"):
        typed[name] = _numbers(part[name], path)
    _refuse_rows(typed["value"] > typed["total"], part["value"], path, "is more than its total")
    for name in _TEXT_COLUMNS:
        typed[name] = _categories(part[name], name, path)
    return typed


def _categories(column: "pd.Series[str]", name: str, path: Path) -> pd.Categorical:
    codes, texts = pd.factorize(column.fillna("").astype(str))
    for code, text in enumerate(texts):
        try:
            _check_text(name, text)
        except InputError as error:
            row = int((codes == code).argmax())
            raise InputError(f"{_where(path, column, row)}: {error}") from error
    return pd.Categorical.from_codes(codes, pd.Index(texts, dtype=object))


def _check_text(name: str, text: str) -> None:
    if name == "signal" and not text:
        raise InputError("'' is not the name of a signal")
    if name == "entity" or (name == "parent" and text):
        Entity.parse(text)


def _times(column: "pd.Series[str]", path: Path) -> "pd.Series[pd.Timestamp]":
    """Return times in UTC, which is also the zone of times without one."""
    times = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    # pandas reads these words as the current time.
    bad = times.isna() | column.isin(_WORDS)
    _refuse_rows(bad, column, path, "is not a time (ISO 8601)")
    return times.dt.as_unit("us")


def _numbers(column: "pd.Series[str]", path: Path) -> "pd.Series[float]":
    name = column.name
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if numbers.isna().any():
        text = column.astype(object).fillna("").astype(str).str.strip().str.casefold()
        _refuse_rows(numbers.isna() & ~text.isin(_NULLS), column, path, f"is not a {name}")
    _refuse_rows((numbers < np.inf) & (numbers > _MAX_VALUE), column, path,
                 f"is not a {name}: more than {_MAX_VALUE:g}")  # fmt: skip
    _refuse_rows((numbers == np.inf) | (numbers < 0), column, path,
                 f"is not a {name}: want a finite number, 0 or more")  # fmt: skip
    return numbers


def _refuse_rows(bad: "pd.Series[bool]", column: "pd.Series[str]", path: Path, what: str) -> None:
    rows = np.flatnonzero(bad.to_numpy())
    if len(rows):
        row = int(rows[0])
        value = str(column.iloc[row])[:40]
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise InputError(f"{_where(path, column, row)}: {value!r} {what}{more}")


def _where(path: Path, column: "pd.Series[str]", row: int) -> str:
    return f"{path}, line {line_of(path, int(str(column.index[row])))}"


def _refuse_contradictions(frame: pd.DataFrame, path: Path, where: str = "at") -> None:
    twice = frame.duplicated(_KEY)
    if twice.any():
        row = frame[twice].iloc[0]
        line = line_of(path, int(str(frame.index[twice][0])))
        raise InputError(
            f"{path}, line {line}: a second value of "
            f"{row['signal']} of {row['entity']} {where} {row['time']}"
        )


def _on_grid(frame: pd.DataFrame, width: timedelta, path: Path) -> pd.DataFrame:
    """Round times that are off the grid down to it, and refuse two values in one bin."""
    first, step = frame["time"].min(), pd.Timedelta(width)
    since = frame["time"] - first
    off_grid = since % step != pd.Timedelta(0)
    if off_grid.any():
        frame = frame.assign(time=first + since // step * step)
        _refuse_contradictions(frame, path, "(name a bin width to gather them) in the bin of")
    return frame


def _bin_width(times: "pd.Series[pd.Timestamp]", path: Path) -> timedelta:
    """Return the width that nearly all steps between times are a multiple of."""
    naive = times.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    instants = np.unique(naive.astype(np.int64))
    steps = np.diff(instants)
    if not len(steps):
        raise InputError(f"{path}: a single time is not a series")
    values, counts = np.unique(steps, return_counts=True)
    width = int(values[counts.argmax()])
    if ((instants - instants[0]) % width != 0).mean() > 1 - _MIN_REGULAR_SHARE:
        raise InputError(f"{path}: times have no regular step; name a bin width")
    return timedelta(seconds=width)


def _refuse_emptiness(times: "pd.Series[pd.Timestamp]", width: timedelta, path: Path) -> None:
    """Raise InputError if a stray first or last time makes nearly all intervals empty."""
    intervals = (times.iloc[-1] - times.iloc[0]) / pd.Timedelta(width)
    if intervals > _MAX_INTERVALS and intervals > _MAX_INTERVALS_PER_TIME * times.nunique():
        raise InputError(
            f"{path}: {intervals:.0f} intervals of {width} from {times.iloc[0]} to "
            f"{times.iloc[-1]}, and hardly any has a value; is the first or last time wrong?"
        )


def _gather(frame: pd.DataFrame, width: timedelta) -> pd.DataFrame:
    """Return the rows in bins of `width`: counts with a total added, other values averaged."""
    frame = frame.assign(time=frame["time"].dt.floor(pd.Timedelta(width)))
    groups = frame.groupby(_KEY, as_index=False, observed=True)
    summed = groups[["value", "total"]].sum(min_count=1)
    averaged = groups["value"].mean()
    summed["value"] = summed["value"].where(summed["total"].notna(), averaged["value"])
    return summed


def _places(frame: pd.DataFrame) -> tuple[EntityInfo, ...]:
    first = frame.drop_duplicates("entity").astype(dict.fromkeys(_TEXT_COLUMNS, object))
    first = first[(first["parent"] != "") | (first["name"] != "")]
    return tuple(
        EntityInfo(
            entity=Entity.parse(row["entity"]),
            name=row["name"] or Entity.parse(row["entity"]).code,
            parent=Entity.parse(row["parent"]) if row["parent"] else None,
            weight=float(row["weight"]),
            timezone=row["timezone"],
        )
        for row in first.to_dict("records")
    )
