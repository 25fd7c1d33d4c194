"""Amendments: levels of closed bins that late measurements would move beyond their interval."""

from collections.abc import Iterable
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
class AmendedHour:
    """The amendments of one series and state in one hour: means, and the most of each count."""

    series: SeriesKey
    hour: datetime
    bins: int
    then: float
    now: float
    late_share: float
    owners: int
    networks: int
    state: AmendmentState


def by_hour(amendments: Iterable[Amendment]) -> list[AmendedHour]:
    """Return amendments by hour, then series."""

    def group(one: Amendment) -> tuple[datetime, SeriesKey, AmendmentState]:
        return floor_time(one.time, _HOUR), one.series, one.state

    hours = []
    for (hour, series, state), members in groupby(sorted(amendments, key=group), group):
        bins = list(members)
        then, now, late = (
            sum(getattr(one, name) for one in bins) / len(bins)
            for name in ("then", "now", "late_share")
        )
        owners, networks = max(one.owners for one in bins), max(one.networks for one in bins)
        hours.append(AmendedHour(series, hour, len(bins), then, now, late, owners, networks, state))
    return hours
