"""Detections: incidents of a backtest by entity, split where the levels had returned.

An incident names its widest scope and lists the affected entities. Every affected entity is a
detection of its own, known no earlier than the incident. One incident may cover several losses
(nights of a curfew); it is split by the rule of `low_runs`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats
from netwatch.incidents.excursion import is_same_loss
from netwatch.lab.backtest.time_grid import Grid, Levels
from netwatch.model.incident import Incident
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


def detections_of_incidents(
    incidents: Sequence[Incident], *, width: timedelta
) -> tuple[Detection, ...]:
    """Return a detection of each incident and of every entity that it affects.

    An affected entity is known at the end of its own first bin, and no earlier than the incident.
    """
    detections = []
    for incident in incidents:
        whole = Detection(
            entity=str(incident.entity),
            started_at=incident.started_at,
            ended_at=incident.ended_at,
            provisional_at=incident.provisional_at,
            confirmed_at=incident.confirmed_at,
            trough_level=incident.trough.value / 100,
        )
        detections.append(whole)
        for part in incident.affected:
            known = part.started_at + width
            detections.append(
                Detection(
                    entity=str(part.entity),
                    started_at=part.started_at,
                    ended_at=part.ended_at or whole.ended_at,
                    provisional_at=max(whole.provisional_at, known),
                    confirmed_at=max(whole.confirmed_at, known) if whole.confirmed_at else None,
                    trough_level=float("nan"),
                )
            )
    return tuple(detections)


def split_by_levels(
    detections: Sequence[Detection], levels: Levels, grid: Grid, *, entities: Sequence[str]
) -> tuple[Detection, ...]:
    """Return detections split into the separate losses that the levels of `entities` show.

    The first loss keeps the onset and times of the detection; a later one begins with its first
    bin that is more than halfway down, and is provisional and confirmed at the ends of its
    first bins above the thresholds of probability.
    """
    rows = {entity: row for row, entity in enumerate(entities)}
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
    detection: Detection, grid: Grid, onset: int, *, level: Floats, probability: Floats
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
