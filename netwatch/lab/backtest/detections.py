"""What incidents say of each entity: one detection a loss, cut where levels say it was back.

Incidents name a widest scope and list what is part of it. Whoever asks about each entity takes
every child as a detection of its own, said no earlier than its incident was. One incident may
cover several losses (nights of a curfew); it is split where the levels say that the entity was
back, by the rule of `falls`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

_LOW, _LIKELY, _SURE = 0.5, 0.8, 0.95


@dataclass(frozen=True, slots=True)
class Detection:
    """One run that a detector calls low.

    Attributes:
        entity: `kind:code`.
        started_at: when the detector says that it began.
        ended_at: first instant back at ordinary, None while it lasts.
        provisional_at: when a live system would first have said it: the end of a bin.
        confirmed_at: when it would have been sure, None where it never was.
        trough_level: lowest level, 1.0 = ordinary; NaN where the detector has no level.
    """

    entity: str
    started_at: datetime
    ended_at: datetime | None
    provisional_at: datetime
    confirmed_at: datetime | None
    trough_level: float


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels that a detector read, entities x bins of the panel, NaN where it says nothing.

    Attributes:
        level: 1.0 = ordinary.
        low, high: its 90 % interval, None where the detector has none.
        probability: that the entity is below ordinary, None where it has none.
    """

    level: Floats
    low: Floats | None = None
    high: Floats | None = None
    probability: Floats | None = None


class LevelGrid(Protocol):
    """The grid that levels lie on: entities x bins."""

    @property
    def entities(self) -> tuple[str, ...]:
        """The entities, `kind:code`, a row each."""

    @property
    def start(self) -> datetime:
        """Start of the first bin."""

    @property
    def width(self) -> int:
        """Minutes a bin."""

    @property
    def bins(self) -> int:
        """Number of bins."""

    def times(self) -> pd.DatetimeIndex:
        """Return the start of every bin."""

    def time(self, index: int) -> datetime:
        """Return the start of a bin."""

    def index(self, time: datetime) -> int:
        """Return the bin that holds `time`."""


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


def levels_of_frame(frame: pd.DataFrame, sheet: LevelGrid) -> Levels:
    """Return the columns time, entity, level, low, high, probability on the sheet's grid."""
    rows = pd.Index(sheet.entities).get_indexer(pd.Index(frame["entity"].astype(str)))
    columns = sheet.times().get_indexer(pd.DatetimeIndex(frame["time"]))
    here = (rows >= 0) & (columns >= 0)

    def dense(name: str) -> Floats:
        grid = np.full((len(sheet.entities), sheet.bins), np.nan)
        grid[rows[here], columns[here]] = frame[name].to_numpy(dtype=float)[here]
        return grid

    return Levels(dense("level"), dense("low"), dense("high"), dense("probability"))


def split_by_levels(
    detections: Sequence[Detection], levels: Levels, sheet: LevelGrid
) -> tuple[Detection, ...]:
    """Return detections cut into the separate falls that their levels show.

    The first fall keeps the incident's onset and times; a later one begins with the first bin
    of it that is more than halfway down. It is said, provisionally and for sure, at the ends of
    the first bins with P > .80 and P > .95.
    """
    rows = {entity: row for row, entity in enumerate(sheet.entities)}
    found: list[Detection] = []
    for one in detections:
        row = rows.get(one.entity)
        if row is None or levels.probability is None:
            found.append(one)
            continue
        last = (
            sheet.bins if one.ended_at is None else -(-_minutes(one.ended_at, sheet) // sheet.width)
        )
        first = max(0, sheet.index(one.started_at))
        spans = falls(levels.probability[row, first:last], width=sheet.width)
        if len(spans) < 2:
            found.append(one)
            continue
        found.append(replace(one, ended_at=sheet.time(first + spans[0][1])))
        for number, (begin, end) in enumerate(spans[1:], 1):
            floor = first + spans[number - 1][1]
            piece = _later_fall(one, levels, row, sheet, span=(floor, first + begin, first + end))
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
    one: Detection, levels: Levels, row: int, sheet: LevelGrid, *, span: tuple[int, int, int]
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
    provisional = sheet.time(begin + int(said[0]) + 1) if said.size else sheet.time(span[1] + 1)
    confirmed = sheet.time(begin + int(sure[0]) + 1) if sure.size and one.confirmed_at else None
    lowest = levels.level[row, begin:end]
    trough = float(np.nanmin(lowest)) if np.isfinite(lowest).any() else float("nan")
    until = sheet.time(end) if end < sheet.bins else None
    return Detection(one.entity, sheet.time(begin), until, provisional, confirmed, trough)


def _minutes(time: datetime, sheet: LevelGrid) -> int:
    return int((time - sheet.start) // timedelta(minutes=1))
