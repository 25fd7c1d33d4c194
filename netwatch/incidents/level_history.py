"""History of an open incident: levels over time, and which networks were lost or stayed up.

Its size is bounded whatever the length: levels are averaged to some hundreds of points.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from netwatch.incidents.changepoints import segment_levels
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

_ANY_SERIES = SeriesKey(CONNECTIVITY, Entity(EntityKind.COUNTRY, "XX"))
_MAX_POINTS = 512
"""Points kept of one incident; more are averaged in pairs."""
_MIN_UP_SHARE = 0.9
"""Share of bins in which a surviving network is up: single low bins are common in the field."""
_MIN_MEASURED_SHARE = 0.5
"""Share of bins with data below which nothing is known of a network."""
_MIN_CUT_BINS = 2
"""Bins below half of ordinary before survivors are named."""
_MIN_NETWORKS = 2
"""Networks of a scope before survivors are named: one is the scope itself."""
_MAX_NAMED = 100
"""Networks named in a record."""


class _Sums(msgspec.Struct):
    """Levels of some bins, summed.

    Attributes:
        time: the first of them.
        value, low, high: sums of the levels and of their intervals.
        bins: how many they are; up: how many are at 70 % of ordinary or above.
    """

    time: datetime
    value: float
    low: float
    high: float
    bins: int = 1
    up: int = 0

    def add(self, other: "_Sums") -> None:
        self.value += other.value
        self.low += other.low
        self.high += other.high
        self.bins += other.bins
        self.up += other.up

    def means(self) -> tuple[float, float, float]:
        return self.value / self.bins, self.low / self.bins, self.high / self.bins


class IncidentHistory(msgspec.Struct):
    """Levels of an incident's scope and its networks.

    Attributes:
        points: the scope's level, `step` bins each.
        step: bins per point.
        cut_bins: bins in which the scope was below half of ordinary.
        networks: each network's sums over those.
        lost_at: first onset of every network that was lost.
    """

    points: list[_Sums] = []
    step: int = 1
    cut_bins: int = 0
    networks: dict[str, _Sums] = {}
    lost_at: dict[str, datetime] = {}

    def observe(self, level: Level, networks: Mapping[Entity, Excursion]) -> None:
        """Add one bin: the scope's level, and the excursions of its networks."""
        if level.value is None or level.interval is None:
            return
        self._add_point(_sums(level.time, *level.interval))
        for entity, excursion in networks.items():
            if excursion.lost.since is not None:
                self.lost_at.setdefault(str(entity), excursion.lost.since)
        if level.value >= LOST:
            return
        self.cut_bins += 1
        for entity, excursion in networks.items():
            own = excursion.level
            if own.time == level.time and own.interval is not None:
                sums, known = _sums(own.time, *own.interval), self.networks.get(str(entity))
                if known is None:
                    self.networks[str(entity)] = sums
                else:
                    known.add(sums)

    def backfill(
        self, recent: Iterable[tuple[datetime, float]], *, since: datetime, until: datetime
    ) -> None:
        """Add levels of the scope from before the incident opened, oldest first."""
        self.points.extend(
            _Sums(time, value, value, value) for time, value in recent if since <= time < until
        )

    def segments(self, width: timedelta) -> tuple[Segment, ...]:
        """Return the levels over time; see `segment_levels`."""
        levels = [Level(one.time, _ANY_SERIES, *one.means()) for one in self.points]
        return segment_levels(levels, self.step * width)

    def losses(self, weights: Mapping[Entity, float]) -> tuple[NetworkLoss, ...]:
        """Return the lost networks in the order of their onsets."""
        lost = {
            entity: (self.lost_at[str(entity)], weight)
            for entity, weight in weights.items()
            if str(entity) in self.lost_at
        }
        return tuple(loss_order(lost, sum(weights.values()))[:_MAX_NAMED]) if lost else ()

    def survivors(self, weights: Mapping[Entity, float]) -> SurvivingNetworks | None:
        """Return the networks that stayed up while the scope was below half, None without a cut.

        A network stayed up if 90 % or more of its measured bins are at 70 % of ordinary or
        above, and half of the bins or more are measured.
        """
        total = sum(weights.values())
        if self.cut_bins < _MIN_CUT_BINS or len(weights) < _MIN_NETWORKS or total <= 0:
            return None
        kept, unknown = [], 0.0
        for entity, weight in weights.items():
            sums = self.networks.get(str(entity))
            if sums is None or sums.bins < _MIN_MEASURED_SHARE * self.cut_bins:
                unknown += weight / total
            elif sums.up >= _MIN_UP_SHARE * sums.bins:
                kept.append(SurvivingNetwork(entity, weight / total, *sums.means()))
        kept.sort(key=lambda one: (-one.share, one.entity))
        share = sum(one.share for one in kept)
        return SurvivingNetworks(
            tuple(kept[:_MAX_NAMED]), share, max(0.0, 1 - share - unknown), unknown
        )

    def _add_point(self, point: _Sums) -> None:
        if self.points and self.points[-1].bins < self.step:
            self.points[-1].add(point)
        else:
            self.points.append(point)
        if len(self.points) > _MAX_POINTS:
            self.step *= 2
            for first, second in zip(self.points[::2], self.points[1::2], strict=False):
                first.add(second)
            self.points = self.points[::2]


def loss_order(losses: Mapping[Entity, tuple[datetime, float]], total: float) -> list[NetworkLoss]:
    """Return the lost networks in the order of their onsets, then of their names.

    `losses` are onset and weight of each; `total` is the weight of all measured networks.

    Raises:
        ValueError: `total` is not positive, or less than the weight lost.
    """
    lost = sum(weight for _, weight in losses.values())
    if total <= 0 or lost > total * (1 + 1e-9):
        raise ValueError(f"total weight {total} with {lost} lost")
    ordered, cumulative = [], 0.0
    for entity, (at, weight) in sorted(losses.items(), key=lambda one: (one[1][0], one[0])):
        cumulative += weight
        ordered.append(NetworkLoss(entity, at, weight / total, min(1.0, cumulative / total)))
    return ordered


def _sums(time: datetime, value: float, low: float, high: float) -> _Sums:
    return _Sums(time, value, low, high, up=int(value >= RETURNED))
