"""Merges batches into fewer, and downsamples their measurements.

Counts stay exact. The first and last measurement of every run of one outcome stay unchanged: they
are the state changes and the evidence of failures. Agent events, such as gaps, stay as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median

from netwatch.agent.event_rows import EVENT_PREFIX
from netwatch.model.clock_samples import ClockSample, ClockSegment
from netwatch.model.measurement import Batch, Measurement
from netwatch.model.time import floor_time
from netwatch.wire.ack import merge_ranges

UNKNOWN_SEGMENT = ClockSegment("", 0, 0, 0)
"""The segment of measurements that no disciplined clock dated."""

_Outcome = tuple[str, str, str | None, str, bool]


def split_batch(batch: Batch, count: int) -> tuple[Batch, Batch]:
    """Return a batch of the first `count` measurements, and one of the others.

    Clock segments must cover all measurements.
    """
    first: list[ClockSegment] = []
    rest: list[ClockSegment] = []
    left = count
    for segment in batch.clock_segments:
        taken = max(0, min(left, segment.rows))
        left -= taken
        if taken:
            first.append(replace(segment, rows=taken))
        if taken < segment.rows:
            rest.append(replace(segment, rows=segment.rows - taken))
    rows = batch.measurements
    return _part(batch, rows[:count], first), _part(batch, rows[count:], rest)


def _part(batch: Batch, rows: tuple[Measurement, ...], segments: Sequence[ClockSegment]) -> Batch:
    boots = {segment.boot for segment in segments}
    samples = tuple(sample for sample in batch.clock_samples if sample.boot in boots)
    return replace(batch, measurements=rows, clock_segments=tuple(segments), clock_samples=samples)


def merge_batches(batches: Sequence[Batch], width: timedelta | None) -> Batch:
    """Return one batch that supersedes all, downsampled to `width` if given, with sequence 0.

    Its rows are ordered by clock segment. Those of different segments are never merged, since
    different clocks dated them.
    """
    rows: dict[tuple[str, int], list[Measurement]] = {}
    segments: dict[tuple[str, int], ClockSegment] = {}
    for batch in batches:
        start = 0
        unknown = replace(UNKNOWN_SEGMENT, rows=len(batch.measurements))
        for segment in batch.clock_segments or (unknown,):
            key = (segment.boot, segment.shift)
            known = segments.setdefault(key, segment)
            after_sequence = min(known.after_sequence, segment.after_sequence)
            segments[key] = replace(known, after_sequence=after_sequence)
            rows.setdefault(key, []).extend(batch.measurements[start : start + segment.rows])
            start += segment.rows
    if width is not None:
        rows = {key: downsample(full, width=width) for key, full in rows.items()}
    order = sorted(rows, key=lambda key: segments[key].after_sequence)
    ranges = [(batch.sequence, batch.sequence) for batch in batches]
    earlier = [pair for batch in batches for pair in batch.supersedes]
    return Batch(
        batches[0].vantage,
        sequence=0,
        measurements=tuple(row for key in order for row in rows[key]),
        supersedes=merge_ranges([*ranges, *earlier]),
        clock_segments=tuple(replace(segments[key], rows=len(rows[key])) for key in order),
        clock_samples=_key_samples(sample for batch in batches for sample in batch.clock_samples),
    )


def downsample(measurements: Iterable[Measurement], *, width: timedelta) -> list[Measurement]:
    """Return fewer measurements with the same counts in every interval of `width`, by time.

    Within an interval, those of one target with one outcome become one, with the time of the
    first, the median duration, no observations, and their total weight. Both ends of a run of one
    outcome stay as they are.
    """
    by_target: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        by_target.setdefault((measurement.target, measurement.probe), []).append(measurement)
    result: list[Measurement] = []
    for rows in by_target.values():
        rows.sort(key=lambda row: row.time)
        is_event = rows[0].target.startswith(EVENT_PREFIX)
        result.extend(rows if is_event else _downsample_target(rows, width))
    return sorted(result, key=lambda row: (row.time, row.target))


def _downsample_target(rows: Sequence[Measurement], width: timedelta) -> list[Measurement]:
    outcomes = [_outcome(row) for row in rows]
    result: list[Measurement] = []
    inner: dict[tuple[datetime, _Outcome], list[Measurement]] = {}
    for index, (row, outcome) in enumerate(zip(rows, outcomes, strict=True)):
        is_first = index == 0 or outcomes[index - 1] != outcome
        is_last = index + 1 == len(rows) or outcomes[index + 1] != outcome
        if is_first or is_last:
            result.append(row)
        else:
            inner.setdefault((floor_time(row.time, width), outcome), []).append(row)
    result.extend(_merge(alike) for alike in inner.values())
    return result


def _merge(alike: Sequence[Measurement]) -> Measurement:
    if len(alike) == 1:
        return alike[0]
    return replace(
        alike[0],
        seconds=median(row.seconds for row in alike),
        observations=(),
        weight=sum(row.weight for row in alike),
    )


def _outcome(row: Measurement) -> _Outcome:
    return (row.target, row.probe, row.failure, row.scope, row.host_responded)


def _key_samples(samples: Iterable[ClockSample]) -> tuple[ClockSample, ...]:
    """Return each boot's first, last and most accurate samples, which correct its rows."""
    by_boot: dict[str, list[ClockSample]] = {}
    for sample in samples:
        by_boot.setdefault(sample.boot, []).append(sample)
    result: list[ClockSample] = []
    for own in by_boot.values():
        own.sort(key=lambda sample: sample.monotonic)
        accurate = [sample for sample in own if sample.error is not None]
        chosen = {own[0], own[-1], *accurate[:1], *accurate[-1:]}
        if accurate:
            chosen.add(min(accurate, key=lambda sample: sample.error or 0))
        result.extend(sorted(chosen, key=lambda sample: sample.monotonic))
    return tuple(result)
