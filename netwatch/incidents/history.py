"""What is noted of an open incident bin by bin, so that its record can tell how it went.

The state is small whatever the length: levels are thinned to some hundreds, networks counted.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from netwatch.incidents.changepoints import loss_order, segment_levels
from netwatch.incidents.excursion import Excursion
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident_details import (
    NetworkLoss,
    Segment,
    SurvivingNetwork,
    SurvivingNetworks,
)
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import CONNECTIVITY
from netwatch.model.thresholds import LOST, RETURNED

_ANY = SeriesKey(CONNECTIVITY, Entity(EntityKind.COUNTRY, "XX"))
_MOST_POINTS = 512
_UP_BINS = 0.9
"""One bin in ten may be anything: single low bins are common in any network."""
_LEAST_MEASURED = 0.5
_LEAST_CUT_BINS = 2
_LEAST_NETWORKS = 2
_MOST_NAMED = 100


class _Point(msgspec.Struct):
    """The mean of some bins of the scope."""

    time: datetime
    value: float
    low: float
    high: float
    bins: int = 1

    def take(self, other: "_Point") -> None:
        """Become the mean of both."""
        whole = self.bins + other.bins
        for name in ("value", "low", "high"):
            mean = (getattr(self, name) * self.bins + getattr(other, name) * other.bins) / whole
            setattr(self, name, mean)
        self.bins = whole


class _Count(msgspec.Struct):
    """What one network did while its scope was cut: bins with data, of these up, sums."""

    measured: int = 0
    up: int = 0
    level: float = 0.0
    low: float = 0.0
    high: float = 0.0


class IncidentHistory(msgspec.Struct):
    """The notes of one incident.

    Attributes:
        points: the scope's level, in means of `step` bins.
        step: bins a point.
        cut: bins in which the scope was below half of ordinary.
        counts: what each network did in those.
        fell: when each network that was lost was lost first.
    """

    points: list[_Point] = []
    step: int = 1
    cut: int = 0
    counts: dict[str, _Count] = {}
    fell: dict[str, datetime] = {}

    def see(self, level: Level, networks: Mapping[Entity, Excursion]) -> None:
        """Take in one bin: the scope's level, and the excursions of its networks."""
        if level.value is None:
            return
        self._keep(level, level.value)
        for entity, watch in networks.items():
            if watch.lost_from is not None:
                self.fell.setdefault(str(entity), watch.lost_from)
        if level.value >= LOST:
            return
        self.cut += 1
        for entity, watch in networks.items():
            own = watch.level
            if own.time == level.time and own.value is not None:
                self._count(str(entity), own, own.value)

    def recall(
        self, recent: Iterable[tuple[datetime, float]], *, since: datetime, until: datetime
    ) -> None:
        """Take in levels of the scope from before the incident was opened, oldest first."""
        self.points.extend(
            _Point(time, value, value, value) for time, value in recent if since <= time < until
        )

    def segments(self, width: timedelta) -> tuple[Segment, ...]:
        """Return the incident as a staircase; see `segment_levels`."""
        found = [Level(one.time, _ANY, one.value, one.low, one.high) for one in self.points]
        return segment_levels(found, self.step * width)

    def falls(self, weights: Mapping[Entity, float]) -> tuple[NetworkLoss, ...]:
        """Return the networks in the order in which they fell, the first hundred."""
        losses = {
            entity: (self.fell[str(entity)], weight)
            for entity, weight in weights.items()
            if str(entity) in self.fell
        }
        total = sum(weights.values())
        return tuple(loss_order(losses, total)[:_MOST_NAMED]) if losses else ()

    def access(self, weights: Mapping[Entity, float]) -> SurvivingNetworks | None:
        """Return who kept access while the scope was below half; None where it hardly was.

        The rule is that of `who_kept_access`, with means for medians.
        """
        total = sum(weights.values())
        if self.cut < _LEAST_CUT_BINS or len(weights) < _LEAST_NETWORKS or total <= 0:
            return None
        kept, unknown = [], 0.0
        for entity, weight in weights.items():
            count = self.counts.get(str(entity), _Count())
            if count.measured < _LEAST_MEASURED * self.cut:
                unknown += weight / total
            elif count.up >= _UP_BINS * count.measured:
                means = (one / count.measured for one in (count.level, count.low, count.high))
                kept.append(SurvivingNetwork(entity, weight / total, *means))
        kept.sort(key=lambda one: (-one.share, one.entity))
        share = sum(one.share for one in kept)
        return SurvivingNetworks(
            tuple(kept[:_MOST_NAMED]), share, max(0.0, 1 - share - unknown), unknown
        )

    def _keep(self, level: Level, value: float) -> None:
        """Keep the scope's level, in fewer and longer means where there are too many."""
        low = value if level.low is None else level.low
        high = value if level.high is None else level.high
        point = _Point(level.time, value, low, high)
        if self.points and self.points[-1].bins < self.step:
            self.points[-1].take(point)
        else:
            self.points.append(point)
        if len(self.points) > _MOST_POINTS:
            self.step *= 2
            for first, second in zip(self.points[::2], self.points[1::2], strict=False):
                first.take(second)
            self.points = self.points[::2]

    def _count(self, name: str, level: Level, value: float) -> None:
        """Count one bin of a network."""
        count = self.counts.setdefault(name, _Count())
        count.measured += 1
        count.up += value >= RETURNED
        count.level += value
        count.low += value if level.low is None else level.low
        count.high += value if level.high is None else level.high
