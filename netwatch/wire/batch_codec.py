"""Encodes a batch as MessagePack columns, compressed with zlib, behind a magic number.

The rows of a batch have few distinct values, so a row is four small indices and a few durations.
Times have millisecond resolution, durations a tenth of that. Payloads are untrusted: sizes, ranges
and indices are checked.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from itertools import accumulate, pairwise
from typing import Annotated, TypeVar

import msgspec

from netwatch.model.clock_samples import ClockSample, ClockSegment, ClockSource
from netwatch.model.errors import InputError
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.measurement import Batch, Measurement, Observation, Vantage
from netwatch.model.text import MAX_WORD, WORD_PATTERN
from netwatch.model.time import from_millis, to_millis
from netwatch.wire.message_format import MessageFormat, check_size, decode
from netwatch.wire.signing import MAX_MESSAGE_BYTES, SIGNED, SIGNED_HEADER
from netwatch.wire.topics import is_agent_id
from netwatch.wire.zlib_dictionary import DICTIONARY

SEQUENCE_LIMIT = 2**53
"""Sequences are below this, so that a float can hold them exactly."""
MAX_MEASUREMENTS = 5_000
"""Measurements in the largest batch."""
MAX_OBSERVATIONS = 25_000
"""Observations in the largest batch, five for each measurement; more do not fit a message unless
they are all alike. Equal ones compress to a few hundred bytes but take megabytes once decoded."""
MAX_SUPERSEDED = 500
"""Ranges that the largest batch supersedes; an agent's merged batches have at most 403: it merges
400, and each further level of compaction adds one."""
_MAX_SUPERSEDED_READ = 5_000
"""The same for a batch that is read: agents of earlier versions merged without a limit."""

_MAGIC = b"NW\x01"
_MAX_CLOCK_ENTRIES = 1_000
"""Clock segments, and clock samples, of the largest batch."""
_MAX_INFLATED = 1024 * 1024
"""Bytes of the largest decompressed batch."""
_TICKS = 10_000
"""Ticks in a second; durations are counted in ticks."""
_EARLIEST, _LATEST = 946_684_800_000, 4_102_444_800_000
"""2000 and 2100 in milliseconds since 1970: a clock may be wrong, but must not break arithmetic."""
_Instant = Annotated[int, msgspec.Meta(ge=_EARLIEST, le=_LATEST)]
_Step = Annotated[int, msgspec.Meta(ge=-(2**42), le=2**42)]
_Ticks = Annotated[int, msgspec.Meta(ge=-864_000_000, le=864_000_000)]
_Index = Annotated[int, msgspec.Meta(ge=0, lt=MAX_MEASUREMENTS)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_WORD, pattern=WORD_PATTERN)]
_Word = Annotated[str, msgspec.Meta(max_length=MAX_WORD, pattern=WORD_PATTERN)]
_Country = Annotated[str, msgspec.Meta(pattern="^([A-Z]{2})?$")]
_Network = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_Sequence = Annotated[int, msgspec.Meta(ge=0, lt=SEQUENCE_LIMIT)]
_Pattern = Annotated[list[tuple[_Name, _Word | None, _Word]], msgspec.Meta(max_length=32)]
_T = TypeVar("_T")
_Rowwise = Annotated[list[_T], msgspec.Meta(max_length=MAX_MEASUREMENTS)]
_Durations = Annotated[list[_Ticks], msgspec.Meta(max_length=MAX_OBSERVATIONS)]
_Count = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
_Outcome = tuple[_Word | None, _Word, bool]
_Boot = Annotated[bytes, msgspec.Meta(max_length=8)]
_Rows = Annotated[int, msgspec.Meta(ge=0, le=MAX_MEASUREMENTS)]
_Segment = tuple[_Boot, _Step, _Sequence, _Rows]
_Error = Annotated[int, msgspec.Meta(ge=0, le=2**42)] | None
_Sample = tuple[_Boot, _Step, _Step, ClockSource, bool | None, _Step, _Error]


class _Table(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A batch as columns.

    `time_steps` are differences in milliseconds, the first from `start`. `durations` are those of
    all observations, `extra_durations` what a measurement took in addition, both in ticks.
    `weights` is empty if all are 1, `target_of` if every row has its own target. `clock_segments`
    and `clock_samples` hold the batch's, attribute by attribute; a wall clock may show any time.
    """

    vantage: str
    country: _Country
    network: _Network
    sequence: _Sequence
    start: _Instant
    targets: _Rowwise[tuple[_Name, _Name]]
    patterns: _Rowwise[_Pattern]
    outcomes: _Rowwise[_Outcome]
    target_of: _Rowwise[_Index]
    pattern_of: _Rowwise[_Index]
    outcome_of: _Rowwise[_Index]
    time_steps: _Rowwise[_Step]
    extra_durations: _Rowwise[_Ticks]
    durations: _Durations
    weights: _Rowwise[_Count]
    supersedes: Annotated[
        list[tuple[_Sequence, _Sequence]], msgspec.Meta(max_length=_MAX_SUPERSEDED_READ)
    ]
    clock_segments: Annotated[list[_Segment], msgspec.Meta(max_length=_MAX_CLOCK_ENTRIES)] = []
    clock_samples: Annotated[list[_Sample], msgspec.Meta(max_length=_MAX_CLOCK_ENTRIES)] = []


_DECODER = msgspec.msgpack.Decoder(_Table)


def pack_batch(batch: Batch) -> bytes:
    """Return the unsigned payload of `batch`; equal batches give equal bytes.

    Raises:
        InputError: it has more than `MAX_MEASUREMENTS`, `MAX_OBSERVATIONS`, `MAX_SUPERSEDED` or
            `MAX_MESSAGE_BYTES`.
    """
    steps = sum(len(row.observations) for row in batch.measurements)
    for count, limit, what in (
        (len(batch.measurements), MAX_MEASUREMENTS, "measurements"),
        (steps, MAX_OBSERVATIONS, "observations"),
        (len(batch.supersedes), MAX_SUPERSEDED, "superseded ranges"),
    ):
        if count > limit:
            raise InputError(f"batch: {count} {what} are too many")
    compressor = zlib.compressobj(9, zdict=DICTIONARY)
    encoded = msgspec.msgpack.encode(_to_table(batch))
    payload = _MAGIC + compressor.compress(encoded) + compressor.flush()
    check_size(payload, what="batch", limit=MAX_MESSAGE_BYTES)
    return payload


def unpack_batch(payload: bytes) -> Batch:
    """Return the batch in a payload; a signature is skipped, not verified.

    Raises:
        InputError: it is not a payload that `pack_batch` can make.
    """
    return BATCH.decode(_without_signature(payload))


def row_times(payload: bytes) -> list[int]:
    """Return the times of a stored batch's rows in milliseconds since 1970, without its rows."""
    return _times(_stored_table(payload))


def unpack_chosen(payload: bytes, choose: Callable[[list[int]], Mapping[int, int]]) -> Batch:
    """Return a stored batch with some of its rows only, which takes a fraction of the time.

    `choose` receives the times of all rows and returns the true times of those to return, by
    their index; times are milliseconds since 1970. The batch has no clock segments.
    """
    table = _stored_table(payload)
    chosen = choose(_times(table))
    return decode_foreign(
        table, lambda whole: _from_table(_cut_table(whole, chosen)), what=BATCH.name
    )


def decoding_cost(plain: bytes) -> int:
    """Return the decompressed bytes of an unsigned payload, which bound what decoding takes.

    Raises:
        InputError: it is not compressed as a batch is, or too large.
    """
    return len(decode(plain, _inflate_plain, what=BATCH.name, limit=BATCH.limit))


def inflate(compressed: bytes, *, limit: int) -> bytes:
    """Return the decompressed bytes.

    Raises:
        ValueError, zlib.error: damaged, truncated, with trailing bytes, or larger than `limit`.
    """
    stream = zlib.decompressobj(zdict=DICTIONARY)
    plain = stream.decompress(compressed, limit + 1)
    if len(plain) > limit:
        raise ValueError(f"decompresses to more than {limit} bytes")
    if not stream.eof or stream.unused_data:
        raise ValueError("truncated, or followed by other bytes")
    return plain


def _without_signature(payload: bytes) -> bytes:
    return payload[SIGNED_HEADER:] if payload.startswith(SIGNED) else payload


def _inflate_plain(plain: bytes) -> bytes:
    if not plain.startswith(_MAGIC):
        raise ValueError("not a message of this version of netwatch")
    return inflate(plain[len(_MAGIC) :], limit=_MAX_INFLATED)


def _stored_table(payload: bytes) -> _Table:
    return decode(_without_signature(payload), _decode_table, what=BATCH.name, limit=BATCH.limit)


def _times(table: _Table) -> list[int]:
    return list(accumulate(table.time_steps, initial=table.start))[1:]


def _decode_table(plain: bytes) -> _Table:
    return _DECODER.decode(_inflate_plain(plain))


BATCH: MessageFormat[Batch] = MessageFormat(
    "batch", b"netwatch-batch-v1\0", pack_batch, lambda plain: _from_table(_decode_table(plain))
)
OUTLINE: MessageFormat[Batch] = replace(
    BATCH, decoder=lambda plain: _from_table(_decode_table(plain), with_steps=False)
)
"""A batch whose observations are checked but not kept, which takes a fifth of the memory."""


def _to_table(batch: Batch) -> _Table:
    targets: dict[tuple[str, str], int] = {}
    patterns: dict[tuple[tuple[str, str | None, str], ...], int] = {}
    outcomes: dict[_Outcome, int] = {}
    times = [to_millis(row.time) for row in batch.measurements]
    previous = times[0] if times else _EARLIEST
    table = _Table(
        batch.vantage.id,
        batch.vantage.country,
        batch.vantage.asn,
        batch.sequence,
        previous,
        *([] for _ in range(11)),
    )
    for row, time in zip(batch.measurements, times, strict=True):
        ticks = [round(step.seconds * _TICKS) for step in row.observations]
        pattern = tuple((step.operation, step.failure, step.detail) for step in row.observations)
        outcome = (row.failure, row.scope, row.host_responded)
        table.target_of.append(targets.setdefault((row.target, row.probe), len(targets)))
        table.pattern_of.append(patterns.setdefault(pattern, len(patterns)))
        table.outcome_of.append(outcomes.setdefault(outcome, len(outcomes)))
        table.time_steps.append(time - previous)
        table.extra_durations.append(round(row.seconds * _TICKS) - sum(ticks))
        table.durations.extend(ticks)
        previous = time
    if any(row.weight != 1 for row in batch.measurements):
        table.weights = [row.weight for row in batch.measurements]
    if table.target_of == list(range(len(targets))):
        table.target_of = []
    table.supersedes = list(batch.supersedes)
    table.clock_segments = [
        (bytes.fromhex(boot), *more) for boot, *more in map(astuple, batch.clock_segments)
    ]
    table.clock_samples = [
        (bytes.fromhex(boot), *more) for boot, *more in map(astuple, batch.clock_samples)
    ]
    table.targets = list(targets)
    table.patterns = [list(pattern) for pattern in patterns]
    table.outcomes = list(outcomes)
    return table


def _cut_table(table: _Table, chosen: Mapping[int, int]) -> _Table:
    """Return a table of some rows only; `chosen` are their times, by index.

    Without a loop over the other rows, it takes a tenth of the time that decoding all takes.
    """
    rows = sorted(chosen)
    lengths = [len(pattern) for pattern in table.patterns]
    ends = list(accumulate(lengths[pattern] for pattern in table.pattern_of))
    times = [chosen[row] for row in rows]
    steps = [later - earlier for earlier, later in pairwise([*times[:1], *times])]
    return msgspec.structs.replace(
        table,
        start=times[0] if times else table.start,
        target_of=[table.target_of[row] if table.target_of else row for row in rows],
        pattern_of=[table.pattern_of[row] for row in rows],
        outcome_of=[table.outcome_of[row] for row in rows],
        time_steps=steps,
        extra_durations=[table.extra_durations[row] for row in rows],
        durations=[
            one
            for row in rows
            for one in table.durations[ends[row] - lengths[table.pattern_of[row]] : ends[row]]
        ],
        weights=[table.weights[row] for row in rows] if table.weights else [],
        clock_segments=[],
    )


def _from_table(table: _Table, *, with_steps: bool = True) -> Batch:
    """Return the rows of a table; raises IndexError or ValueError if columns are inconsistent."""
    if not is_agent_id(table.vantage):
        raise ValueError("the vantage's id is invalid")
    rows = tuple(_rows(table, with_steps=with_steps))
    count = len(table.time_steps)
    if table.clock_segments and sum(rows for *_, rows in table.clock_segments) != count:
        raise ValueError("clock segments do not cover every row")
    return Batch(
        vantage=Vantage(table.vantage, table.country, table.network),
        sequence=table.sequence,
        measurements=rows,
        supersedes=tuple(table.supersedes),
        clock_segments=tuple(ClockSegment(one[0].hex(), *one[1:]) for one in table.clock_segments),
        clock_samples=tuple(ClockSample(one[0].hex(), *one[1:]) for one in table.clock_samples),
    )


def _rows(table: _Table, *, with_steps: bool) -> Iterator[Measurement]:
    """Yield the measurements; without their observations unless `with_steps`."""
    time, used = table.start, 0
    columns = zip(
        table.target_of or range(len(table.time_steps)),
        table.pattern_of,
        table.outcome_of,
        table.time_steps,
        table.extra_durations,
        table.weights or [1] * len(table.time_steps),
        strict=True,
    )
    for target, pattern, outcome, step, extra, weight in columns:
        time += step
        if not _EARLIEST <= time <= _LATEST:
            raise ValueError("a time out of range")
        steps = table.patterns[pattern]
        durations = table.durations[used : used + len(steps)]
        used += len(steps)
        if len(durations) < len(steps) or min(durations, default=0) < 0:
            raise ValueError("missing or negative durations")
        name, probe = table.targets[target]
        failure, scope, host_responded = table.outcomes[outcome]
        yield Measurement(
            target=name,
            probe=probe,
            time=from_millis(time),
            failure=failure,
            scope=scope,
            host_responded=host_responded,
            seconds=max(0, extra + sum(durations)) / _TICKS,
            observations=_observations(steps, durations) if with_steps else (),
            weight=weight,
        )
    if used < len(table.durations):
        raise ValueError("unused durations")


def _observations(
    steps: Sequence[tuple[str, str | None, str]], durations: Sequence[int]
) -> tuple[Observation, ...]:
    return tuple(
        Observation(operation, word, duration / _TICKS, detail)
        for (operation, word, detail), duration in zip(steps, durations, strict=True)
    )
