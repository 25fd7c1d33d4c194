"""Scores a backtest against true events.

A detection finds an event if it starts between 15 minutes (or one bin, if that is longer) before
the event's start and its end; one to one, by largest overlap. Further detections inside a found
event are fragments, neither right nor wrong. What coincides with a true event of a wider or a
narrower entity is excused: a list of national events names no networks. All others are false.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from netwatch.lab.backtest.detections import (
    Detection,
    detections_of_incidents,
    split_by_levels,
)
from netwatch.lab.backtest.matching import Prediction, Span, match_entity, predictions_of
from netwatch.lab.backtest.runner import Backtest
from netwatch.lab.backtest.truth import TrueEvent, Truth
from netwatch.model.entities import Entity, EntityTree

TOLERANCE = 15
"""Minutes that a detection may start before its event: lists round onsets to quarter hours."""
_ROUNDING = 0.005
"""Share of ordinary: lists give levels in whole per cent."""
_WEEK = 10_080
"""Minutes."""
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class EntityScore:
    """Outcome of one true event, or of one detection without an event ("call").

    Attributes:
        entity, started_at, ended_at: of the event, or of the detection.
        level: the true level.
        verdict: `found`, `missed` or `not judged` for an event; `false`, `excused` or `fragment`
            for a detection.
        called_at, called_until: the detection that found the event.
        delay, onset_error, end_error: minutes.
        level_error: distance of the mean level from the true one; held: share of its bins whose
            interval holds it.
    """

    entity: str
    started_at: datetime
    ended_at: datetime | None
    verdict: str
    level: float | None = None
    called_at: datetime | None = None
    called_until: datetime | None = None
    delay: float | None = None
    onset_error: float | None = None
    end_error: float | None = None
    level_error: float | None = None
    held: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Score of the detections of one confidence.

    Attributes:
        metrics: name to number, None where nothing was measured.
        events: every true event; calls: every detection without an event.
    """

    metrics: Mapping[str, float | None]
    events: tuple[EntityScore, ...]
    calls: tuple[EntityScore, ...]


@dataclass(frozen=True, slots=True)
class _Period(Span):
    """A true event in minutes since the first bin."""

    event: TrueEvent


def score_backtest(found: Backtest, truth: Truth, tree: EntityTree) -> dict[str, Score]:
    """Return the scores of `confirmed` and of `provisional` detections.

    Events before the first level of their entity, and of entities without levels, are listed as
    not judged and do not count.
    """
    entities = [str(entity) for entity in found.entities]
    detections = detections_of_incidents(found.incidents, width=found.grid.width)
    detections = split_by_levels(detections, found.levels, found.grid, entities=entities)
    scorer = _Scorer(found, truth, tree)
    return {
        confidence: scorer.score(detections, confidence)
        for confidence in ("confirmed", "provisional")
    }


class _Scorer:
    def __init__(self, found: Backtest, truth: Truth, tree: EntityTree) -> None:
        self._grid, self._levels, self._tree = found.grid, found.levels, tree
        self._width = max(1, self._grid.width // _MINUTE)
        self._end = self._grid.bins * self._width
        self._rows = {str(entity): row for row, entity in enumerate(found.entities)}
        known = np.isfinite(found.levels.level)
        self._first = {
            entity: int(known[row].argmax()) * self._width
            for entity, row in self._rows.items()
            if known[row].any()
        }
        self._weeks = float(known.sum()) * self._width / _WEEK
        self._events: dict[str, list[_Period]] = defaultdict(list)
        self._not_judged: list[EntityScore] = []
        for event in truth.events:
            self._add(event)

    def score(self, detections: Sequence[Detection], confidence: str) -> Score:
        predictions = predictions_of(
            detections, self._grid.start, end=self._end, confidence=confidence
        )
        events, calls = [], []
        for entity in sorted({*self._events, *predictions}):
            periods, mine = self._events.get(entity, []), predictions.get(entity, [])
            result = match_entity(periods, mine, tolerance=max(TOLERANCE, self._width))
            events += [
                self._event(period, match)
                for period, match in zip(periods, result.matches, strict=True)
            ]
            calls += [self._call(entity, one, "fragment") for one in result.fragments]
            calls += [self._call(entity, one, self._verdict(entity, one)) for one in result.false]
        return Score(self._metrics(events, calls), (*events, *self._not_judged), tuple(calls))

    def _add(self, event: TrueEvent) -> None:
        entity = str(event.entity)
        start = self._minute(event.started_at)
        end = self._end if event.ended_at is None else min(self._end, self._minute(event.ended_at))
        if entity in self._first and self._first[entity] <= start < end:
            self._events[entity].append(_Period(start, end, event))
        else:
            self._not_judged.append(
                EntityScore(entity, event.started_at, event.ended_at, "not judged", event.level)
            )

    def _minute(self, time: datetime) -> int:
        return (time - self._grid.start) // _MINUTE

    def _time(self, minute: int) -> datetime:
        return self._grid.start + minute * _MINUTE

    def _verdict(self, entity: str, call: Prediction) -> str:
        """Return `excused` for what coincides with an event of a wider or narrower entity."""
        here = Entity.parse(entity)
        above = {str(scope) for scope in self._tree.ancestors(here)}
        for other, periods in self._events.items():
            related = other in above or here in self._tree.ancestors(Entity.parse(other))
            if related and any(
                call.start < one.end and call.end > one.start - TOLERANCE for one in periods
            ):
                return "excused"
        return "false"

    def _event(self, period: _Period, match: Prediction | None) -> EntityScore:
        event = period.event
        error, held = self._level(period)
        missed = EntityScore(
            entity=str(event.entity),
            started_at=event.started_at,
            ended_at=event.ended_at,
            verdict="missed",
            level=event.level,
            level_error=error,
            held=held,
        )
        if match is None:
            return missed
        return replace(
            missed,
            verdict="found",
            called_at=self._time(match.start),
            called_until=None if match.end >= self._end else self._time(match.end),
            delay=match.delay(period),
            onset_error=match.onset_error(period),
            end_error=None if event.ended_at is None else match.end_error(period),
        )

    def _call(self, entity: str, call: Prediction, verdict: str) -> EntityScore:
        until = None if call.end >= self._end else self._time(call.end)
        return EntityScore(entity, self._time(call.start), until, verdict)

    def _level(self, period: _Period) -> tuple[float | None, float | None]:
        """Return the level error of an event's whole bins, and how many intervals hold it."""
        truth, row = period.event.level, self._rows[str(period.event.entity)]
        inside = slice(-(-period.start // self._width), period.end // self._width)
        level = self._levels.level[row, inside]
        known = np.isfinite(level)
        if truth is None or not known.any():
            return None, None
        assert self._levels.low is not None
        assert self._levels.high is not None
        low, high = self._levels.low[row, inside][known], self._levels.high[row, inside][known]
        held = (low - _ROUNDING <= truth) & (truth <= high + _ROUNDING)
        return abs(float(level[known].mean()) - truth), float(held.mean())

    def _metrics(
        self, events: Sequence[EntityScore], calls: Sequence[EntityScore]
    ) -> dict[str, float | None]:
        found = [event for event in events if event.verdict == "found"]
        false = sum(call.verdict == "false" for call in calls)
        precision = len(found) / (len(found) + false) if found or false else None
        recall = len(found) / len(events) if events else None
        both = (precision or 0) + (recall or 0)
        metrics: dict[str, float | None] = {
            "precision": precision,
            "recall": recall,
            "f1": 2 * (precision or 0) * (recall or 0) / both if both else None,
            "events": len(events),
            "found": len(found),
            "missed": len(events) - len(found),
            "false": false,
            "excused": sum(call.verdict == "excused" for call in calls),
            "fragments": sum(call.verdict == "fragment" for call in calls),
            "not_judged": len(self._not_judged),
            "entity_weeks": self._weeks,
            "false_per_entity_week": false / self._weeks if self._weeks else None,
        }

        def measured(name: str) -> list[float]:
            values = (getattr(event, name) for event in found)
            return [value for value in values if value is not None]

        for name in ("delay", "onset_error", "end_error"):
            for label, share in (("p50", 0.5), ("p90", 0.9)):
                metrics[f"{name}_minutes_{label}"] = _quantile(measured(name), share)
        for name, field in (("level_error", "level_error"), ("interval_coverage", "held")):
            values = measured(field)
            metrics[name] = float(np.mean(values)) if values else None
        return metrics


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None
