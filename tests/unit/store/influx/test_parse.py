"""Replies become rows, and a reply that is not of InfluxDB is an error."""

from datetime import UTC, datetime

import pytest

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.influx.parse import (
    columns_of,
    newest,
    parse_answer,
    parse_bin,
    parse_level,
    series_of,
)

T0 = datetime(2019, 11, 16, 16, 30, tzinfo=UTC)
STAMP = 1_573_921_800_000_000_000
TAGS = ["44244", "asn", "reachability"]
SERIES = SeriesKey("reachability", Entity(EntityKind.ASN, "44244"))
BASELINE = Baseline(BaselineKind.HOUR_OF_WEEK, 56)


def test_chunks_are_joined_to_one_table() -> None:
    one = '{"results":[{"series":[{"name":"m","columns":["time","v"],"values":[[%d,1]],'
    body = "\n".join(one % number + '"partial":true}]}]}' for number in range(3))
    table = parse_answer(body.encode())
    assert table.columns == ("time", "v")
    assert table.rows == [[0, 1], [1, 1], [2, 1]]
    assert table.error == ""


def test_no_data_is_an_empty_table() -> None:
    assert parse_answer(b'{"results":[{"statement_id":0}]}\n').rows == []


@pytest.mark.parametrize(
    "body",
    [b'{"error":"shut"}', b'{"results":[{"error":"shut"}]}', b'{"results":[]}\n{"error":"shut"}'],
)
def test_an_error_is_found_anywhere_in_the_answer(body: bytes) -> None:
    assert parse_answer(body).error == "shut"


@pytest.mark.parametrize("body", [b"<html>", b'{"results":[{"series":[{"values":[{}]}]}]}', b"[]"])
def test_an_answer_not_of_influxdb_is_an_error(body: bytes) -> None:
    with pytest.raises(StoreError, match="the reply is not of InfluxDB"):
        parse_answer(body)


def test_tables_of_different_columns_are_an_error() -> None:
    body = b'{"results":[{"series":[{"columns":["a"],"values":[]},{"columns":["b"]}]}]}'
    with pytest.raises(StoreError, match="different columns"):
        parse_answer(body)


def test_a_row_becomes_the_bin_that_it_was() -> None:
    assert columns_of("counts") == (
        *("time", "value", "total", "trials", "scope_id", "scope_type", "signal"),
    )
    assert parse_bin([STAMP, 3, 7, True, *TAGS]) == Bin(T0, SERIES, 3.0, 7.0)
    assert parse_bin([STAMP, 0, 7, False, *TAGS]) == Bin(T0, SERIES, 0.0, None)


def test_a_row_becomes_the_level_that_it_was_and_stale_numbers_do_not_count() -> None:
    percent = [7, 4.5, 10]
    row = [STAMP, *percent, 0.07, 0.045, 0.1, True, 3, 0.99, 0.5, 12, BASELINE.encode(), *TAGS]
    assert parse_level(row) == Level(T0, SERIES, 0.07, 0.045, 0.1, 0.99, 0.5, 12, BASELINE)
    row[7:9] = [False, 0]
    assert parse_level(row) == Level(T0, SERIES, None, None, None, 0.99, 0.5, 12, BASELINE)


def test_only_newest_revisions_are_returned_in_order() -> None:
    other = ["9", "asn", "presence"]
    rows = [
        [STAMP + 1000, 1.0, None, False, *TAGS],
        [STAMP + 2, 5.0, None, False, *TAGS],
        [STAMP, 1.0, None, False, *TAGS],
        [STAMP + 1, 2.0, None, False, *TAGS],
        [STAMP, 7.0, None, False, *other],
    ]
    assert [(row[0] // 1000 * 1000, row[1]) for row in newest(rows)] == [
        (STAMP, 7.0),
        (STAMP, 5.0),
        (STAMP + 1000, 1.0),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([STAMP, "3", 7, True, *TAGS], "'3' where a number belongs"),
        ([STAMP, None, 7, True, *TAGS], "None where a number belongs"),
        ([STAMP, True, 7, True, *TAGS], "True where a number belongs"),
        (["now", 3, 7, True, *TAGS], "a row's time is 'now'"),
        (
            [STAMP, 3, 7, True, "x", "planet", "s"],
            "scope_type 'planet' was not written by netwatch",
        ),
    ],
)
def test_a_row_that_is_not_ours_is_named(row: list[object], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        parse_bin(row)


def test_series_are_decoded_from_their_tags() -> None:
    found = series_of([STAMP, "a%5Cb%25", "domain", "s"])
    assert found == SeriesKey("s", Entity(EntityKind.DOMAIN, "a\\b%"))
