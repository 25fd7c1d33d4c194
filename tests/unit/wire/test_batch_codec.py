"""Batches survive the wire format unchanged; anything else is refused."""

import zlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from netwatch.model.clock_samples import ClockSample, ClockSegment, ClockSource
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Measurement, Observation, Vantage
from netwatch.model.time import to_millis
from netwatch.wire.batch_codec import (
    MAX_MEASUREMENTS,
    _Table,
    inflate,
    pack_batch,
    unpack_batch,
    unpack_chosen,
)
from netwatch.wire.signing import MAX_MESSAGE_BYTES
from netwatch.wire.zlib_dictionary import DICTIONARY

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
VANTAGE = Vantage("a1", "IR", 44244)
ticks = some.integers(0, 600_000).map(lambda count: count / 10_000)
words = some.sampled_from([None, "connection_refused", "generic_timeout_error", "eof_error"])
steps = some.builds(
    Observation,
    some.sampled_from(["resolve", "connect"]),
    words,
    ticks,
    some.sampled_from(["", "x"]),
)
measurements = some.builds(
    Measurement,
    target=some.sampled_from(["one", "two", "<b>$a$</b>"]),
    probe=some.just("tcp"),
    time=some.integers(0, 10**9).map(lambda ms: START + timedelta(milliseconds=ms)),
    failure=words,
    scope=some.sampled_from(["", "refused", "local"]),
    host_responded=some.booleans(),
    seconds=ticks,
    observations=some.lists(steps, max_size=4).map(tuple),
)


def measurement(number: int = 0, target: str = "one") -> Measurement:
    time = START + timedelta(seconds=number)
    step = Observation("connect", None, 0.0312)
    return Measurement(
        target, "tcp", time, None, "", host_responded=True, seconds=0.0313, observations=(step,)
    )


def message(body: bytes) -> bytes:
    return b"NW\x01" + zlib.compress(body)


def columns(**changes: object) -> bytes:
    """Return a message of two measurements with some columns replaced."""
    names = _Table.__struct_fields__
    whole = pack_batch(Batch(VANTAGE, 7, (measurement(0), measurement(1, "two"))))
    values = msgspec.msgpack.decode(inflate(whole[3:], limit=10**6))
    table = dict(zip(names, values, strict=True)) | changes
    return message(msgspec.msgpack.encode(list(table.values())))


@pytest.mark.parametrize(
    "word", ["\x1b[31m", "a\nb", "\u202eevil", "sch\u00f6n", "\x00", "x" * 129]
)
@pytest.mark.parametrize("place", ["target", "probe", "failure", "operation", "detail", "scope"])
def test_a_word_that_is_not_short_printable_ascii_is_refused(place: str, word: str) -> None:
    row = measurement()
    if place in {"operation", "detail"}:
        steps = (replace(row.observations[0], **{place: word}),)
        row = replace(row, observations=steps)
    else:
        row = replace(row, **{place: word})
    with pytest.raises(InputError, match="batch: "):
        unpack_batch(pack_batch(Batch(VANTAGE, 7, (row,))))


@settings(deadline=None)
@given(some.lists(measurements, max_size=30), some.integers(0, 2**53 - 1))
def test_a_batch_round_trips(rows: list[Measurement], sequence: int) -> None:
    # A measurement takes at least as long as its steps together.
    rows = [
        replace(row, seconds=max(row.seconds, round(sum(o.seconds for o in row.observations), 4)))
        for row in rows
    ]
    batch = Batch(VANTAGE, sequence, tuple(rows))
    found = unpack_batch(pack_batch(batch))
    assert found.vantage == batch.vantage
    assert found.sequence == sequence
    for mine, theirs in zip(rows, found.measurements, strict=True):
        assert theirs.seconds == pytest.approx(mine.seconds, abs=1e-4)
        assert replace(theirs, seconds=mine.seconds) == mine


@given(some.lists(measurements, max_size=12), some.sets(some.integers(0, 11)))
def test_chosen_rows_are_those_of_the_batch_at_the_times_given(
    rows: list[Measurement], wanted: set[int]
) -> None:
    batch = Batch(VANTAGE, 7, tuple(rows))
    whole = unpack_batch(pack_batch(batch)).measurements
    moved = {index: START + timedelta(days=index) for index in wanted if index < len(rows)}
    found = unpack_chosen(
        pack_batch(batch), lambda _: {index: to_millis(time) for index, time in moved.items()}
    )
    assert found.vantage == VANTAGE
    assert found.measurements == tuple(
        replace(whole[index], time=time) for index, time in sorted(moved.items())
    )


def test_the_same_batch_gives_the_same_bytes() -> None:
    batch = Batch(VANTAGE, 7, tuple(measurement(number) for number in range(50)))
    assert pack_batch(batch) == pack_batch(unpack_batch(pack_batch(batch)))


def test_clocks_round_trip() -> None:
    boot = "0123456789abcdef"
    lines = (ClockSegment(boot, -5, 7, 1), ClockSegment("", 0, 2**53 - 1, 1))
    readings = (
        ClockSample(boot, 5, 10**12, ClockSource.COLLECTOR, synced=True, offset=-9, error=12),
        ClockSample(boot, 6, 0),
    )
    batch = Batch(VANTAGE, 7, (measurement(0), measurement(1)), (), lines, readings)
    assert unpack_batch(pack_batch(batch)) == batch


def test_a_message_without_clocks_is_valid() -> None:
    values = msgspec.msgpack.decode(inflate(pack_batch(Batch(VANTAGE, 7, ()))[3:], limit=10**6))
    assert unpack_batch(message(msgspec.msgpack.encode(values[:-2]))) == Batch(VANTAGE, 7, ())


def test_an_unchanged_message_is_valid() -> None:
    assert unpack_batch(columns()).sequence == 7


@pytest.mark.parametrize(
    "changes",
    [
        {"vantage": ""},
        {"vantage": "a/b"},
        {"vantage": "a" * 65},
        {"vantage": 7},
        {"country": "Iran"},
        {"network": -1},
        {"sequence": -1},
        {"sequence": 2**53},
        {"sequence": float("nan")},
        {"start": float("nan")},
        {"start": 0},
        {"start": 10**15},
        {"time_steps": [0, 2**42]},
        {"time_steps": [0, -(2**40)]},
        {"time_steps": [0]},
        {"time_steps": [0, None]},
        {"target_of": [0, 2]},
        {"target_of": [0, -1]},
        {"target_of": [0] * (MAX_MEASUREMENTS + 1)},
        {"pattern_of": [0, 1]},
        {"outcome_of": [0, 9]},
        {"durations": [312]},
        {"durations": [312, 312, 312]},
        {"durations": [312, -1]},
        {"durations": [312, 1.5]},
        {"targets": [["", "tcp"], ["two", "tcp"]]},
        {"targets": [["x" * 129, "tcp"], ["two", "tcp"]]},
        {"targets": "one"},
        {"outcomes": [[None, "", 1]]},
        {"patterns": [[["connect", "x" * 129, ""]]]},
        {"patterns": [[["connect", None, ""]] * 33]},
        {"clock_segments": [[b"12345678", 0, 0, 1]]},
        {"clock_segments": [[b"123456789", 0, 0, 2]]},
        {"clock_segments": [[b"12345678", 2**43, 0, 2]]},
        {"clock_segments": [[b"", 0, 0, 1]] * 1001},
        {"clock_samples": [[b"12345678", 0, 0, "sundial", None, 0, None]]},
        {"clock_samples": [[b"12345678", 0, 0, "kernel", None, 0, -1]]},
        {"one": "more column"},
    ],
    ids=str,
)
def test_columns_that_no_agent_writes_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        unpack_batch(columns(**changes))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("batch: ")


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"NW",
        b"NW\x01",
        b"NW\x02" + pack_batch(Batch(VANTAGE, 1, ()))[3:],
        b"NW\x01garbage",
        b'{"json": true}',
        message(b""),
        message(b"\xc1"),
        message(b"[]"),
        pack_batch(Batch(VANTAGE, 1, (measurement(),)))[:-1],
        pack_batch(Batch(VANTAGE, 1, (measurement(),))) + b"x",
        b"x" * (MAX_MESSAGE_BYTES + 1),
        message(b"\0" * (20 * 1024 * 1024)),
        message(b"\xdd\xff\xff\xff\xff"),
        message(b"\x91" * 5000),
    ],
    ids=range(15),
)
def test_garbage_gives_a_one_line_error(garbage: bytes) -> None:
    with pytest.raises(InputError) as caught:
        unpack_batch(garbage)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@settings(deadline=None, max_examples=300)
@given(some.data())
def test_a_damaged_message_never_raises_anything_else(data: some.DataObject) -> None:
    good = bytearray(pack_batch(Batch(VANTAGE, 7, tuple(measurement(n) for n in range(5)))))
    plain = bytearray(inflate(bytes(good[3:]), limit=10**6))
    place = data.draw(some.integers(0, len(plain) - 1))
    plain[place] = data.draw(some.integers(0, 255))
    with suppress(InputError):
        unpack_batch(message(bytes(plain)))


def test_decompression_is_limited() -> None:
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        inflate(zlib.compress(b"\0" * 50_000_000), limit=1000)


def test_an_oversized_batch_is_not_packed() -> None:
    many = tuple(measurement(number) for number in range(MAX_MEASUREMENTS + 1))
    with pytest.raises(InputError, match="too many"):
        pack_batch(Batch(VANTAGE, 1, many))


def test_the_shared_word_list_never_changes() -> None:
    """A change breaks every batch in transit or in a spool."""
    assert sha256(DICTIONARY).hexdigest()[:16] == "500b9475c8ed2cb2"


def test_one_row_per_target_needs_no_column() -> None:
    rows = tuple(measurement(number, f"target-{number}") for number in range(60))
    whole = pack_batch(Batch(VANTAGE, 7, rows))
    assert unpack_batch(whole).measurements == rows
    assert len(whole) < 60 * 12
