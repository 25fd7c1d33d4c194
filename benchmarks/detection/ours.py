"""netwatch's own detector in the harness, through the library's backtest.

Incidents name a widest scope and list what is part of it. The judge asks about each entity,
so every child becomes a detection of its own, said no earlier than its incident was.

One incident may cover several losses (nights of a curfew); each is told as a revision when it
comes. The judge asks about each loss, so incidents are split where the published levels say
that the entity was back: by the rule of `falls`.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from benchmarks.detection.panel import Detection, Floats, Levels, Panel, Verdict

__all__ = ["detections_of_incidents", "falls", "judge_ours", "levels_of_frame", "split_by_levels"]

_LOW, _LIKELY, _SURE = 0.5, 0.8, 0.95

Backtest = Callable[..., tuple[pd.DataFrame, Sequence[Mapping[str, object]]]]


def judge_ours(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return netwatch's verdict.

    Raises:
        ImportError: this netwatch has no `netwatch.lab.backtest.run_backtest`.
    """
    run_backtest: Backtest = importlib.import_module("netwatch.lab.backtest").run_backtest
    levels, incidents = run_backtest(panel.frame(), training_until=training_until)
    detections = detections_of_incidents(incidents, width=timedelta(minutes=panel.width))
    grid = levels_of_frame(levels, panel)
    return {"netwatch": Verdict(split_by_levels(detections, grid, panel), grid)}


def detections_of_incidents(
    incidents: Sequence[Mapping[str, object]], *, width: timedelta
) -> tuple[Detection, ...]:
    """Return detections of incidents as `incidents.json` has them, and of their children."""
    known = {str(incident["id"]) for incident in incidents}
    found = []
    for incident in incidents:
        whole = _detection(incident)
        found.append(whole)
        children = incident.get("children") or []
        if not isinstance(children, Sequence):
            raise TypeError("children: want an array")
        for child in children:
            if isinstance(child, Mapping):
                found.append(_child(child, whole, width))
            elif str(child) not in known:
                found.append(_child({"entity": child}, whole, width))
    return tuple(found)


def _detection(incident: Mapping[str, object]) -> Detection:
    trough = incident.get("trough")
    level = trough.get("level") if isinstance(trough, Mapping) else None
    confirmed = incident.get("confirmed_at")
    return Detection(
        str(incident["entity"]),
        _time(incident["started_at"]),
        _time(incident["ended_at"]) if incident.get("ended_at") else None,
        _time(incident["provisional_at"] or confirmed),
        _time(confirmed) if confirmed else None,
        float("nan") if level is None else float(str(level)),
    )


def _child(child: Mapping[str, object], whole: Detection, width: timedelta) -> Detection:
    """A child is known once its own first bin is over, and no earlier than the incident."""
    started = _time(child["started_at"]) if child.get("started_at") else whole.started_at
    ended = _time(child["ended_at"]) if child.get("ended_at") else whole.ended_at
    seen = started + width
    sure = child.get("confirmed_at")
    confirmed = max(whole.confirmed_at, seen) if whole.confirmed_at else None
    return Detection(
        str(child["entity"]),
        started,
        ended,
        max(whole.provisional_at, seen),
        _time(sure) if sure else confirmed,
        float("nan"),
    )


def _time(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def levels_of_frame(frame: pd.DataFrame, panel: Panel) -> Levels:
    """Return the columns time, entity, level, low, high, probability on the panel's grid."""
    rows = pd.Index(panel.entities).get_indexer(pd.Index(frame["entity"].astype(str)))
    columns = panel.times().get_indexer(pd.DatetimeIndex(frame["time"]))
    here = (rows >= 0) & (columns >= 0)

    def dense(name: str) -> Floats:
        grid = np.full((len(panel.entities), panel.bins), np.nan)
        grid[rows[here], columns[here]] = frame[name].to_numpy(dtype=float)[here]
        return grid

    return Levels(dense("level"), dense("low"), dense("high"), dense("probability"))


def split_by_levels(
    detections: Sequence[Detection], levels: Levels, panel: Panel
) -> tuple[Detection, ...]:
    """Return detections cut into the separate falls that their levels show.

    The first fall keeps the incident's onset and times; a later one begins with the first bin
    of it that is more than halfway down. It is said, provisionally and for sure, at the ends of
    the first bins with P > .80 and P > .95.
    """
    rows = {entity: row for row, entity in enumerate(panel.entities)}
    found: list[Detection] = []
    for one in detections:
        row = rows.get(one.entity)
        if row is None or levels.probability is None:
            found.append(one)
            continue
        last = (
            panel.bins if one.ended_at is None else -(-_minutes(one.ended_at, panel) // panel.width)
        )
        first = max(0, panel.index(one.started_at))
        spans = falls(levels.probability[row, first:last], width=panel.width)
        if len(spans) < 2:
            found.append(one)
            continue
        found.append(replace(one, ended_at=panel.time(first + spans[0][1])))
        for number, (begin, end) in enumerate(spans[1:], 1):
            floor = first + spans[number - 1][1]
            piece = _later_fall(one, levels, row, panel, span=(floor, first + begin, first + end))
            if number < len(spans) - 1 or one.ended_at is None:
                found.append(piece)
            else:
                found.append(replace(piece, ended_at=one.ended_at))
    return tuple(found)


def falls(probability: Floats, *, width: int) -> list[tuple[int, int]]:
    """Return the runs of bins in which an entity is low, as (first, after the last).

    A run ends with two bins in a row under P = .5. Runs are one where the gap between them is
    at most half of the first, no less than 30 minutes and no more than two hours. A bin without
    data keeps the state before it.
    """
    low, spans = False, []
    for index, value in enumerate([*probability.tolist(), 0.0]):
        now = low if np.isnan(value) else value >= _LOW
        if index == len(probability):
            now = False
        if now and not low:
            spans.append((index, len(probability)))
        elif low and not now:
            spans[-1] = (spans[-1][0], index)
        low = now
    joined: list[tuple[int, int]] = []
    for begin, end in spans:
        if joined:
            before = joined[-1]
            half = (before[1] - before[0]) * width / 2
            gap = (begin - before[1]) * width
            if begin - before[1] < 2 or gap <= min(max(30, half), 120):
                joined[-1] = (before[0], end)
                continue
        joined.append((begin, end))
    return joined


def _later_fall(
    one: Detection, levels: Levels, row: int, panel: Panel, *, span: tuple[int, int, int]
) -> Detection:
    """Return a fall after the first; `span` is the earliest onset, its first and last bin."""
    floor, begin, end = span
    assert levels.probability is not None
    fallen = levels.level[row, begin:end]
    half = (1 + float(np.nanmedian(fallen))) / 2 if np.isfinite(fallen).any() else 0.0
    while begin > floor and levels.level[row, begin - 1] < half:
        begin -= 1
    said, sure = (
        np.flatnonzero(levels.probability[row, begin:end] > bound) for bound in (_LIKELY, _SURE)
    )
    provisional = panel.time(begin + int(said[0]) + 1) if said.size else panel.time(span[1] + 1)
    confirmed = panel.time(begin + int(sure[0]) + 1) if sure.size and one.confirmed_at else None
    lowest = levels.level[row, begin:end]
    trough = float(np.nanmin(lowest)) if np.isfinite(lowest).any() else float("nan")
    until = panel.time(end) if end < panel.bins else None
    return Detection(one.entity, panel.time(begin), until, provisional, confirmed, trough)


def _minutes(time: datetime, panel: Panel) -> int:
    return int((time - panel.start) // timedelta(minutes=1))
