"""Detections: incidents of a backtest by entity, split where the levels had returned.

An incident names its widest scope and lists the affected entities. Every affected entity is a
detection of its own, known no earlier than the incident. One incident may cover several losses
(nights of a curfew); it is split by the rule of `low_runs`.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from netwatch.arrays import Bools, Floats
from netwatch.incidents.excursion import is_same_loss
from netwatch.model.thresholds import (
    CONFIRMED_PROBABILITY,
    CONFIRMING_BINS,
    EVEN_PROBABILITY,
    LIKELY_PROBABILITY,
)


@dataclass(frozen=True, slots=True)
class Detection:
    """One loss of one entity that a detector reports.

    Attributes:
        entity: `kind:code`.
        started_at: onset.
        ended_at: first instant back at ordinary, None while it lasts.
        provisional_at: when a live system would first have reported it: the end of a bin.
        confirmed_at: when it would have confirmed it, None for never.
        trough_level: lowest level, 1.0 = ordinary; NaN if the detector has no level.
    """

    entity: str
    started_at: datetime
    ended_at: datetime | None
    provisional_at: datetime
    confirmed_at: datetime | None
    trough_level: float


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels of a detector, entities x bins, NaN for no level.

    Attributes:
        level: 1.0 = ordinary.
        low, high: its 95 % interval, None if the detector has none.
        probability: that the entity is below ordinary, None if the detector has none.
    """

    level: Floats
    low: Floats | None = None
    high: Floats | None = None
    probability: Floats | None = None


@dataclass(frozen=True, slots=True)
class LevelGrid:
    """Grid of levels: a row per entity (`kind:code`), a column per bin of `width`."""

    entities: tuple[str, ...]
    start: datetime
    width: timedelta
    bins: int

    def times(self) -> pd.DatetimeIndex:
        """Return the start of every bin."""
        return pd.date_range(self.start, periods=self.bins, freq=pd.Timedelta(self.width))

    def time(self, index: int) -> datetime:
        """Return the start of a bin."""
        return self.start + index * self.width

    def index(self, time: datetime) -> int:
        """Return the bin that holds `time`."""
        return int((time - self.start) // self.width)


def detections_of_incidents(
    incidents: Sequence[Mapping[str, object]], *, width: timedelta
) -> tuple[Detection, ...]:
    """Return detections of incidents as in `incidents.json`, and of their children."""
    ids = {str(incident["id"]) for incident in incidents}
    detections = []
    for incident in incidents:
        whole = _detection(incident)
        detections.append(whole)
        children = incident.get("children") or []
        if not isinstance(children, Sequence):
            raise TypeError("children: want an array")
        for child in children:
            if isinstance(child, Mapping):
                detections.append(_child(child, whole, width))
            elif str(child) not in ids:
                detections.append(_child({"entity": child}, whole, width))
    return tuple(detections)


def _detection(incident: Mapping[str, object]) -> Detection:
    trough = incident.get("trough")
    level = trough.get("level") if isinstance(trough, Mapping) else None
    confirmed = _time(incident.get("confirmed_at"))
    provisional = _time(incident["provisional_at"]) or confirmed
    started = _time(incident["started_at"])
    if started is None or provisional is None:
        raise TypeError("incident: want started_at and provisional_at")
    return Detection(
        str(incident["entity"]),
        started,
        _time(incident.get("ended_at")),
        provisional,
        confirmed,
        float("nan") if level is None else float(str(level)),
    )


def _child(child: Mapping[str, object], whole: Detection, width: timedelta) -> Detection:
    """A child is known at the end of its own first bin, and no earlier than the incident."""
    started = _time(child.get("started_at")) or whole.started_at
    known = started + width
    confirmed = max(whole.confirmed_at, known) if whole.confirmed_at else None
    return Detection(
        str(child["entity"]),
        started,
        _time(child.get("ended_at")) or whole.ended_at,
        max(whole.provisional_at, known),
        _time(child.get("confirmed_at")) or confirmed,
        float("nan"),
    )


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(str(value)) if value else None


def levels_of_frame(frame: pd.DataFrame, grid: LevelGrid) -> Levels:
    """Return the columns time, entity, level, low, high, probability on a grid."""
    rows = pd.Index(grid.entities).get_indexer(pd.Index(frame["entity"].astype(str)))
    columns = grid.times().get_indexer(pd.DatetimeIndex(frame["time"]))
    inside = (rows >= 0) & (columns >= 0)

    def dense(name: str) -> Floats:
        table = np.full((len(grid.entities), grid.bins), np.nan)
        table[rows[inside], columns[inside]] = frame[name].to_numpy(dtype=float)[inside]
        return table

    return Levels(dense("level"), dense("low"), dense("high"), dense("probability"))


def split_by_levels(
    detections: Sequence[Detection], levels: Levels, grid: LevelGrid
) -> tuple[Detection, ...]:
    """Return detections split into the separate losses that their levels show.

    The first loss keeps the onset and times of the detection; a later one begins with its first
    bin that is more than halfway down, and is provisional and confirmed at the ends of its
    first bins above the thresholds of probability.
    """
    rows = {entity: row for row, entity in enumerate(grid.entities)}
    found: list[Detection] = []
    for detection in detections:
        row = rows.get(detection.entity)
        if row is None or levels.probability is None:
            found.append(detection)
            continue
        level, probability = levels.level[row], levels.probability[row]
        first, last = max(0, grid.index(detection.started_at)), grid.bins
        if detection.ended_at is not None:
            last = -((grid.start - detection.ended_at) // grid.width)
        runs = [
            (first + begin, first + end)
            for begin, end in low_runs(probability[first:last], width=grid.width)
        ]
        if len(runs) < 2:
            found.append(detection)
            continue
        found.append(replace(detection, ended_at=grid.time(runs[0][1])))
        for (_, before), (begin, end) in itertools.pairwise(runs):
            onset = _onset(level, begin, end, earliest=before)
            piece = _later_loss(
                detection, grid, onset, level=level[onset:end], probability=probability[onset:end]
            )
            if end == runs[-1][1] and detection.ended_at is not None:
                piece = replace(piece, ended_at=detection.ended_at)
            found.append(piece)
    return tuple(found)


def low_runs(probability: Floats, *, width: timedelta) -> list[tuple[int, int]]:
    """Return the runs of bins in which an entity is low, as (first, after the last).

    A run ends with two bins in a row that are likelier ordinary than not; runs that are the same
    loss (`is_same_loss`) are merged. A bin without data keeps the state before it.
    """
    low, runs = False, []
    for index, value in enumerate([*probability.tolist(), 0.0]):
        now = low if np.isnan(value) else value >= EVEN_PROBABILITY
        if now and not low:
            runs.append((index, len(probability)))
        elif low and not now:
            runs[-1] = (runs[-1][0], index)
        low = now
    merged: list[tuple[int, int]] = []
    for begin, end in runs:
        if merged:
            first, last = merged[-1]
            length, gap = (last - first) * width, (begin - last) * width
            if begin - last < CONFIRMING_BINS or is_same_loss(length, gap):
                merged[-1] = (first, end)
                continue
        merged.append((begin, end))
    return merged


def _onset(level: Floats, begin: int, end: int, *, earliest: int) -> int:
    """Return the first bin before a run of low bins that is more than halfway down already."""
    low = level[begin:end]
    half = (1 + float(np.nanmedian(low))) / 2 if np.isfinite(low).any() else 0.0
    while begin > earliest and level[begin - 1] < half:
        begin -= 1
    return begin


def _later_loss(
    detection: Detection, grid: LevelGrid, onset: int, *, level: Floats, probability: Floats
) -> Detection:
    """Return a loss after the first; `level` and `probability` are those from its onset on."""

    def first_end(reached: Bools) -> datetime | None:
        bins = np.flatnonzero(reached)
        return grid.time(onset + int(bins[0]) + 1) if bins.size else None

    low = first_end(probability >= EVEN_PROBABILITY)
    provisional = first_end(probability > LIKELY_PROBABILITY) or low
    assert provisional is not None, "a run of low bins has a low bin"
    confirmed = first_end(probability > CONFIRMED_PROBABILITY)
    end = onset + len(level)
    return Detection(
        detection.entity,
        grid.time(onset),
        grid.time(end) if end < grid.bins else None,
        provisional,
        confirmed if detection.confirmed_at else None,
        float(np.nanmin(level)) if np.isfinite(level).any() else float("nan"),
    )
