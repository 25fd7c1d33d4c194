"""What is kept of measurements when there is no room for all of them.

Counts stay exact; what goes is the detail of what went on as before. The first and the
last of every run of the same outcome stay as they are: they are the state changes and the
evidence of failures. So do the agent's own notes, such as gaps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median

from netwatch.agent.events import EVENT_PREFIX
from netwatch.model.measurement import Measurement
from netwatch.model.time import floor_time

_Outcome = tuple[str, str, str | None, str, bool]


def downsample(measurements: Iterable[Measurement], *, width: timedelta) -> list[Measurement]:
    """Return fewer measurements with the same counts in every interval of `width`, by time.

    Within an interval, those of one target with one outcome become one, at the time of
    the first, with the median duration, without observations, and with their number as
    its `weight`. Those at either end of a run of outcomes are left alone.
    """
    by_target: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        by_target.setdefault((measurement.target, measurement.probe), []).append(measurement)
    kept: list[Measurement] = []
    for rows in by_target.values():
        rows.sort(key=lambda row: row.time)
        if rows[0].target.startswith(EVENT_PREFIX):
            kept.extend(rows)
        else:
            kept.extend(_downsample_target(rows, width))
    return sorted(kept, key=lambda row: (row.time, row.target))


def _downsample_target(rows: Sequence[Measurement], width: timedelta) -> list[Measurement]:
    """Thin one target's measurements, given in order of time."""
    kept: list[Measurement] = []
    middle: dict[tuple[datetime, _Outcome], list[Measurement]] = {}
    for place, row in enumerate(rows):
        outcome = _outcome(row)
        before = place > 0 and _outcome(rows[place - 1]) == outcome
        after = place + 1 < len(rows) and _outcome(rows[place + 1]) == outcome
        if before and after:
            middle.setdefault((floor_time(row.time, width), outcome), []).append(row)
        else:
            kept.append(row)
    kept.extend(_merge(alike) for alike in middle.values())
    return kept


def _merge(alike: Sequence[Measurement]) -> Measurement:
    """Return one measurement that stands for all of them."""
    if len(alike) == 1:
        return alike[0]
    return replace(
        alike[0],
        seconds=median(row.seconds for row in alike),
        observations=(),
        weight=sum(row.weight for row in alike),
    )


def _outcome(row: Measurement) -> _Outcome:
    """Return what makes two measurements alike."""
    return (row.target, row.probe, row.failure, row.scope, row.host_responded)
