"""Turns the measurements of an interval into bins, once failures are attributed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pkgutil import resolve_name

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, number_keys
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin
from netwatch.model.signals import SIGNALS
from netwatch.model.time import floor_time
from netwatch.model.vantage_trust import OWN_VANTAGE, Weights
from netwatch.signals.attribution.contingency import (
    CONTROL_GROUP,
    TargetCounts,
    VantageTargetTable,
)
from netwatch.signals.attribution.countable import countable_cells, trust_vantages
from netwatch.signals.attribution.model import Attribution, attribute
from netwatch.signals.closed_bin import ClosedBin
from netwatch.signals.operator_alerts import OperatorAlerts

Row = tuple[Vantage, Measurement]
"""A measurement and the vantage it is from."""


def build_bins(
    rows: Iterable[Row],
    targets: Mapping[str, Target],
    *,
    width: timedelta,
    weights: Weights | None = None,
    alerts: OperatorAlerts | None = None,
) -> list[Bin]:
    """Return every series of `rows` in bins of `width`, by time, then series.

    Each bin depends on its rows alone, so counting it again gives the same result. Local
    failures and targets that are not in `targets` do not count. Measurements of a broken vantage
    count neither as successes nor as trials; see `netwatch.signals.attribution.countable`.
    `alerts` receives the faults found, if given.
    """
    weights = weights or {}
    by_time: dict[datetime, list[Row]] = {}
    for vantage, measurement in rows:
        # A local scope includes a captive portal, which answers for every target.
        usable = measurement.scope != FailureScope.LOCAL and measurement.target in targets
        if usable and weights.get((vantage.id, vantage.country), OWN_VANTAGE).weight > 0:
            time = floor_time(measurement.time, width)
            by_time.setdefault(time, []).append((vantage, measurement))
    bins: list[Bin] = []
    for time in sorted(by_time):
        counts = _build_table(by_time[time], targets, weights=weights)
        attribution = attribute(counts.responded)
        if alerts is not None:
            alerts.report(time, counts, attribution)
        pairs = _countable_pairs(counts, attribution)
        trusted = np.flatnonzero(trust_vantages(counts.responded, attribution))
        interval = ClosedBin(
            time=time,
            width=width,
            rows=by_time[time],
            countable=[row for vantage, row in by_time[time] if (vantage, row.target) in pairs],
            targets=targets,
            counts=counts,
            trusted={counts.vantages[row] for row in trusted.tolist()},
        )
        for produce in _producers():
            bins += produce(interval)
    return bins


@cache
def _producers() -> list[Callable[[ClosedBin], list[Bin]]]:
    names = [spec.producer for _, spec in sorted(SIGNALS.items()) if spec.producer]
    return [resolve_name(name) for name in names]


def _build_table(
    rows: Iterable[Row], targets: Mapping[str, Target], *, weights: Weights
) -> TargetCounts:
    """Return the tables of one bin's `rows`.

    Vantages with unknown ASN in one country count as one network. Only the ratios of `weights`
    matter: if all vantages are new, all are fully trusted.
    """
    counts: dict[tuple[Vantage, str], list[int]] = {}
    for vantage, measurement in rows:
        count = counts.setdefault((vantage, measurement.target), [0, 0, 0])
        count[0] += 1
        count[1] += measurement.host_responded
        count[2] += measurement.failure is None
    vantages = sorted(
        {vantage for vantage, _ in counts}, key=lambda one: (one.id, one.country, one.asn)
    )
    names = sorted({name for _, name in counts})
    row_of = {vantage: number for number, vantage in enumerate(vantages)}
    column_of = {name: number for number, name in enumerate(names)}
    vantage_index = np.array([row_of[vantage] for vantage, _ in counts], np.intp)
    target_index = np.array([column_of[name] for _, name in counts], np.intp)
    trials, responded, succeeded = np.array(list(counts.values()), float).T
    columns = [targets[name] for name in names]
    table = VantageTargetTable(
        vantage=vantage_index,
        target=target_index,
        trials=trials,
        successes=responded,
        abroad=_abroad(vantages, vantage_index, columns, target_index),
        networks=number_keys([(vantage.country, vantage.asn) for vantage in vantages]),
        prior_trust=_prior_trust(vantages, weights),
        controls=np.array([target.group == CONTROL_GROUP for target in columns]),
        target_asn=number_keys([target.asn or None for target in columns]),
        target_country=number_keys([_widest_place(target) for target in columns]),
    )
    return TargetCounts(table, replace(table, successes=succeeded), vantages, columns)


def _countable_pairs(counts: TargetCounts, attribution: Attribution) -> set[tuple[Vantage, str]]:
    chosen = countable_cells(counts.responded, attribution)
    table = counts.responded
    return {
        (counts.vantages[row], counts.targets[column].id)
        for row, column in zip(
            table.vantage[chosen].tolist(), table.target[chosen].tolist(), strict=True
        )
    }


def _prior_trust(vantages: Sequence[Vantage], weights: Weights) -> Floats:
    """Return the weight of each row relative to the largest, (v,)."""
    keys = [(one.id, one.country) for one in vantages]
    trust = np.array([weights.get(key, OWN_VANTAGE).weight for key in keys])
    return np.asarray(trust / trust.max()) if trust.max() > 0 else np.ones_like(trust)


def _widest_place(target: Target) -> str:
    country = target.country or target.region[:2]
    return country or (f"AS{target.asn}" if target.asn else target.domain or target.id)


def _abroad(
    vantages: Sequence[Vantage], rows: RowArray, targets: Sequence[Target], columns: RowArray
) -> Bools:
    """Return which cells are known to span two countries, (n,)."""
    ours = np.array([vantage.country for vantage in vantages])[rows]
    theirs = np.array([target.country for target in targets])[columns]
    return np.asarray((ours != "") & (theirs != "") & (ours != theirs))
