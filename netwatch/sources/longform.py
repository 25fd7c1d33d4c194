"""Past figures in long form: a CSV or Parquet file with one value a row.

Columns: `time`, `signal`, `entity`, `value`, and optionally `total` (trials), `parent`
(an entity), `weight` (share in the parent), `name` and `zone`. Times are UTC unless they say
otherwise. An absent row or an empty value is no data.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from netwatch.model.entity import Entity, Place
from netwatch.model.errors import InputError
from netwatch.model.series import Bin, SeriesKey

__all__ = ["LongForm", "make_longform", "read_longform", "read_table"]

_NEEDED = ("time", "signal", "entity", "value")
_OPTIONAL: dict[str, str] = {
    "total": "",
    "parent": "",
    "weight": "1",
    "name": "",
    "zone": "",
}
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
    places: tuple[Place, ...]
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
        path: a `.csv` or `.parquet` file.
        width: gather rows into bins of this width: counts are added, other values averaged.
            Without it the file must have one width of its own.

    Raises:
        InputError: the file or a row of it cannot be used; the text names the place.
    """
    return make_longform(read_table(path), path, width=width)


def make_longform(frame: pd.DataFrame, path: Path, *, width: timedelta | None = None) -> LongForm:
    """Return a table's rows as figures; see `read_longform`. Errors name `path`.

    Raises:
        InputError: the table or a row of it cannot be used.
    """
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}; found {', '.join(frame.columns)}")
    for name, default in _OPTIONAL.items():
        if name not in frame.columns:
            frame[name] = default
    frame = _typed(frame, path)
    rows = len(frame)
    frame = frame.drop_duplicates()
    dropped = rows - len(frame)
    places = _places(frame)
    frame = frame.loc[frame["value"].notna(), ["time", "signal", "entity", "value", "total"]]
    if frame.empty:
        raise InputError(f"{path}: no row with a value")
    if width is None:
        _refuse_contradictions(frame, path)
        width = _bin_width(frame["time"], path)
    else:
        frame = _gather(frame, width)
    frame = frame.sort_values(["time", "signal", "entity"], ignore_index=True)
    _refuse_emptiness(frame["time"], width, path)
    return LongForm(frame, places, width, dropped)


def read_table(path: Path) -> pd.DataFrame:
    """Return the file's columns as text, each row named by its line (`#` begins a comment).

    Raises:
        InputError: no such file, or no table.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            return _read_parquet(path)
        frame = pd.read_csv(path, dtype=str, comment="#", keep_default_na=False)
        return _number_lines(frame, path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "empty"
        raise InputError(f"{path}: cannot be read as a table: {reason}") from error


def _number_lines(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Name every row after its line in the file, so that errors can; comments count."""
    text = path.read_text("utf-8-sig").splitlines()
    lines = [number for number, line in enumerate(text, 1) if line.partition("#")[0].strip()]
    if len(lines) == len(frame) + 1:
        return frame.set_axis(lines[1:])
    return frame.set_axis(range(2, len(frame) + 2))


def _read_parquet(path: Path) -> pd.DataFrame:
    """Return a Parquet file's rows as text, as a CSV has them."""
    import duckdb  # noqa: PLC0415 - 130 ms that a CSV need not wait for

    try:
        with duckdb.connect() as connection:
            frame: pd.DataFrame = connection.execute(
                "select columns(*)::varchar from read_parquet(?)", [str(path)]
            ).df()
    except duckdb.Error as error:
        raise InputError(f"{path}: no Parquet file: {str(error).splitlines()[0]}") from error
    return frame.fillna("").set_axis(range(2, len(frame) + 2))


def _typed(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the columns as what they are, refusing the first row that is not."""
    typed = pd.DataFrame(index=frame.index)
    typed["time"] = pd.to_datetime(frame["time"], utc=True, errors="coerce", format="ISO8601")
    _refuse_rows(typed["time"].isna(), frame["time"], path, "is no time (ISO 8601)")
    for name in ("value", "total", "weight"):
        text = frame[name].replace("", np.nan)
        typed[name] = pd.to_numeric(text, errors="coerce")
        _refuse_rows(typed[name].isna() & text.notna(), frame[name], path, f"is no {name}")
        _refuse_rows(np.isinf(typed[name]) | (typed[name] < 0), frame[name], path,
                     f"is no {name}: want a finite number, 0 or more")  # fmt: skip
    typed["value"] = typed["value"].astype(float)
    typed["total"] = typed["total"].astype(float)
    _refuse_rows(typed["value"] > typed["total"], frame["value"], path, "is more than its total")
    for name in ("signal", "entity", "parent", "name", "zone"):
        typed[name] = frame[name].astype(object).fillna("").astype(str)
    _refuse_rows(typed["signal"] == "", frame["signal"], path, "names no signal")
    for name in ("entity", "parent"):
        for text in typed[name].unique():
            _check_entity(text, name, typed[name], path)
    return typed


def _check_entity(text: str, name: str, column: "pd.Series[str]", path: Path) -> None:
    """Refuse a text that names no entity, with the line where it first stands."""
    if name == "parent" and not text:
        return
    try:
        Entity.parse(text)
    except InputError as error:
        line = (column == text).idxmax()
        raise InputError(f"{path}, line {line}: {error}") from error


def _refuse_rows(bad: "pd.Series[bool]", column: "pd.Series[str]", path: Path, what: str) -> None:
    """Raise InputError naming the first row where `bad` is true."""
    rows = np.flatnonzero(bad.to_numpy())
    if len(rows):
        value = str(column.iloc[int(rows[0])])[:40]
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise InputError(f"{path}, line {bad.index[rows[0]]}: {value!r} {what}{more}")


def _refuse_contradictions(frame: pd.DataFrame, path: Path) -> None:
    """Raise InputError where one series has two values at one time."""
    twice = frame.duplicated(["time", "signal", "entity"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise InputError(
            f"{path}, line {frame.index[twice][0]}: a second value of "
            f"{row['signal']} of {row['entity']} at {row['time']}"
        )


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
    groups = frame.groupby(["time", "signal", "entity"], as_index=False)
    summed = groups[["value", "total"]].sum(min_count=1)
    averaged = groups["value"].mean()
    summed["value"] = summed["value"].where(summed["total"].notna(), averaged["value"])
    return summed


def _places(frame: pd.DataFrame) -> tuple[Place, ...]:
    """Return the places that the file describes: each entity's first row says what it is."""
    first = frame.drop_duplicates("entity")
    first = first[(first["parent"] != "") | (first["name"] != "")]
    names = ("entity", "name", "parent", "zone")
    texts = zip(*(first[name].tolist() for name in names), strict=True)
    return tuple(
        Place(
            entity=Entity.parse(entity),
            name=name or Entity.parse(entity).code,
            parent=Entity.parse(parent) if parent else None,
            weight=float(weight),
            zone=zone,
        )
        for (entity, name, parent, zone), weight in zip(
            texts, first["weight"].astype(float).tolist(), strict=True
        )
    )
