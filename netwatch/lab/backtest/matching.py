"""Matches detections with true events: one-to-one, by largest overlap.

A detection matches an event if it starts between `start - tolerance` and the event's end; an
earlier one is not a detection of it. Detections less than 30 minutes apart are one. Further
detections within a matched event are fragments, neither right nor wrong.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from netwatch.lab.backtest.detections import Detection

MERGE_MINUTES = 30
"""Detections of one entity with a smaller gap are one: a flapping level is one loss."""


@dataclass(frozen=True, slots=True)
class Span:
    """A period of one entity in minutes: the first one, and the one after the last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Prediction(Span):
    """A detection in minutes; `end` is the end of the grid while it lasts."""

    reported: int

    def delay(self, event: Span) -> int:
        """Return the minutes from the start of an event to the report."""
        return max(0, self.reported - event.start)

    def onset_error(self, event: Span) -> int:
        """Return the distance of the starts in minutes."""
        return abs(self.start - event.start)

    def end_error(self, event: Span) -> int:
        """Return the distance of the ends in minutes."""
        return abs(self.end - event.end)


@dataclass(frozen=True, slots=True)
class MatchResult:
    """The prediction of each truth or None, false predictions, and fragments of matched events."""

    matches: tuple[Prediction | None, ...]
    false: tuple[Prediction, ...]
    fragments: tuple[Prediction, ...]


def predictions_of(
    detections: Iterable[Detection], start: datetime, *, end: int, confidence: str
) -> dict[str, list[Prediction]]:
    """Return the predictions of every entity that are `confirmed`, or at least `provisional`.

    Minutes count from `start`; a detection without an end lasts until minute `end`.
    """
    found: dict[str, list[Prediction]] = defaultdict(list)
    for detection in detections:
        reported = detection.confirmed_at if confidence == "confirmed" else detection.provisional_at
        if reported is not None:
            until = detection.ended_at
            found[detection.entity].append(
                Prediction(
                    _minute(detection.started_at, start),
                    end if until is None else _minute(until, start),
                    _minute(reported, start),
                )
            )
    return {entity: _merged(predictions) for entity, predictions in found.items()}


def _minute(time: datetime, start: datetime) -> int:
    return int((time - start) // timedelta(minutes=1))


def _merged(predictions: list[Prediction]) -> list[Prediction]:
    merged: list[Prediction] = []
    for prediction in sorted(predictions, key=lambda one: one.start):
        if merged and prediction.start - merged[-1].end <= MERGE_MINUTES:
            before = merged[-1]
            merged[-1] = replace(
                before,
                end=max(before.end, prediction.end),
                reported=min(before.reported, prediction.reported),
            )
        else:
            merged.append(prediction)
    return merged


def match_entity(
    truths: Sequence[Span], predictions: Sequence[Prediction], *, tolerance: int
) -> MatchResult:
    """Match the events (not faults) of one entity with its predictions; all in minutes."""
    candidates = [
        (min(truth.end, prediction.end) - max(truth.start, prediction.start), i, j)
        for i, truth in enumerate(truths)
        for j, prediction in enumerate(predictions)
        if truth.start - tolerance <= prediction.start < truth.end
    ]
    matches: list[Prediction | None] = [None] * len(truths)
    taken: set[int] = set()
    for _, i, j in sorted(candidates, reverse=True):
        if matches[i] is None and j not in taken:
            matches[i] = predictions[j]
            taken.add(j)
    false: list[Prediction] = []
    fragments: list[Prediction] = []
    for j, prediction in enumerate(predictions):
        if j in taken:
            continue
        inside = any(
            truth.start - tolerance <= prediction.start < truth.end + tolerance for truth in truths
        )
        (fragments if inside else false).append(prediction)
    return MatchResult(tuple(matches), tuple(false), tuple(fragments))
