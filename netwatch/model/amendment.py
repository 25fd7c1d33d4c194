"""Amendments: levels of closed bins that late measurements would move beyond their interval."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

from netwatch.model.series import SeriesKey
from netwatch.model.time import floor_time

_HOUR = timedelta(hours=1)


class AmendmentState(StrEnum):
    """`pending` waits for a person; `accepted` is being written, and `applied` is written."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    APPLIED = "applied"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Amendment:
    """What late measurements say about one closed bin, against what was known then.

    Attributes:
        time: start of the bin.
        then: its level as it was judged, 1.0 is ordinary.
        now: the level that all measurements give that have arrived by now.
        late_share: share of the measurements that arrived late, 0 to 1.
        owners, networks: of how many the agents are that sent them.
    """

    series: SeriesKey
    time: datetime
    then: float
    now: float
    late_share: float
    owners: int
    networks: int
    state: AmendmentState = AmendmentState.PENDING


@dataclass(frozen=True, slots=True)
class AmendedSpan:
    """The amendments of one series and state in hours without a gap: means, and the most of each.

    Attributes:
        start, end: of the hours, in full.
        bins: number of amendments.
    """

    series: SeriesKey
    start: datetime
    end: datetime
    bins: int
    then: float
    now: float
    late_share: float
    owners: int
    networks: int
    state: AmendmentState


def by_hour(amendments: Iterable[Amendment]) -> list[AmendedSpan]:
    """Return amendments as spans of an hour, by start, then series."""

    def group(one: AmendedSpan) -> tuple[datetime, SeriesKey, AmendmentState]:
        return one.start, one.series, one.state

    spans = sorted(map(_span_of_one, amendments), key=group)
    return [_merge(list(members)) for _, members in groupby(spans, group)]


def by_span(hours: Iterable[AmendedSpan]) -> list[AmendedSpan]:
    """Return spans that follow on each other as one: a cut of days is one for each series."""
    runs: list[list[AmendedSpan]] = []
    for one in sorted(hours, key=lambda one: (one.series, one.state, one.start)):
        last = runs[-1][-1] if runs else None
        begins = (one.series, one.state, one.start)
        if last is not None and begins == (last.series, last.state, last.end):
            runs[-1].append(one)
        else:
            runs.append([one])
    return sorted(map(_merge, runs), key=lambda one: (one.start, one.series, one.state))


def _span_of_one(one: Amendment) -> AmendedSpan:
    start = floor_time(one.time, _HOUR)
    seen = one.then, one.now, one.late_share, one.owners, one.networks
    return AmendedSpan(one.series, start, start + _HOUR, 1, *seen, one.state)


def _merge(run: Sequence[AmendedSpan]) -> AmendedSpan:
    bins = sum(one.bins for one in run)
    then, now, late = (
        sum(one.bins * getattr(one, name) for one in run) / bins
        for name in ("then", "now", "late_share")
    )
    owners, networks = max(one.owners for one in run), max(one.networks for one in run)
    series, start, end, state = run[0].series, run[0].start, run[-1].end, run[0].state
    return AmendedSpan(series, start, end, bins, then, now, late, owners, networks, state)
