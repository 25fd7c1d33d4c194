"""Likelihood ratio of a loss's timing under directed shutdowns and other outages.

It is not a statement of cause.

The probabilities are those of 1,690 labelled outages of 2018 to 2021 (Bischof et al.,
"Destination Unreachable", SIGCOMM 2023; data set InetIntel/internet_outages), in which
"government-ordered" and "exam" count as directed. Each country weighs 1 / sqrt(its events),
because 137 of the 158 dated shutdowns are from Myanmar, Syria and Iraq:

    evidence                                     P(. | directed)  P(. | other)
    recurs after 1 to 4 days, to 20 minutes            .43            .01
    starts within 5 minutes of the hour                .65            .26
    starts between 00 and 06 local                     .54            .36
    all three IODA signals show it                     .91            .58
    lasted a multiple of 30 minutes, to 5              .76            .44
    lasted 2 to 10 hours                               .56            .44

A start at the half hour is equally likely in both (.19) and is not used. On the labelled set
the ratio separates the two with an AUC of .92, but of only .72 with equal weights of countries:
the labels are of few countries.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from netwatch.model.incident_details import FeatureEvidence, ShutdownLikelihood, TimingFeature

_MIN_LOG_RATIO = 4.0
"""Log ratio above which the resemblance is mentioned: precision .94, recall .62 on the labels."""
_ROUND = timedelta(minutes=5)
"""Distance from a round time or length up to which it counts as round."""
_DAY = timedelta(days=1)
_RECURS_DAYS = (1, 2, 3, 4)
_RECURS_OFF = timedelta(minutes=20)
_NIGHT_HOURS = range(6)
_LENGTHS = (timedelta(hours=2), timedelta(hours=10))
_HALF_HOUR = timedelta(minutes=30)
"""Bounds of the features in the table above."""

_PROBABILITIES: dict[TimingFeature, tuple[float, float]] = {
    TimingFeature.RECURS: (0.43, 0.0112),
    TimingFeature.ON_THE_HOUR: (0.65, 0.26),
    TimingFeature.NIGHT: (0.54, 0.36),
    TimingFeature.ALL_SIGNALS: (0.91, 0.58),
    TimingFeature.ROUND_LENGTH: (0.76, 0.44),
    TimingFeature.USUAL_LENGTH: (0.56, 0.44),
}
"""P(feature | directed), P(feature | other); .0112 has four digits because the ratio is 38.5."""


def shutdown_likelihood(
    local_start: datetime,
    *,
    width: timedelta,
    earlier: Sequence[datetime] = (),
    ended_at: datetime | None = None,
    all_signals: bool | None = None,
) -> ShutdownLikelihood:
    """Return the log likelihood ratio of a loss's timing: directed shutdowns over other outages.

    Naive Bayes: the features' log ratios are added as if they were independent, which they are
    only roughly. There is no prior: it differs too much between places and times.

    Args:
        local_start: the onset of the loss, in the entity's time zone.
        width: resolution of onset and end, usually the bin width. Above 10 minutes, features of
            five minutes are left out.
        earlier: onsets of earlier losses of the same entity.
        ended_at: its end, None while it lasts; features of its length are then left out.
        all_signals: whether every signal with data shows it, None with fewer than three.
    """
    # Differences within one time zone would be of clock times.
    started_at = local_start.astimezone(UTC)
    present = {
        TimingFeature.RECURS: _recurs(started_at, earlier),
        TimingFeature.NIGHT: local_start.hour in _NIGHT_HOURS,
    }
    is_fine = width <= 2 * _ROUND
    if is_fine:
        past_hour = timedelta(minutes=local_start.minute, seconds=local_start.second)
        present[TimingFeature.ON_THE_HOUR] = _is_round(past_hour, timedelta(hours=1))
    if all_signals is not None:
        present[TimingFeature.ALL_SIGNALS] = all_signals
    if ended_at is not None:
        length, (low, high) = ended_at - started_at, _LENGTHS
        present[TimingFeature.USUAL_LENGTH] = low <= length <= high
        if is_fine:
            present[TimingFeature.ROUND_LENGTH] = _is_round(length, _HALF_HOUR)
    evidence = tuple(
        FeatureEvidence(one, present[one], _log_ratio(one, present=present[one]))
        for one in TimingFeature
        if one in present
    )
    total = math.fsum(one.log_ratio for one in evidence)
    return ShutdownLikelihood(total, evidence, resembles_shutdown=total > _MIN_LOG_RATIO)


def _recurs(started_at: datetime, earlier: Sequence[datetime]) -> bool:
    """Return whether an earlier loss began 1 to 4 whole days before, to 20 minutes."""
    due = [started_at - days * _DAY for days in _RECURS_DAYS]
    return any(abs(time - one) <= _RECURS_OFF for time in earlier for one in due)


def _is_round(length: timedelta, unit: timedelta) -> bool:
    rest = length % unit
    return min(rest, unit - rest) <= _ROUND


def _log_ratio(feature: TimingFeature, *, present: bool) -> float:
    directed, other = _PROBABILITIES[feature]
    return math.log(directed / other) if present else math.log((1 - directed) / (1 - other))
