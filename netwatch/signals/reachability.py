"""Reachability: share of the measurements of an entity that succeeded."""

from netwatch.model.series import UNDECIDED_TRIALS, Bin, SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.signals.closed_bin import ClosedBin


def reachability_bins(interval: ClosedBin) -> list[Bin]:
    """Return the reachability series of one interval, in order.

    A measurement counts for every entity of its target. The share of an undecided place is stored
    as the outcome of next to no trial.
    """
    bins = []
    for counts in interval.places:
        for place, successes, trials, undecided in zip(
            counts.places,
            counts.successes.tolist(),
            counts.trials.tolist(),
            counts.undecided.tolist(),
            strict=True,
        ):
            if trials > 0:
                scale = UNDECIDED_TRIALS / trials if undecided else 1.0
                series = SeriesKey(REACHABILITY, place)
                bins.append(Bin(interval.time, series, successes * scale, trials * scale))
    return sorted(bins, key=lambda one: one.series)
