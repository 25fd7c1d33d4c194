"""Past figures in long form: a CSV or Parquet file with one value a row.

Columns: `time`, `signal`, `entity`, `value`, and optionally `total` (trials), `parent`
(an entity), `weight` (share in the parent), `name` and `zone`. Times are UTC unless they say
otherwise. An absent row, an empty value or NaN is no data.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from netwatch.model.entities import Entity, EntityInfo
from netwatch.model.errors import InputError
from netwatch.model.series import Bin, SeriesKey
from netwatch.sources.table_reader import line_of, read_parts
from netwatch.sources.texts import Texts

_NEEDED = ("time", "signal", "entity", "value")
_OPTIONAL: dict[str, str] = {
    "total": "",
    "parent": "",
    "weight": "1",
    "name": "",
    "zone": "",
}
_KEY = ["time", "signal", "entity"]
_TEXTS = ("signal", "entity", "parent", "name", "zone")
_NO_NUMBERS = frozenset({"", "nan", "na", "n/a", "null", "none"})
_WORDS = ("now", "today", "NOW", "TODAY", "Now", "Today")
_MOST = 1e30
"""Nobody counts more; squares and sums of it are still numbers."""
_PART = 500_000
_LEAST_REGULAR = 0.9
_MOST_EMPTY, _MOST_EMPTY_SHARE = 100_000, 50


@dataclass(frozen=True, slots=True)
class LongForm:
    """A file's bins in order of time, its places, and the width of its bins.

    Attributes:
        frame: columns time, signal, entity, value, total; sorted, each series once a time.
        places: what the file says of its entities.
        width: bin width.
        dropped: rows that stood twice, word for word.
    """

    frame: pd.DataFrame
    places: tuple[EntityInfo, ...]
    width: timedelta
    dropped: int = 0

    def bins(self) -> Iterator[Bin]:
        """Yield the bins in order of time (`netwatch.protocols.Source`)."""
        keys: dict[tuple[str, str], SeriesKey] = {}
        columns = (self.frame[name] for name in ("time", "signal", "entity", "value", "total"))
        for time, signal, entity, value, total in zip(*columns, strict=True):
            key = keys.get((signal, entity))
            if key is None:
                key = keys[signal, entity] = SeriesKey(signal, Entity.parse(entity))
            yield Bin(
                time.to_pydatetime(), key, float(value), None if pd.isna(total) else float(total)
            )


def read_longform(path: Path, *, width: timedelta | None = None) -> LongForm:
    """Return the figures in `path`.

    Args:
        path: a `.csv`, `.csv.gz` or `.parquet` file.
        width: gather rows into bins of this width: counts are added, other values averaged.
            Without it the file must have one width of its own.

    Raises:
        InputError: the file or a row of it cannot be used; the text names the place.
    """
    return _assemble(read_parts(path), path, width)


def make_longform(frame: pd.DataFrame, path: Path, *, width: timedelta | None = None) -> LongForm:
    """Return a table's rows as figures; see `read_longform`. Errors name `path`.

    Raises:
        InputError: the table or a row of it cannot be used.
    """
    frame = frame.reset_index(drop=True)
    starts = range(0, max(1, len(frame)), _PART)
    return _assemble((frame.iloc[start : start + _PART] for start in starts), path, width)


def _assemble(parts: Iterable[pd.DataFrame], path: Path, width: timedelta | None) -> LongForm:
    """Return the figures of a table that comes a part at a time."""
    texts = {name: Texts() for name in _TEXTS}
    frame = pd.concat([_typed(part, path, texts) for part in parts], ignore_index=True)
    for name, known in texts.items():
        frame[name] = known.column(frame[name])
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
    return LongForm(frame, places, width, dropped)


def _without_repeats(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows less those that stand twice, word for word, and how many those were."""
    again = frame.duplicated(_KEY, keep=False)
    if not again.any():
        return frame, 0
    bad = frame[again].duplicated()
    return frame.drop(index=bad.index[bad]), int(bad.sum())


def _typed(part: pd.DataFrame, path: Path, texts: dict[str, Texts]) -> pd.DataFrame:
    """Return the columns as what they are, refusing the first row that is not."""
    missing = [name for name in _NEEDED if name not in part.columns]
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
    for name, known in texts.items():
        typed[name] = known.codes(part[name], _check(name, part[name], path))
    return typed


def _times(column: "pd.Series[str]", path: Path) -> "pd.Series[pd.Timestamp]":
    """Return times in UTC; what names no zone is UTC."""
    times = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    # Some words are times to pandas, other ones at every run.
    bad = times.isna() | column.isin(_WORDS)
    _refuse_rows(bad, column, path, "is no time (ISO 8601)")
    return times.dt.as_unit("us")


def _numbers(column: "pd.Series[str]", path: Path) -> "pd.Series[float]":
    """Return numbers, NaN where there are none."""
    name = column.name
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if numbers.isna().any():
        text = column.astype(object).fillna("").astype(str).str.strip().str.casefold()
        _refuse_rows(numbers.isna() & ~text.isin(_NO_NUMBERS), column, path, f"is no {name}")
    _refuse_rows((numbers < np.inf) & (numbers > _MOST), column, path,
                 f"is no {name}: more than {_MOST:g}")  # fmt: skip
    _refuse_rows((numbers == np.inf) | (numbers < 0), column, path,
                 f"is no {name}: want a finite number, 0 or more")  # fmt: skip
    return numbers


def _check(name: str, column: "pd.Series[str]", path: Path) -> Callable[[str, int], None]:
    """Return what refuses a new text of a column, given the number of its row in the part."""

    def check(text: str, row: int) -> None:
        if name == "signal" and not text:
            raise InputError(f"{_place(path, column, row)}: '' names no signal")
        if name == "entity" or (name == "parent" and text):
            try:
                Entity.parse(text)
            except InputError as error:
                raise InputError(f"{_place(path, column, row)}: {error}") from error

    return check


def _refuse_rows(bad: "pd.Series[bool]", column: "pd.Series[str]", path: Path, what: str) -> None:
    """Raise InputError naming the first row where `bad` is true."""
    rows = np.flatnonzero(bad.to_numpy())
    if len(rows):
        row = int(rows[0])
        value = str(column.iloc[row])[:40]
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise InputError(f"{_place(path, column, row)}: {value!r} {what}{more}")


def _place(path: Path, column: "pd.Series[str]", row: int) -> str:
    """Return where a row of a part stands in its file."""
    return f"{path}, line {line_of(path, int(str(column.index[row])))}"


def _refuse_contradictions(frame: pd.DataFrame, path: Path, where: str = "at") -> None:
    """Raise InputError where one series has two values at one time."""
    twice = frame.duplicated(_KEY)
    if twice.any():
        row = frame[twice].iloc[0]
        line = line_of(path, int(str(frame.index[twice][0])))
        raise InputError(
            f"{path}, line {line}: a second value of "
            f"{row['signal']} of {row['entity']} {where} {row['time']}"
        )


def _on_grid(frame: pd.DataFrame, width: timedelta, path: Path) -> pd.DataFrame:
    """Move the few rows that lie beside the grid onto it, and refuse two in one bin."""
    first, step = frame["time"].min(), pd.Timedelta(width)
    since = frame["time"] - first
    beside = since % step != pd.Timedelta(0)
    if beside.any():
        frame = frame.assign(time=first + since // step * step)
        _refuse_contradictions(frame, path, "(name a bin width to gather them) in the bin of")
    return frame


def _bin_width(times: "pd.Series[pd.Timestamp]", path: Path) -> timedelta:
    """Return the width that nearly all steps between times are a multiple of."""
    naive = times.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    instants = np.unique(naive.astype(np.int64))
    steps = np.diff(instants)
    if not len(steps):
        raise InputError(f"{path}: one single time; that is no series")
    values, counts = np.unique(steps, return_counts=True)
    width = int(values[counts.argmax()])
    if ((instants - instants[0]) % width != 0).mean() > 1 - _LEAST_REGULAR:
        raise InputError(f"{path}: times have no regular step; name a bin width")
    return timedelta(seconds=width)


def _refuse_emptiness(times: "pd.Series[pd.Timestamp]", width: timedelta, path: Path) -> None:
    """Raise InputError where one stray time would make hours of empty intervals to judge."""
    intervals = (times.iloc[-1] - times.iloc[0]) / pd.Timedelta(width)
    if intervals > _MOST_EMPTY and intervals > _MOST_EMPTY_SHARE * times.nunique():
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
    """Return the places that the file describes: each entity's first row says what it is."""
    first = frame.drop_duplicates("entity")
    first = first.astype(dict.fromkeys(_TEXTS, object))
    first = first[(first["parent"] != "") | (first["name"] != "")]
    names = ("entity", "name", "parent", "zone")
    texts = zip(*(first[name].tolist() for name in names), strict=True)
    return tuple(
        EntityInfo(
            entity=Entity.parse(entity),
            name=name or Entity.parse(entity).code,
            parent=Entity.parse(parent) if parent else None,
            weight=float(weight),
            timezone=zone,
        )
        for (entity, name, parent, zone), weight in zip(
            texts, first["weight"].astype(float).tolist(), strict=True
        )
    )
