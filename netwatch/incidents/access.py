"""Who kept access: the networks that stayed up while their country was cut off."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

from netwatch.model.entities import Entity
from netwatch.model.incident_details import SurvivingNetwork, SurvivingNetworks
from netwatch.model.series import Level

_UP = 0.7
_UP_BINS = 0.9
"""One bin in ten may be anything: single low bins are common in any network."""
_LEAST_MEASURED = 0.5


def who_kept_access(
    levels: Mapping[Entity, Sequence[Level]],
    weights: Mapping[Entity, float],
    *,
    start: datetime,
    end: datetime,
    width: timedelta,
) -> SurvivingNetworks:
    """Return the networks that stayed up from `start` to `end`.

    Args:
        levels: the levels of each network in bins of `width`; other times are left out.
        weights: the weight of every network of the scope, as `EntityTree.leaf_weights` gives it.
        start: onset of the cut.
        end: its end; of one that goes on, the end of its newest bin.
        width: bin width.

    A network stayed up where 90 % or more of its measured bins are at 70 % of ordinary or
    above, and half of the bins or more are measured.

    Raises:
        ValueError: `end` is not after `start`, or no network has a weight.
    """
    total = sum(weights.values())
    if end <= start or total <= 0:
        raise ValueError("want an end after the start and networks with a weight")
    expected = max(1, round((end - start) / width))
    kept: list[SurvivingNetwork] = []
    unknown = 0.0
    for entity, weight in weights.items():
        during = [one for one in levels.get(entity, ()) if start <= one.time < end]
        values = [one.value for one in during if one.value is not None]
        if len(values) < _LEAST_MEASURED * expected:
            unknown += weight
        elif sum(value >= _UP for value in values) >= _UP_BINS * len(values):
            kept.append(_kept(entity, weight / total, during))
    kept.sort(key=lambda one: (-one.share, one.entity))
    kept_share, unknown_share = sum(one.share for one in kept), unknown / total
    return SurvivingNetworks(
        tuple(kept), kept_share, max(0.0, 1 - kept_share - unknown_share), unknown_share
    )


def _kept(entity: Entity, share: float, during: Sequence[Level]) -> SurvivingNetwork:
    """Return the entry of a network that stayed up."""
    level = median(one.value for one in during if one.value is not None)
    lows = [one.low for one in during if one.low is not None]
    highs = [one.high for one in during if one.high is not None]
    return SurvivingNetwork(entity, share, level, median(lows or [level]), median(highs or [level]))
