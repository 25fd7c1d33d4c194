"""How a batch is written down: columns in MessagePack, deflated, behind a small header.

A batch is many rows of few different values, so each row is four small indexes and a few
durations; deflate does the rest. Times are kept to the millisecond, durations to a tenth.
Whatever comes in is hostile until it is unpacked: both sizes are capped, every number has
a range, every index is checked, and the only error is `InputError`.
"""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import msgspec

from netwatch.model.clock_samples import ClockSample, ClockSegment, ClockSource
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Measurement, Observation, Vantage
from netwatch.model.time import EPOCH, to_millis
from netwatch.wire.topics import is_agent_id
from netwatch.wire.zlib_dictionary import DICTIONARY

MAX_MESSAGE_BYTES = 64 * 1024
"""Bytes of the largest message that is sent or accepted."""
SEQUENCE_LIMIT = 2**53
"""Sequences stay below this, so that every language can hold one exactly."""
MAX_MEASUREMENTS = 5_000
"""Measurements in the largest batch."""

SIGNED = b"NW\x02"
"""How a signed message begins; `netwatch.wire.signing` knows the rest."""
SIGNED_HEADER = len(SIGNED) + 32 + 64
"""Bytes before the plain message: these, a public key and a signature."""

_MAGIC = b"NW\x01"
_MOST_CLOCKS = 1_000
_INFLATED_LIMIT = 1024 * 1024
_TICKS = 10_000
"""Durations are counted in 0.1 ms."""
# 2000 to 2100 in milliseconds: a clock may be wrong, but a time beyond breaks arithmetic.
_EARLIEST, _LATEST = 946_684_800_000, 4_102_444_800_000
_Instant = Annotated[int, msgspec.Meta(ge=_EARLIEST, le=_LATEST)]
_Step = Annotated[int, msgspec.Meta(ge=-(2**42), le=2**42)]
_Ticks = Annotated[int, msgspec.Meta(ge=-864_000_000, le=864_000_000)]
_Index = Annotated[int, msgspec.Meta(ge=0, lt=MAX_MEASUREMENTS)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Word = Annotated[str, msgspec.Meta(max_length=128)]
_Country = Annotated[str, msgspec.Meta(pattern="^([A-Z]{2})?$")]
_Network = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_Sequence = Annotated[int, msgspec.Meta(ge=0, lt=SEQUENCE_LIMIT)]
_Pattern = Annotated[list[tuple[_Name, _Word | None, _Word]], msgspec.Meta(max_length=32)]
_Count = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
_Verdict = tuple[_Word | None, _Word, bool]
_Boot = Annotated[bytes, msgspec.Meta(max_length=8)]
_Rows = Annotated[int, msgspec.Meta(ge=0, le=MAX_MEASUREMENTS)]
_Timeline = tuple[_Boot, _Step, _Sequence, _Rows]
_Error = Annotated[int, msgspec.Meta(ge=0, le=2**42)] | None
_Reading = tuple[_Boot, _Step, _Step, ClockSource, bool | None, _Step, _Error]


class _Table(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A batch as columns; `moments` are differences in milliseconds from `start` on.

    `spare` is what a measurement took beyond the sum of its steps, `steps` are all
    observations' durations one after another, both in ticks. `weights` is empty where all
    are one, `target_of` where every row has a target of its own. `clock_segments` and
    `clock_samples` hold the batch's, attribute by attribute; a wall clock may show any time.
    """

    vantage: str
    country: _Country
    network: _Network
    sequence: _Sequence
    start: _Instant
    targets: list[tuple[_Name, _Name]]
    patterns: list[_Pattern]
    verdicts: list[_Verdict]
    target_of: Annotated[list[_Index], msgspec.Meta(max_length=MAX_MEASUREMENTS)]
    pattern_of: list[_Index]
    verdict_of: list[_Index]
    moments: list[_Step]
    spare: list[_Ticks]
    steps: list[_Ticks]
    weights: list[_Count]
    supersedes: Annotated[list[tuple[_Sequence, _Sequence]], msgspec.Meta(max_length=10_000)]
    clock_segments: Annotated[list[_Timeline], msgspec.Meta(max_length=_MOST_CLOCKS)] = []
    clock_samples: Annotated[list[_Reading], msgspec.Meta(max_length=_MOST_CLOCKS)] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Table).decode


def pack_batch(batch: Batch) -> bytes:
    """Return `batch` as a message. The same batch always gives the same bytes.

    Raises:
        InputError: more measurements than `MAX_MEASUREMENTS`, or too many bytes.
    """
    if len(batch.measurements) > MAX_MEASUREMENTS:
        raise InputError(f"batch: {len(batch.measurements)} measurements are too many")
    message = _MAGIC + _deflate(_encode(_to_table(batch)))
    if len(message) > MAX_MESSAGE_BYTES:
        raise InputError(f"batch: {len(message)} bytes are more than {MAX_MESSAGE_BYTES}")
    return message


def unpack_batch(message: bytes) -> Batch:
    """Return the batch that a message carries; a signature is passed over, not looked at.

    Raises:
        InputError: it is too large, no batch, or not a batch that `pack_batch` could make.
    """
    if len(message) > MAX_MESSAGE_BYTES:
        raise InputError(f"batch: {len(message)} bytes are more than {MAX_MESSAGE_BYTES}")
    if message.startswith(SIGNED):
        message = message[SIGNED_HEADER:]
    if not message.startswith(_MAGIC):
        raise InputError("batch: not a message of this version of netwatch")
    try:
        table = _decode(inflate(message[len(_MAGIC) :], limit=_INFLATED_LIMIT))
        return _from_table(table)
    except msgspec.DecodeError as error:
        raise InputError(f"batch: {error}") from error
    except (IndexError, OverflowError, ValueError) as error:
        raise InputError("batch: its columns do not fit each other") from error


def _deflate(plain: bytes) -> bytes:
    """Return `plain`, deflated with the words that both ends know."""
    stream = zlib.compressobj(9, zdict=DICTIONARY)
    return stream.compress(plain) + stream.flush()


def inflate(packed: bytes, *, limit: int) -> bytes:
    """Return what zlib made `packed` from, at most `limit` bytes.

    Raises:
        InputError: damaged, cut short, followed by something else, or larger than `limit`.
    """
    stream = zlib.decompressobj(zdict=DICTIONARY)
    try:
        plain = stream.decompress(packed, limit + 1)
    except zlib.error as error:
        raise InputError("batch: damaged compression") from error
    if len(plain) > limit:
        raise InputError(f"batch: unpacks to more than {limit} bytes")
    if not stream.eof or stream.unused_data:
        raise InputError("batch: cut short, or followed by something else")
    return plain


def _to_table(batch: Batch) -> _Table:
    """Turn rows into columns."""
    targets: dict[tuple[str, str], int] = {}
    patterns: dict[tuple[tuple[str, str | None, str], ...], int] = {}
    verdicts: dict[_Verdict, int] = {}
    instants = [to_millis(row.time) for row in batch.measurements]
    start = instants[0] if instants else _EARLIEST
    table = _Table(
        batch.vantage.id,
        batch.vantage.country,
        batch.vantage.asn,
        batch.sequence,
        start,
        *([] for _ in range(11)),
    )
    for row, instant in zip(batch.measurements, instants, strict=True):
        ticks = [round(step.seconds * _TICKS) for step in row.observations]
        pattern = tuple((step.operation, step.failure, step.detail) for step in row.observations)
        verdict = (row.failure, row.scope, row.host_responded)
        table.target_of.append(targets.setdefault((row.target, row.probe), len(targets)))
        table.pattern_of.append(patterns.setdefault(pattern, len(patterns)))
        table.verdict_of.append(verdicts.setdefault(verdict, len(verdicts)))
        table.moments.append(instant - start)
        table.spare.append(round(row.seconds * _TICKS) - sum(ticks))
        table.steps.extend(ticks)
        start = instant
    if any(row.weight != 1 for row in batch.measurements):
        table.weights = [row.weight for row in batch.measurements]
    if table.target_of == list(range(len(targets))):
        table.target_of = []
    table.supersedes = list(batch.supersedes)
    table.clock_segments = [
        (bytes.fromhex(one.boot), one.shift, one.after_sequence, one.rows)
        for one in batch.clock_segments
    ]
    table.clock_samples = [
        (bytes.fromhex(one.boot), one.monotonic, one.wall, one.source, one.synced, one.offset,
         one.error)
        for one in batch.clock_samples
    ]  # fmt: skip
    table.targets = list(targets)
    table.patterns = [list(pattern) for pattern in patterns]
    table.verdicts = list(verdicts)
    return table


def _from_table(table: _Table) -> Batch:
    """Turn columns back into rows; raises what Python does where they do not fit."""
    if not is_agent_id(table.vantage):
        raise InputError("batch: the vantage's id has not the form of one")
    steps = iter(table.steps)
    instant = table.start
    rows = []
    columns = zip(
        table.target_of or range(len(table.moments)),
        table.pattern_of,
        table.verdict_of,
        table.moments,
        table.spare,
        table.weights or [1] * len(table.moments),
        strict=True,
    )
    for target, pattern, verdict, moment, spare, weight in columns:
        instant += moment
        place = (target, pattern, verdict)
        row = _row(table, place, instant=instant, spare=spare, steps=steps)
        rows.append(row if weight == 1 else replace(row, weight=weight))
    if next(steps, None) is not None:
        raise ValueError("durations are left over")
    if table.clock_segments and sum(rows for *_, rows in table.clock_segments) != len(rows):
        raise ValueError("timelines do not date every row")
    return Batch(
        vantage=Vantage(table.vantage, table.country, table.network),
        sequence=table.sequence,
        measurements=tuple(rows),
        supersedes=tuple(table.supersedes),
        clock_segments=tuple(ClockSegment(one[0].hex(), *one[1:]) for one in table.clock_segments),
        clock_samples=tuple(ClockSample(one[0].hex(), *one[1:]) for one in table.clock_samples),
    )


def _row(
    table: _Table, place: tuple[int, int, int], *, instant: int, spare: int, steps: Iterator[int]
) -> Measurement:
    """Build one measurement; takes its durations from `steps`."""
    target, probe = table.targets[place[0]]
    pattern = table.patterns[place[1]]
    failure, scope, host_responded = table.verdicts[place[2]]
    if not _EARLIEST <= instant <= _LATEST:
        raise ValueError("a time beyond all clocks")
    ticks = [length for _, length in zip(pattern, steps, strict=False)]
    if len(ticks) < len(pattern) or any(length < 0 for length in ticks):
        raise ValueError("durations are missing or negative")
    return Measurement(
        target=target,
        probe=probe,
        time=EPOCH + timedelta(milliseconds=instant),
        failure=failure,
        scope=scope,
        host_responded=host_responded,
        seconds=max(0, spare + sum(ticks)) / _TICKS,
        observations=tuple(
            Observation(operation, word, length / _TICKS, detail)
            for (operation, word, detail), length in zip(pattern, ticks, strict=True)
        ),
    )
