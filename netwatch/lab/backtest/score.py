"""How well a backtest found what truly happened.

A detection finds an event iff it starts between 15 minutes (or one bin, if that is more) before
the event's start and its end; one to one, by largest overlap. Further detections inside a found
event are fragments, neither right nor wrong. What coincides with a true event of a wider or a
narrower entity is excused: a list of national events names no networks. Everything else that was
called is false.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from netwatch.lab.backtest.detections import (
    Detection,
    Levels,
    detections_of_incidents,
    levels_of_frame,
    split_by_levels,
)
from netwatch.lab.backtest.matching import Prediction, match_entity, predictions_of
from netwatch.lab.backtest.output import plain_incident
from netwatch.lab.backtest.partition import Grid
from netwatch.lab.backtest.runner import Backtest
from netwatch.lab.backtest.truth import TrueEvent, Truth
from netwatch.model.entities import Entity, EntityTree

TOLERANCE = 15
"""Minutes that a detection may start before its event."""
_SLACK = 0.005
"""Levels are printed in whole per cent, so that a hair beside an interval's edge is inside."""
_WEEK = 10_080


@dataclass(frozen=True, slots=True)
class ScoreGrid:
    """The grid of a backtest's levels, entities x bins, in whole minutes."""

    entities: tuple[str, ...]
    grid: Grid

    @property
    def start(self) -> datetime:
        """Start of the first bin."""
        return self.grid.start

    @property
    def width(self) -> int:
        """Minutes a bin, one at the least."""
        return max(1, int(self.grid.width // timedelta(minutes=1)))

    @property
    def bins(self) -> int:
        """Number of bins."""
        return self.grid.bins

    def times(self) -> pd.DatetimeIndex:
        """Return the start of every bin."""
        return pd.date_range(self.start, periods=self.bins, freq=pd.Timedelta(self.grid.width))

    def time(self, index: int) -> datetime:
        """Return the start of a bin."""
        return self.start + index * self.grid.width

    def index(self, time: datetime) -> int:
        """Return the bin that holds `time`."""
        return int((time - self.start) // self.grid.width)


@dataclass(frozen=True, slots=True)
class EntityScore:
    """One true event, or one call, and what became of it.

    Attributes:
        entity, started_at, ended_at: as it is written down, or as it was called.
        level: the true level.
        verdict: `found`, `missed` or `not judged` for an event; `false`, `excused` or `fragment`
            for a call.
        called_at, called_until: the detection that found it.
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
    """What a tier came to.

    Attributes:
        figures: name to number, None where nothing was measured.
        events: every true event; calls: every detection that found none.
    """

    figures: Mapping[str, float | None]
    events: tuple[EntityScore, ...]
    calls: tuple[EntityScore, ...]


@dataclass(frozen=True, slots=True)
class _Period:
    """A true event in minutes since the first bin."""

    start: int
    end: int
    about: TrueEvent


def score_backtest(found: Backtest, truth: Truth, atlas: EntityTree) -> dict[str, Score]:
    """Return the scores of both tiers, `confirmed` and `provisional`.

    Events before the first judged bin of their entity, and of entities that have no levels, are
    listed as not judged and do not count.
    """
    entities = tuple(dict.fromkeys(found.levels["entity"].astype(str)))
    sheet = ScoreGrid(entities, found.grid)
    levels = levels_of_frame(found.levels, sheet)
    plain = [plain_incident(incident) for incident in found.incidents]
    called = detections_of_incidents(plain, width=found.grid.width)
    called = split_by_levels(called, levels, sheet)
    judge = _Judge(sheet, levels, truth, atlas)
    return {tier: judge.score(called, tier) for tier in ("confirmed", "provisional")}


class _Judge:
    """Compares detections with the truth, on one sheet of levels."""

    def __init__(self, sheet: ScoreGrid, levels: Levels, truth: Truth, atlas: EntityTree) -> None:
        self._sheet, self._levels, self._atlas = sheet, levels, atlas
        self._end = sheet.bins * sheet.width
        self._rows = {entity: row for row, entity in enumerate(sheet.entities)}
        known = np.isfinite(levels.level)
        self._first = {
            entity: int(known[row].argmax()) * sheet.width for entity, row in self._rows.items()
        }
        self._weeks = float(known.sum()) * sheet.width / _WEEK
        self._events: dict[str, list[_Period]] = defaultdict(list)
        self._not_judged: list[EntityScore] = []
        for event in truth.events:
            self._sort_in(event)

    def score(self, called: Sequence[Detection], tier: str) -> Score:
        """Return the score of one tier."""
        predictions = predictions_of(called, self._sheet.start, end=self._end, tier=tier)
        events, calls = [], []
        for entity in sorted({*self._events, *predictions}):
            periods, mine = self._events.get(entity, []), predictions.get(entity, [])
            pairs = match_entity(periods, mine, tolerance=max(TOLERANCE, self._sheet.width))
            events += [
                self._event(period, match)
                for period, match in zip(periods, pairs.matches, strict=True)
            ]
            calls += [self._call(entity, one, "fragment") for one in pairs.fragments]
            calls += [self._call(entity, one, self._verdict(entity, one)) for one in pairs.false]
        return Score(self._figures(events, calls), (*events, *self._not_judged), tuple(calls))

    def _sort_in(self, event: TrueEvent) -> None:
        """Keep an event as one to find, or as one that nobody could."""
        entity = str(event.entity)
        start = self._minute(event.started_at)
        end = self._end if event.ended_at is None else min(self._end, self._minute(event.ended_at))
        if entity in self._rows and self._first[entity] <= start < end:
            self._events[entity].append(_Period(start, end, event))
        else:
            self._not_judged.append(
                EntityScore(entity, event.started_at, event.ended_at, "not judged", event.level)
            )

    def _minute(self, time: datetime) -> int:
        """Return the minutes from the first bin to `time`."""
        return int((time - self._sheet.start) // timedelta(minutes=1))

    def _verdict(self, entity: str, call: Prediction) -> str:
        """Return `excused` for what coincides with an event of a wider or narrower entity."""
        here = Entity.parse(entity)
        above = {str(scope) for scope in self._atlas.ancestors(here)}
        for other, periods in self._events.items():
            related = other in above or here in self._atlas.ancestors(Entity.parse(other))
            if related and any(
                call.start < one.end and call.end > one.start - TOLERANCE for one in periods
            ):
                return "excused"
        return "false"

    def _event(self, period: _Period, match: Prediction | None) -> EntityScore:
        """Return what became of an event."""
        event = period.about
        error, held = self._level(period)
        if match is None:
            return EntityScore(
                str(event.entity), event.started_at, event.ended_at, "missed", event.level,
                level_error=error, held=held,
            )  # fmt: skip
        goes_on = match.end >= self._end
        return EntityScore(
            entity=str(event.entity),
            started_at=event.started_at,
            ended_at=event.ended_at,
            verdict="found",
            level=event.level,
            called_at=self._time(match.start),
            called_until=None if goes_on else self._time(match.end),
            delay=max(0, match.said - period.start),
            onset_error=abs(match.start - period.start),
            end_error=None if event.ended_at is None else abs(match.end - period.end),
            level_error=error,
            held=held,
        )

    def _call(self, entity: str, call: Prediction, verdict: str) -> EntityScore:
        """Return a detection that found nothing."""
        until = None if call.end >= self._end else self._time(call.end)
        return EntityScore(entity, self._time(call.start), until, verdict)

    def _time(self, minute: int) -> datetime:
        """Return the instant so many minutes after the first bin."""
        return self._sheet.start + timedelta(minutes=minute)

    def _level(self, period: _Period) -> tuple[float | None, float | None]:
        """Return the level error of an event's whole bins, and how many intervals hold it."""
        truth, width = period.about.level, self._sheet.width
        row = self._rows[str(period.about.entity)]
        inside = slice(-(-period.start // width), period.end // width)
        level = self._levels.level[row, inside]
        known = np.isfinite(level)
        if truth is None or not known.any():
            return None, None
        assert self._levels.low is not None
        assert self._levels.high is not None
        low, high = self._levels.low[row, inside][known], self._levels.high[row, inside][known]
        held = (low - _SLACK <= truth) & (truth <= high + _SLACK)
        return abs(float(level[known].mean()) - truth), float(held.mean())

    def _figures(
        self, events: Sequence[EntityScore], calls: Sequence[EntityScore]
    ) -> dict[str, float | None]:
        """Return the numbers of a tier."""
        found = [event for event in events if event.verdict == "found"]
        false = sum(call.verdict == "false" for call in calls)
        precision = len(found) / (len(found) + false) if found or false else None
        recall = len(found) / len(events) if events else None
        both = (precision or 0) + (recall or 0)
        f1 = 2 * (precision or 0) * (recall or 0) / both if both else None
        figures: dict[str, float | None] = {
            "precision": precision, "recall": recall, "f1": f1,
            "events": len(events), "found": len(found), "missed": len(events) - len(found),
            "false": false,
            "excused": sum(call.verdict == "excused" for call in calls),
            "fragments": sum(call.verdict == "fragment" for call in calls),
            "not_judged": len(self._not_judged),
            "entity_weeks": self._weeks,
            "false_per_entity_week": false / self._weeks if self._weeks else None,
        }  # fmt: skip
        for name in ("delay", "onset_error", "end_error"):
            values = [getattr(event, name) for event in found]
            figures |= _quantiles(f"{name}_minutes", [v for v in values if v is not None])
        errors = [event.level_error for event in found if event.level_error is not None]
        held = [event.held for event in found if event.held is not None]
        figures["level_error"] = float(np.mean(errors)) if errors else None
        figures["interval_coverage"] = float(np.mean(held)) if held else None
        return figures


def _quantiles(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """Return the median and the 90 % quantile of what was measured."""
    return {
        f"{name}_{label}": float(np.quantile(values, share)) if values else None
        for label, share in (("p50", 0.5), ("p90", 0.9))
    }
