"""Reachability: share of the measurements of an entity that succeeded."""

from netwatch.model.series import UNDECIDED_TRIALS, Bin, SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.model.voices import OWN_VOICES, SURE_VOICES, VOICES
from netwatch.signals.closed_bin import ClosedBin


def reachability_bins(interval: ClosedBin) -> list[Bin]:
    """Return the reachability series of one interval, in order.

    A measurement counts for every entity of its target. The share of an undecided place is stored
    as the outcome of next to no trial. Where few independent vantages measure a place, their number
    is a series of its own.
    """
    bins, voices_signal = [], OWN_VOICES if interval.counts.one_owner else VOICES
    for counts in interval.places:
        for place, successes, trials, undecided, voices in zip(
            counts.places,
            counts.successes.tolist(),
            counts.trials.tolist(),
            counts.undecided.tolist(),
            counts.voices.tolist(),
            strict=True,
        ):
            if trials > 0:
                scale = UNDECIDED_TRIALS / trials if undecided else 1.0
                series = SeriesKey(REACHABILITY, place)
                bins.append(Bin(interval.time, series, successes * scale, trials * scale))
                if voices < SURE_VOICES:
                    series = SeriesKey(voices_signal, place)
                    bins.append(Bin(interval.time, series, float(voices)))
    return sorted(bins, key=lambda one: one.series)
