"""Scores of one detector in one world: rows of outcomes that any table can be made of."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.detection.panel import Levels, Verdict, scope_of
from benchmarks.detection.truth import Truth
from benchmarks.detection.world import World
from netwatch.arrays import Floats
from netwatch.lab.backtest.matching import MatchResult, Prediction, match_entity, predictions_of

__all__ = ["LOW", "Outcome", "judge"]

LOW = 0.95
"""An entity is truly below ordinary under this level (the Brier score's outcome)."""
_LARGE = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a detector did in one world, at one confidence.

    Attributes:
        truths: a row a required event and entity: cluster, kind, scope, size, found, delay
            (minutes from onset to announcement), late (bins after the bin that holds the
            onset), deep_delay (minutes from the first bin under 80 %), onset_error,
            end_error (minutes, absolute), event_level_error and final_level_error (of its
            last two hours), means of |level - truth|.
        alarms: a row a prediction: cluster, scope, verdict (`true`, `excused`, `fragment`,
            `false`), fault (kind of the fault it coincides with, else empty), minutes.
        clusters: a row a cluster (country of a world): entity weeks, level bins, their
            absolute error, how many intervals hold the truth, Brier sum and bins.
        reliability: a row a tenth of probability: bins, sum of what was said, how many were
            truly low; empty where the detector gives no probability.
    """

    truths: pd.DataFrame
    alarms: pd.DataFrame
    clusters: pd.DataFrame
    reliability: Floats


def judge(world: World, verdict: Verdict, *, confidence: str = "confirmed") -> Outcome:
    """Score `verdict` against the truth about `world` at `confidence`.

    The tolerance before an onset is 15 minutes or one bin, whichever is more: a run starts
    with the bin that holds its onset.
    """
    end = world.panel.bins * world.panel.width
    predictions = predictions_of(
        verdict.detections, world.panel.start, end=end, confidence=confidence
    )
    events: dict[str, list[Truth]] = defaultdict(list)
    faults: dict[str, list[Truth]] = defaultdict(list)
    for truth in world.truths:
        (faults if truth.fault else events)[truth.entity].append(truth)
    truths: list[dict[str, object]] = []
    alarms: list[dict[str, object]] = []
    tolerance = max(15, world.panel.width)
    for row, entity in enumerate(world.panel.entities):
        found = match_entity(events[entity], predictions.get(entity, []), tolerance=tolerance)
        cluster = f"{world.name}/{world.countries[row]}"
        base: dict[str, object] = {"cluster": cluster, "scope": scope_of(entity)}
        base |= {"size": int(world.sizes[row])}
        rows = _truth_rows(world, row, events[entity], found)
        _add_level_errors(world, row, verdict.levels, rows)
        truths += [base | line for line in rows]
        alarms += _alarm_rows(events[entity], faults[entity], found, base)
    return Outcome(
        pd.DataFrame(truths),
        pd.DataFrame(alarms, columns=["cluster", "scope", "size", "verdict", "fault", "minutes"]),
        _cluster_rows(world, verdict.levels),
        _reliability(world, verdict.levels),
    )


def _truth_rows(
    world: World, row: int, events: list[Truth], found: MatchResult
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    width = world.panel.width
    for truth, match in zip(events, found.matches, strict=True):
        if not truth.required:
            continue
        line: dict[str, object] = {"kind": truth.kind, "found": match is not None}
        line |= {"start": truth.start, "end": truth.end, "measurable": truth.measurable}
        if match is not None:
            deep = _first_deep(world.levels[row], truth, width)
            first_close = truth.start // width * width + width
            line |= {
                "delay": match.delay(truth),
                "late": max(0, -(-(match.reported - first_close) // width)),
                "deep_delay": max(0, match.reported - deep),
                "onset_error": match.onset_error(truth),
                "end_error": match.end_error(truth),
            }
        rows.append(line)
    return rows


def _add_level_errors(
    world: World, row: int, levels: Levels | None, rows: list[dict[str, object]]
) -> None:
    """Add the mean absolute level error of each event, and of its last two hours."""
    if levels is None:
        return
    width = world.panel.width
    error = np.abs(levels.level[row] - world.levels[row])
    for line in rows:
        if not line["measurable"]:
            continue
        first, last = int(str(line["start"])) // width + 1, int(str(line["end"])) // width
        inside = error[first:last]
        tail = error[max(first, last - max(1, 120 // width)) : last]
        if np.isfinite(inside).any():
            line["event_level_error"] = float(np.nanmean(inside))
        if np.isfinite(tail).any():
            line["final_level_error"] = float(np.nanmean(tail))


def _first_deep(levels: Floats, truth: Truth, width: int) -> int:
    """Return the first minute of the first bin of `truth` under 80 %, else the event's start."""
    first, last = truth.start // width, -(-truth.end // width)
    deep = np.flatnonzero(levels[first:last] < 0.8)
    return max(truth.start, (first + int(deep[0])) * width) if deep.size else truth.start


def _alarm_rows(
    events: list[Truth], faults: list[Truth], found: MatchResult, base: dict[str, object]
) -> list[dict[str, object]]:
    rows = []
    for truth, match in zip(events, found.matches, strict=True):
        if match is not None:
            verdict = "true" if truth.required else "excused"
            rows.append(_alarm(base, verdict, match))
    rows += [_alarm(base, "fragment", one) for one in found.fragments]
    for one in found.false:
        overlap = (t.kind for t in faults if one.start < t.end + 60 and one.end > t.start - 60)
        rows.append(_alarm(base, "false", one, fault=next(overlap, "")))
    return rows


def _alarm(
    base: dict[str, object], verdict: str, one: Prediction, *, fault: str = ""
) -> dict[str, object]:
    return base | {"verdict": verdict, "fault": fault, "minutes": one.end - one.start}


def _cluster_rows(world: World, levels: Levels | None) -> pd.DataFrame:
    """Sum what levels got right over each country's entities, after training.

    Level error and coverage are taken over the whole bins of required events that active
    probing shows: the first and the last bin, which hold an edge, are left out.
    """
    first = world.panel.index(world.training_until)
    count = len(world.panel.entities)
    sums = {"weeks": np.full(count, (world.panel.bins - first) * world.panel.width / 10_080)}
    if levels is not None:
        inside = _inside(world)
        error = np.abs(levels.level - world.levels)
        known = inside & np.isfinite(error)
        sums["level_bins"] = known.sum(axis=1).astype(float)
        sums["level_error"] = np.where(known, error, 0).sum(axis=1)
        # Small entities scatter by more than any method could remove: score large ones separately.
        large = world.sizes > _LARGE
        sums["large_level_bins"] = sums["level_bins"] * large
        sums["large_level_error"] = sums["level_error"] * large
        if levels.low is not None and levels.high is not None:
            # Shares are printed in whole per cent: half a point outside still counts as inside.
            slack = 0.005
            held = (levels.low - slack <= world.levels) & (world.levels <= levels.high + slack)
            known &= np.isfinite(levels.low) & np.isfinite(levels.high)
            sums["interval_bins"] = known.sum(axis=1).astype(float)
            sums["covered"] = (held & known).sum(axis=1).astype(float)
        if levels.probability is not None:
            miss = (levels.probability[:, first:] - (world.levels[:, first:] < LOW)) ** 2
            sums["brier_bins"] = np.isfinite(miss).sum(axis=1).astype(float)
            sums["brier"] = np.nansum(miss, axis=1)
    names = [f"{world.name}/{country}" for country in world.countries]
    return pd.DataFrame(sums).groupby(np.array(names)).sum().rename_axis("cluster").reset_index()


def _reliability(world: World, levels: Levels | None) -> Floats:
    """Return bins, sum of probabilities and truly low bins for each tenth of probability."""
    if levels is None or levels.probability is None:
        return np.zeros((0, 3))
    first = world.panel.index(world.training_until)
    said, low = levels.probability[:, first:], world.levels[:, first:] < LOW
    known = np.isfinite(said)
    tenth = np.minimum((said[known] * 10).astype(int), 9)
    weights = (np.ones(tenth.size), said[known], low[known].astype(float))
    return np.column_stack([np.bincount(tenth, each, minlength=10) for each in weights])


def _inside(world: World) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    inside = np.zeros(world.levels.shape, dtype=bool)
    rows = {entity: row for row, entity in enumerate(world.panel.entities)}
    for truth in world.truths:
        if truth.required and truth.measurable:
            width = world.panel.width
            inside[rows[truth.entity], truth.start // width + 1 : truth.end // width] = True
    return inside
