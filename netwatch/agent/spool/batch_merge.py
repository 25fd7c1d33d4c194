"""Many batches as few: their rows by timeline, and what their clocks showed."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from netwatch.agent.spool.downsample import downsample
from netwatch.model.clock_samples import ClockSample, ClockSegment
from netwatch.model.measurement import Batch, Measurement
from netwatch.wire.ack import to_ranges

UNKNOWN = ClockSegment("", 0, 0, 0)
"""The timeline of rows that were written down without one."""


@dataclass(frozen=True, slots=True)
class TimestampedRows:
    """Measurements in runs of one timeline each, and readings of the clocks behind these."""

    rows: tuple[Measurement, ...]
    clock_segments: tuple[ClockSegment, ...]
    clock_samples: tuple[ClockSample, ...]


def take_first(dated: TimestampedRows, count: int) -> TimestampedRows:
    """Return the first `count` rows with the timelines that they have."""
    lines: list[ClockSegment] = []
    left = count
    for line in dated.clock_segments:
        if left > 0:
            lines.append(replace(line, rows=min(line.rows, left)))
        left -= line.rows
    boots = {line.boot for line in lines}
    readings = tuple(one for one in dated.clock_samples if one.boot in boots)
    return TimestampedRows(dated.rows[:count], tuple(lines), readings)


def split_dated(dated: TimestampedRows, count: int) -> tuple[TimestampedRows, TimestampedRows]:
    """Return the first `count` rows, and the others."""
    lines: list[ClockSegment] = []
    gone = count
    for line in dated.clock_segments:
        left = line.rows - max(0, min(gone, line.rows))
        gone -= line.rows
        if left:
            lines.append(replace(line, rows=left))
    rest = TimestampedRows(dated.rows[count:], tuple(lines), dated.clock_samples)
    return take_first(dated, count), take_first(rest, len(rest.rows))


def join_batches(batches: Sequence[Batch], width: timedelta | None) -> TimestampedRows:
    """Return the rows of all batches, thinned to `width`, grouped by the timeline they had.

    What was dated by different clocks is never taken for one: a run of outcomes ends with
    its timeline.
    """
    rows: dict[tuple[str, int], list[Measurement]] = {}
    lines: dict[tuple[str, int], ClockSegment] = {}
    for batch in batches:
        start = 0
        for line in batch.clock_segments or (replace(UNKNOWN, rows=len(batch.measurements)),):
            name = (line.boot, line.shift)
            known = lines.setdefault(name, line)
            lines[name] = replace(
                known, after_sequence=min(known.after_sequence, line.after_sequence)
            )
            part = batch.measurements[start : start + line.rows]
            rows.setdefault(name, []).extend(part)
            start += line.rows
    kept = {
        name: downsample(found, width=width) if width else found for name, found in rows.items()
    }
    order = sorted(kept, key=lambda name: lines[name].after_sequence)
    return TimestampedRows(
        rows=tuple(row for name in order for row in kept[name]),
        clock_segments=tuple(replace(lines[name], rows=len(kept[name])) for name in order),
        clock_samples=_few(reading for batch in batches for reading in batch.clock_samples),
    )


def join_ranges(old: Collection[int], batches: Iterable[Batch]) -> tuple[tuple[int, int], ...]:
    """Return the ranges of `old` and of all that they replaced themselves."""
    ranges = sorted([*to_ranges(old), *(pair for batch in batches for pair in batch.supersedes)])
    joined = [ranges[0]]
    for low, high in ranges[1:]:
        if low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return tuple(joined)


def _few(readings: Iterable[ClockSample]) -> tuple[ClockSample, ...]:
    """Return each boot's first, last and surest reading: what its rows are put right by."""
    by_boot: dict[str, list[ClockSample]] = {}
    for reading in readings:
        by_boot.setdefault(reading.boot, []).append(reading)
    kept: list[ClockSample] = []
    for found in by_boot.values():
        found.sort(key=lambda one: one.monotonic)
        vouched = [one for one in found if one.error is not None]
        chosen = [found[0], found[-1], *vouched[:1], *vouched[-1:]]
        if vouched:
            chosen.append(min(vouched, key=lambda one: one.error or 0))
        kept.extend(sorted(set(chosen), key=lambda one: one.monotonic))
    return tuple(kept)
