"""Parses InfluxDB's replies into rows, and rows into bins and levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from netwatch.model.baseline_basis import Baseline
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.influx.line_protocol import moment, parse_tag
from netwatch.store.influx.schema import SCHEMA

Cell = float | int | str | bool | None
Row = list[Cell]


@dataclass(frozen=True, slots=True)
class ReplyTable:
    """Result of a statement: rows in the order of the server; the first column is the time.

    Attributes:
        columns: their names.
        rows: their cells; times are nanoseconds since 1970.
        error: its error, empty for none.
    """

    columns: tuple[str, ...] = ()
    rows: Sequence[Row] = ()
    error: str = ""


class _Series(msgspec.Struct):
    """One table of a reply."""

    columns: list[str] = msgspec.field(default_factory=list)
    values: list[Row] = msgspec.field(default_factory=list)


class _Result(msgspec.Struct):
    """Result of one statement."""

    series: list[_Series] = msgspec.field(default_factory=list)
    error: str = ""


class _Answer(msgspec.Struct):
    """A reply of `/query`."""

    results: list[_Result] = msgspec.field(default_factory=list)
    error: str = ""


_WRONG_ROWS = "the reply's rows are not as requested"
_DECODER = msgspec.json.Decoder(_Answer)


def parse_answer(body: bytes) -> ReplyTable:
    """Return the result of one statement, from one JSON document or one per chunk.

    Raises:
        StoreError: the body is not a reply of InfluxDB.
    """
    what = "the reply is not of InfluxDB"
    answers = [
        decode_foreign(line, _DECODER.decode, what=what, kind=StoreError)
        for line in body.splitlines()
        if line.strip()
    ]
    results = [result for answer in answers for result in answer.results]
    errors = [answer.error for answer in answers] + [result.error for result in results]
    series = [one for result in results for one in result.series]
    shapes = {tuple(one.columns) for one in series}
    if len(shapes) > 1:
        raise StoreError("the reply has tables of different columns")
    rows = [row for one in series for row in one.values]
    return ReplyTable(next(iter(shapes), ()), rows, error=next(filter(None, errors), ""))


def columns_of(measurement: str) -> tuple[str, ...]:
    """Return the columns in which `parse_bin` and `parse_level` expect a row, time first."""
    schema = SCHEMA[measurement]
    return ("time", *schema.fields, *schema.tags)


def newest(rows: Sequence[Row]) -> list[Row]:
    """Return the newest revision of each (time, series) among `rows`, by time, then series.

    Rows end with the three tags of a series. The nanoseconds within the microsecond are the
    revision: if all are zero, nothing was revised and sorting is enough.
    """
    ordered = decode_foreign(rows, _in_order, what=_WRONG_ROWS, kind=StoreError)
    if not any(stamp_of(row) % 1000 for row in ordered):
        return ordered
    last = {(stamp_of(row) // 1000, *row[-3:]): row for row in ordered}
    return list(last.values())


def stamp_of(row: Row) -> int:
    """Return a row's time in nanoseconds since 1970."""
    stamp = row[0]
    if not isinstance(stamp, int):
        raise StoreError(f"a row's time is {stamp!r}, not an integer")
    return stamp


def series_of(row: Row) -> SeriesKey:
    """Return the series that the last three cells of a row name."""
    return _name(*row[-3:])[0]


def parse_counts(row: Row) -> tuple[float, float | None]:
    """Return the value and the total of a row."""
    return decode_foreign(row, _counts, what=_WRONG_ROWS, kind=StoreError)


def parse_bin(row: Row) -> Bin:
    """Return the bin of a row."""
    return decode_foreign(row, _bin, what=_WRONG_ROWS, kind=StoreError)


def parse_level(row: Row) -> Level:
    """Return the level of a row."""
    return decode_foreign(row, _level, what=_WRONG_ROWS, kind=StoreError)


def _counts(row: Row) -> tuple[float, float | None]:
    value, total, trials = row[1:4]
    return _number(value), _number(total) if trials else None


def _bin(row: Row) -> Bin:
    value, total = _counts(row)
    return Bin(moment(stamp_of(row)), series_of(row), value, total)


def _level(row: Row) -> Level:
    ratio, low, high, measured, bounds, probability, coverage, networks, baseline = row[4:13]
    known = int(_number(bounds))
    return Level(
        time=moment(stamp_of(row)),
        series=series_of(row),
        value=_number(ratio) if measured else None,
        low=_number(low) if known & 1 else None,
        high=_number(high) if known & 2 else None,
        probability=_number(probability),
        coverage=_number(coverage),
        networks=int(_number(networks)),
        baseline=Baseline.decode(str(baseline or "")),
    )


def _in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=_sort_key)


def _sort_key(row: Row) -> tuple[int, str, str, str, int]:
    """Return the microsecond, the series and the revision."""
    stamp = stamp_of(row)
    return (stamp // 1000, *_name(*row[-3:])[1], stamp % 1000)


@lru_cache(maxsize=262_144)
def _name(scope_id: Cell, scope_type: Cell, signal: Cell) -> tuple[SeriesKey, tuple[str, str, str]]:
    """Return the series of three tags, and its sort key."""
    code, kind, word = (parse_tag(str(tag or "")) for tag in (scope_id, scope_type, signal))
    try:
        entity = Entity(EntityKind(kind), code)
    except ValueError:
        raise StoreError(f"a row with scope_type {kind!r} was not written by netwatch") from None
    return SeriesKey(word, entity), (word, kind, code)


def _number(value: Cell) -> float:
    """Return a number as float; in JSON, 1 and 1.0 are the same."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise StoreError(f"a row has {value!r} where a number belongs")
    return float(value)
