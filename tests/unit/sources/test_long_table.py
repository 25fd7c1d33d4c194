"""Series in long form: which tables are read, and the one-line error of any other."""

import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netwatch.model.entities import Entity, EntityInfo
from netwatch.model.errors import InputError
from netwatch.model.series import Bin, SeriesKey
from netwatch.sources.long_table import LongTableSource, SeriesTable, as_series_table

HEAD = "time,signal,entity,value\n"
IRAN = SeriesKey("probing", Entity.parse("country:IR"))
Write = Callable[..., Path]
read_long_table = LongTableSource().read


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str | bytes, name: str = "figures.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2019, 11, 16, hour, minute, tzinfo=UTC)


def row(time: str, value: str = "1", *more: str) -> str:
    return ",".join([time, "probing", "country:IR", value, *more]) + "\n"


def values(table: SeriesTable) -> list[tuple[datetime, float]]:
    return [(entry.time, entry.value) for entry in table.bins()]


def test_values_are_ordered_by_time_for_any_input_order(write: Write) -> None:
    rows = [row(f"2019-11-16T{hour:02}:00Z", str(hour)) for hour in (3, 0, 2, 1)]
    table = read_long_table(write(HEAD + "".join(rows)))
    assert values(table) == [(at(hour), float(hour)) for hour in range(4)]
    assert table.width == timedelta(hours=1)
    assert table.dropped == 0


def test_a_time_without_zone_is_utc(write: Write) -> None:
    text = HEAD + row("2019-11-16 00:00", "1") + row("2019-11-16T04:30+03:30", "2")
    text += row("2019-11-16T02:00:00Z", "3")
    assert values(read_long_table(write(text))) == [(at(0), 1.0), (at(1), 2.0), (at(2), 3.0)]


def test_the_same_time_in_two_zones_is_a_duplicate(write: Write) -> None:
    text = HEAD + row("2019-11-16T00:00Z", "1") + row("2019-11-16T03:30+03:30", "2")
    with pytest.raises(InputError, match=r"line 3: a second value of probing of country:IR"):
        read_long_table(write(text + row("2019-11-16T01:00Z")))


def test_a_duplicate_row_counts_once(write: Write) -> None:
    rows = [row("2019-11-16T00:00Z"), row("2019-11-16T00:00Z"), row("2019-11-16T01:00Z")]
    table = read_long_table(write(HEAD + "".join(rows)))
    assert len(values(table)) == 2
    assert table.dropped == 1


def test_an_empty_value_is_missing_and_zero_is_a_value(write: Write) -> None:
    text = HEAD + row("2019-11-16T00:00Z", "0") + row("2019-11-16T01:00Z", "")
    text += row("2019-11-16T02:00Z", "5") + row("2019-11-16T03:00Z", "NaN")
    assert values(read_long_table(write(text))) == [(at(0), 0.0), (at(2), 5.0)]


def test_a_gap_does_not_change_the_width(write: Write) -> None:
    hours = [0, 1, 2, 3, 9, 10, 11]
    rows = [row(f"2019-11-16T{hour:02}:00Z") for hour in hours]
    table = read_long_table(write(HEAD + "".join(rows)))
    assert table.width == timedelta(hours=1)
    assert [time.hour for time, _ in values(table)] == hours


def test_three_points_are_a_series(write: Write) -> None:
    rows = [row(f"2019-11-16T00:{minute:02}Z") for minute in (0, 5, 10)]
    assert read_long_table(write(HEAD + "".join(rows))).width == timedelta(minutes=5)


def test_comments_and_a_byte_order_mark_are_passed_over(write: Write) -> None:
    text = "\ufeff# measured by somebody\n" + HEAD
    text += row("2019-11-16T00:00Z") + row("2019-11-16T01:00Z")
    assert len(values(read_long_table(write(text)))) == 2


def test_entities_are_described_by_their_first_row(write: Write) -> None:
    text = (
        "time,signal,entity,value,parent,weight,name,timezone\n"
        "2019-11-16T00:00Z,probing,region:IR-23,5,country:IR,12,Tehran,Asia/Tehran\n"
        "2019-11-16T01:00Z,probing,region:IR-23,5,,,,\n"
    )
    [place] = read_long_table(write(text)).places
    assert place == EntityInfo(
        Entity.parse("region:IR-23"), "Tehran", Entity.parse("country:IR"), 12.0, "Asia/Tehran"
    )


def test_irregular_rows_are_gathered_into_bins(write: Write) -> None:
    text = "time,signal,entity,value,total\n"
    for time, value in (("00:01", 1), ("00:17", 0), ("00:59", 1), ("02:30", 1)):
        text += row(f"2019-11-16T{time}Z", str(value), "1")
    table = read_long_table(write(text), width=timedelta(hours=1))
    assert list(table.bins()) == [Bin(at(0), IRAN, 2.0, 3.0), Bin(at(2), IRAN, 1.0, 1.0)]


def test_values_without_a_total_are_averaged(write: Write) -> None:
    text = HEAD + row("2019-11-16T00:01Z", "10") + row("2019-11-16T00:31Z", "20")
    table = read_long_table(write(text), width=timedelta(hours=1))
    assert list(table.bins()) == [Bin(at(0), IRAN, 15.0)]


IN_ONE_BIN = (
    "line 32: a second value of probing of country:IR (name a bin width to gather them) "
    "in the bin of 2019-11-16 00:30:00+00:00"
)
REFUSED = {
    "missing column": (
        "time,signal,value\n2019-11-16T00:00Z,probing,1\n",
        "no column 'entity'; found time, signal, value",
    ),
    "no row": (HEAD, "no row with a value"),
    "no value at all": (HEAD + row("2019-11-16T00:00Z", ""), "no row with a value"),
    "empty file": ("", "cannot be read as a table: No columns to parse from file"),
    "one time": (HEAD + row("2019-11-16T00:00Z"), "a single time is not a series"),
    "no time": (HEAD + row("yesterday"), "line 2: 'yesterday' is not a time (ISO 8601)"),
    "no number": (
        HEAD + row("2019-11-16T00:00Z") + row("2019-11-16T01:00Z", "many"),
        "line 3: 'many' is not a value",
    ),
    "infinite": (
        HEAD + row("2019-11-16T00:00Z", "inf"),
        "line 2: 'inf' is not a value: want a finite number, 0 or more",
    ),
    "negative": (
        HEAD + row("2019-11-16T00:00Z", "-1") + row("2019-11-16T01:00Z", "-2"),
        "line 2: '-1' is not a value: want a finite number, 0 or more (and 1 more)",
    ),
    "more than its total": (
        "time,signal,entity,value,total\n" + row("2019-11-16T00:00Z", "5", "4"),
        "line 2: '5' is more than its total",
    ),
    "contradicting": (
        HEAD + row("2019-11-16T00:00Z", "1") + row("2019-11-16T00:00Z", "2"),
        "line 3: a second value of probing of country:IR at 2019-11-16 00:00:00+00:00",
    ),
    "no entity": (
        HEAD + "2019-11-16T00:00Z,probing,Iran,1\n",
        "line 2: entity 'Iran': want kind:code with a kind of country, region, asn, domain",
    ),
    "no signal": (
        HEAD + "2019-11-16T00:00Z,,country:IR,1\n",
        "line 2: '' is not the name of a signal",
    ),
    "a second value in one bin": (
        HEAD + "".join(row(f"2019-11-16T00:{m:02}Z") for m in (*range(0, 60, 2), 31)),
        IN_ONE_BIN,
    ),
    "too many cells": (
        HEAD + row("2019-11-16T00:00Z", "1", "2", "3"),
        "rows have more cells than there are columns",
    ),
    "irregular": (
        HEAD + "".join(row(f"2019-11-16T00:{m:02}Z") for m in (0, 7, 9, 20, 33, 41, 58)),
        "times have no regular step; name a bin width",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_table_gives_a_one_line_error(write: Write, name: str) -> None:
    text, message = REFUSED[name]
    path = write(text)
    with pytest.raises(InputError) as refused:
        read_long_table(path)
    error_text = str(refused.value)
    assert error_text in {f"{path}: {message}", f"{path}, {message}"}
    assert len(error_text.splitlines()) == 1


def test_a_stray_year_gives_a_one_line_error_at_once(write: Write) -> None:
    rows = [row(f"2019-11-16T{hour:02}:{minute:02}Z") for hour in range(24) for minute in (0, 5)]
    path = write(HEAD + row("1970-01-01T00:00Z") + "".join(rows))
    with pytest.raises(InputError, match="is the first or last time wrong") as refused:
        read_long_table(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_comment_does_not_shift_the_line_that_is_named(write: Write) -> None:
    text = "# measured\n# by somebody\n" + HEAD + row("2019-11-16T00:00Z") + row("never")
    with pytest.raises(InputError, match="line 5: 'never' is not a time"):
        read_long_table(write(text))


@pytest.mark.parametrize("name", ["figures.csv", "figures.parquet"])
def test_garbage_gives_a_one_line_error(write: Write, name: str) -> None:
    path = write(bytes(range(256)) * 20, name)
    with pytest.raises(InputError) as refused:
        read_long_table(path)
    assert str(refused.value).startswith(f"{path}")
    assert len(str(refused.value).splitlines()) == 1


def test_a_compressed_file_gives_the_same_values_and_line_numbers(write: Write) -> None:
    rows = [row(f"2019-11-16T{hour:02}:00Z", str(hour)) for hour in range(4)]
    packed = gzip.compress(("# measured\n" + HEAD + "".join(rows)).encode())
    assert len(values(read_long_table(write(packed, "figures.csv.gz")))) == 4
    broken = gzip.compress(("# measured\n" + HEAD + "".join(rows) + row("never")).encode())
    with pytest.raises(InputError, match="line 7: 'never' is not a time"):
        read_long_table(write(broken, "figures.csv.gz"))
    for garbage in (packed[:40], b"no gzip", b""):
        with pytest.raises(InputError, match="cannot be read as a table") as refused:
            read_long_table(write(garbage, "figures.csv.gz"))
        assert len(str(refused.value).splitlines()) == 1


def test_a_long_file_is_read_in_chunks(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [row(f"2019-11-{1 + hour // 24:02}T{hour % 24:02}:00Z", str(hour)) for hour in range(90)]
    path = write(HEAD + "".join(rows))
    whole = read_long_table(path)
    monkeypatch.setattr("netwatch.sources.table_reader._ROWS", 7)
    parts = read_long_table(path)
    assert parts.frame.equals(whole.frame)
    with pytest.raises(InputError, match="line 92: 'never' is not a time"):
        read_long_table(write(HEAD + "".join(rows) + row("never")))
    monkeypatch.setattr("netwatch.sources.table_reader._VECTORS", 1)  # of 2,048 rows
    parquet = tmp_path / "long.parquet"
    with duckdb.connect() as connection:
        query = "select 'probing' as signal, 'asn:1' as entity, range as value, "
        query += "to_timestamp(range * 300) as time from range(5000)"
        connection.execute(f"copy ({query}) to '{parquet}' (format parquet)")
    long = read_long_table(parquet).frame
    assert long["value"].tolist() == list(range(5000))
    assert long["time"].diff().nunique() == 1


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet"])
def test_a_missing_file_gives_a_one_line_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: no such file"):
        read_long_table(tmp_path / name)


def test_a_folder_is_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_long_table(tmp_path)


def test_parquet_gives_the_same_values_as_csv(write: Write, tmp_path: Path) -> None:
    text = "time,signal,entity,value,total\n"
    text += row("2019-11-16T00:00Z", "3", "4") + row("2019-11-16T01:00Z", "0", "4")
    path, parquet = write(text), tmp_path / "figures.parquet"
    query = (
        "copy (select time::timestamptz as time, signal, entity, value::double as value, "
        f"total::double as total from read_csv('{path}')) to '{parquet}' (format parquet)"
    )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(query)
    expected = [Bin(at(0), IRAN, 3.0, 4.0), Bin(at(1), IRAN, 0.0, 4.0)]
    assert list(read_long_table(path).bins()) == expected
    assert list(read_long_table(parquet).bins()) == expected


def test_parquet_without_a_column_is_refused_by_name(tmp_path: Path) -> None:
    parquet = tmp_path / "figures.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"copy (select 1 as time, 2 as value) to '{parquet}' (format parquet)")
    with pytest.raises(InputError, match="no column 'signal'; found time, value"):
        read_long_table(parquet)


CELL = st.sampled_from(
    [
        "",
        "1",
        "-1",
        "nan",
        "inf",
        "1e400",
        "2019-11-16T00:00Z",
        "2019-11-16",
        "country:IR",
        '"',
        "\x00",
    ]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(CELL, min_size=3, max_size=5), max_size=5))
def test_any_cells_give_values_or_a_one_line_error(write: Write, rows: list[list[str]]) -> None:
    path = write(HEAD + "".join(",".join(cells) + "\n" for cells in rows))
    error_text = str(path)
    try:
        read_long_table(path)
    except InputError as error:
        error_text = str(error)
    assert error_text.startswith(str(path))
    assert len(error_text.splitlines()) == 1


def test_series_of_another_source_become_a_table() -> None:
    class Recorded:
        width = timedelta(hours=1)
        places = ()

        def bins(self) -> Iterator[Bin]:
            key = SeriesKey("bgp", Entity.parse("asn:1"))
            yield Bin(datetime(2026, 1, 1, tzinfo=UTC), key, 3.0)
            yield Bin(datetime(2026, 1, 1, 1, tzinfo=UTC), key, 4.0, 8.0)

    table = as_series_table(Recorded())
    assert list(table.bins()) == list(Recorded().bins())
    assert table.width == Recorded.width
