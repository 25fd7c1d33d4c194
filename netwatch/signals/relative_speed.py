"""Relative speed of a domain as seen from a place; a detector learns its ordinary value.

The signal names the place: `speed:IR`, `speed:AS44244`; the entity is the domain. The value is
the median over vantages, by trust with capped shares, of

    slowness of the vantage's controls / slowness of the domain from there

so that a slow uplink cancels out; at 0.5 the domain came at half its ordinary rate. Slowness is
seconds per byte of a transfer, else the seconds of the last successful step. Without controls
in the target list, the numerator is 1.
"""

from collections.abc import Mapping, Sequence
from itertools import compress
from statistics import median

import numpy as np

from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import SPEED
from netwatch.signals.attribution.capped_shares import capped
from netwatch.signals.attribution.contingency import CONTROL_GROUP
from netwatch.signals.attribution.likelihoods import middle_median
from netwatch.signals.closed_bin import ClosedBin, domain_series

_STEPS = frozenset({"connect", "tls_handshake", "http_round_trip", "dns_round_trip", "echo"})
"""Steps whose duration is a few round trips rather than the server's work alone."""


def slowness(measurement: Measurement) -> float | None:
    """Return how slow a measurement was, None if it failed or has no timed step."""
    if measurement.failure is not None:
        return None
    for step in reversed(measurement.observations):
        if step.operation == "transfer" and step.detail.isdecimal():
            size = int(step.detail)
            return step.seconds / size if size and step.seconds > 0 else None
        if step.operation in _STEPS:
            return step.seconds if step.seconds > 0 else None
    return None


def speed_bins(interval: ClosedBin) -> list[Bin]:
    """Return the speed series of one interval, from the trusted vantages."""
    samples: dict[tuple[Vantage, str], list[float]] = {}
    trusted = set(compress(interval.counts.vantages, interval.trusted.tolist()))
    for vantage, measurement in interval.rows:
        slow = slowness(measurement) if vantage in trusted else None
        if slow is not None:
            samples.setdefault((vantage, measurement.target), []).append(slow)
    medians = {pair: median(values) for pair, values in samples.items()}
    reference = _control_slowness(medians, interval.targets)
    speeds: list[tuple[SeriesKey, Vantage, float]] = []
    for (vantage, name), value in medians.items():
        target = interval.targets[name]
        if vantage in reference and target.domain and target.group != CONTROL_GROUP:
            for seen_from in vantage.entities():
                series = domain_series(SPEED, seen_from, target.domain)
                speeds.append((series, vantage, reference[vantage] / value))
    return _medians(interval, speeds)


def _medians(interval: ClosedBin, speeds: Sequence[tuple[SeriesKey, Vantage, float]]) -> list[Bin]:
    keys = sorted({series for series, _, _ in speeds})
    number = {series: index for index, series in enumerate(keys)}
    row = {vantage: index for index, vantage in enumerate(interval.counts.vantages)}
    series = np.array([number[key] for key, _, _ in speeds], np.intp)
    vantages = np.array([row[vantage] for _, vantage, _ in speeds], np.intp)
    values = np.array([value for _, _, value in speeds])
    table = interval.counts.responded
    weights = capped(table.prior_trust[vantages], series, vantages, table.holders)
    middle = middle_median(values, weights, series, len(keys)).tolist()
    return [Bin(interval.time, key, value) for key, value in zip(keys, middle, strict=True)]


def _control_slowness(
    medians: Mapping[tuple[Vantage, str], float], targets: Mapping[str, Target]
) -> dict[Vantage, float]:
    """Return the median over each vantage's controls; 1 without controls in the target list."""
    if not any(target.group == CONTROL_GROUP for target in targets.values()):
        return dict.fromkeys((vantage for vantage, _ in medians), 1.0)
    by_vantage: dict[Vantage, list[float]] = {}
    for (vantage, name), value in medians.items():
        if targets[name].group == CONTROL_GROUP:
            by_vantage.setdefault(vantage, []).append(value)
    return {vantage: median(values) for vantage, values in by_vantage.items()}
