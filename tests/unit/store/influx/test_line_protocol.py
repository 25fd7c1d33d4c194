"""Line protocol: what we write is what the reference says, and nothing breaks out of its place."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.errors import InputError
from netwatch.store.influx.line_protocol import (
    EARLIEST,
    LATEST,
    moment,
    nanoseconds,
    parse_tag,
    render_fields,
    render_float,
    render_tag,
    render_tags,
)

T0 = datetime(2019, 11, 16, 16, 30, tzinfo=UTC)


def unescape(wire: str) -> str:
    """What the servers' parsers do to a tag: a backslash before these three is dropped."""
    for letter in ",= ":
        wire = wire.replace("\\" + letter, letter)
    return wire


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives_as_a_tag(text: str) -> None:
    wire = render_tag(text)
    assert parse_tag(unescape(wire)) == text
    assert not {"\n", "\r", "\0"} & set(wire)
    assert not unescape(wire).endswith("\\")


def test_a_tag_cannot_become_another_tag_or_field() -> None:
    assert render_tags("m", {"b": "x,y=1 z", "a": "ü"}) == r"m,a=ü,b=x\,y\=1\ z"


def test_a_tag_without_text_is_left_out() -> None:
    assert render_tags("m", {"a": "", "b": "1"}) == "m,b=1"
    assert parse_tag(None) == ""


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_written_without_loss(value: float) -> None:
    assert float(render_float(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_refused_with_its_field(value: float) -> None:
    with pytest.raises(InputError, match=r"pct: the value (nan|inf|-inf) is not finite"):
        render_fields({"pct": value})


def test_fields_keep_their_types_and_missing_ones_are_left_out() -> None:
    fields = {"a": 1, "b": 1.0, "c": True, "d": 'q"u\\o\nte', "e": None}
    assert render_fields(fields) == 'a=1i,b=1.0,c=true,d="q\\"u\\\\o\nte"'


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InputError, match="baseline: the text has half a surrogate pair"):
        render_fields({"baseline": "\ud83d"})


def test_times_are_exact_in_any_zone() -> None:
    tehran = timezone(timedelta(hours=3, minutes=30))
    time = T0 + timedelta(microseconds=123_457)
    assert nanoseconds(time.astimezone(tehran)) == 1_573_921_800_123_457_000
    assert moment(nanoseconds(time)) == time
    assert moment(nanoseconds(time) + 999) == time


@pytest.mark.parametrize("time", [EARLIEST - timedelta(days=1), LATEST + timedelta(days=1)])
def test_a_time_that_no_influxdb_can_hold_is_refused(time: datetime) -> None:
    with pytest.raises(InputError, match="outside 1678 to 2261"):
        nanoseconds(time)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(InputError, match="has no zone"):
        nanoseconds(T0.replace(tzinfo=None))
