"""When it may be said that connectivity fell "after N hours of progressive disconnections"."""

from collections.abc import Sequence
from datetime import datetime, timedelta

_FIRST_SHARE = 0.1
_LEAST_SPREAD = timedelta(hours=3)
_NEWEST_LOSS = timedelta(hours=3)
_LEAST_NETWORKS = 3


def progressive_hours(losses: Sequence[tuple[datetime, float]], at: datetime) -> int | None:
    """Return N of "after N hours of progressive disconnections" at `at`, None if not to be said.

    Args:
        losses: for each network that is lost at `at`, the onset of its present unbroken
            loss below 50 % of ordinary, and its weight; in any order.
        at: the time quoted. Onsets after it are left out: nothing is known of the future.

    Let t10 be the time by which 10 % of the weight lost so far had been lost, and t_last the
    newest onset. It may be said where t_last - t10 is 3 hours or more, 3 networks or more
    are lost, and t_last is at most 3 hours ago. N is whole hours from t10 to `at`.
    """
    known = sorted((onset, weight) for onset, weight in losses if onset <= at and weight > 0)
    if len(known) < _LEAST_NETWORKS:
        return None
    first, newest = time_of_share(known, _FIRST_SHARE), known[-1][0]
    if newest - first < _LEAST_SPREAD or at - newest > _NEWEST_LOSS:
        return None
    return (at - first) // timedelta(hours=1)


def time_of_share(losses: Sequence[tuple[datetime, float]], share: float) -> datetime:
    """Return the onset at which `share` of the weight of sorted `losses` is reached."""
    wanted = share * sum(weight for _, weight in losses)
    lost = 0.0
    for onset, weight in losses:
        lost += weight
        # Weights are added in another order than they were summed in.
        if lost >= wanted * (1 - 1e-12):
            return onset
    return losses[-1][0]
