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
from netwatch.model.vantage_trust import OPEN_OWNER, OWN_VANTAGE, Weights
from netwatch.signals.attribution.capped_shares import capped
from netwatch.signals.attribution.contingency import (
    CONTROL_GROUP,
    TargetCounts,
    VantageTargetTable,
)
from netwatch.signals.attribution.countable import trust_vantages
from netwatch.signals.attribution.likelihoods import lower_median
from netwatch.signals.attribution.model import attribute
from netwatch.signals.closed_bin import ClosedBin
from netwatch.signals.operator_alerts import OperatorAlerts
from netwatch.signals.places import count_places

Row = tuple[Vantage, Measurement]
"""A measurement and the vantage it is from."""
_MIN_PERIOD = timedelta(seconds=10)
"""Shortest time between two probes of one target by one vantage, a third of the period of
witnesses: it bounds how many measurements the rows of both may claim to stand for."""
_MAX_TIMES_USUAL = 2
"""Measurements of a target by one vantage that count, over the number of the median vantage."""


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
    count neither as successes nor as trials; see `netwatch.signals.attribution.votes`.
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
        interval = close_bin(time, width, by_time[time], targets, weights=weights)
        if alerts is not None:
            alerts.report(interval)
        for produce in _producers():
            bins += produce(interval)
    return bins


@cache
def _producers() -> list[Callable[[ClosedBin], list[Bin]]]:
    names = [spec.producer for _, spec in sorted(SIGNALS.items()) if spec.producer]
    return [resolve_name(name) for name in names]


def close_bin(
    time: datetime,
    width: timedelta,
    rows: Sequence[Row],
    targets: Mapping[str, Target],
    *,
    weights: Weights,
) -> ClosedBin:
    """Return the attributed measurements of one interval, of which none is local."""
    rows = _without_newcomers(rows, weights)
    counts = build_table(rows, targets, width=width, weights=weights)
    attribution = attribute(counts.responded)
    return ClosedBin(
        time=time,
        width=width,
        rows=rows,
        targets=targets,
        counts=counts,
        attribution=attribution,
        trusted=trust_vantages(counts.responded, attribution),
        places=count_places(counts, attribution),
    )


def _without_newcomers(rows: Sequence[Row], weights: Weights) -> Sequence[Row]:
    """Return the rows of established vantages, or all where nobody is established yet."""
    names = {(vantage.id, vantage.country) for vantage, _ in rows}
    established = {name for name in names if weights.get(name, OWN_VANTAGE).is_established}
    if not established or established == names:
        return rows
    return [row for row in rows if (row[0].id, row[0].country) in established]


def build_table(
    rows: Iterable[Row], targets: Mapping[str, Target], *, width: timedelta, weights: Weights
) -> TargetCounts:
    """Return the tables of one bin's `rows`.

    Vantages with unknown ASN in one country count as one network. Only the ratios of `weights`
    matter: if all vantages are new, all are fully trusted.
    """
    counts: dict[tuple[Vantage, str], list[int]] = {}
    for vantage, measurement in rows:
        count = counts.setdefault((vantage, measurement.target), [0, 0, 0, 0])
        weight = max(measurement.weight, 1)
        count[0] += weight
        count[1] += weight * measurement.host_responded
        count[2] += weight * (measurement.failure is None)
        count[3] += 1
    vantages = sorted(
        {vantage for vantage, _ in counts}, key=lambda one: (one.id, one.country, one.asn)
    )
    trusts = [weights.get((one.id, one.country), OWN_VANTAGE) for one in vantages]
    names = sorted({name for _, name in counts})
    row_of = {vantage: number for number, vantage in enumerate(vantages)}
    column_of = {name: number for number, name in enumerate(names)}
    vantage_index = np.array([row_of[vantage] for vantage, _ in counts], np.intp)
    target_index = np.array([column_of[name] for _, name in counts], np.intp)
    trials, responded, succeeded, rows_sent = np.array(list(counts.values()), float).T
    columns = [targets[name] for name in names]
    table = VantageTargetTable(
        vantage=vantage_index,
        target=target_index,
        trials=trials,
        successes=responded,
        abroad=_abroad(vantages, vantage_index, columns, target_index),
        networks=number_keys([(vantage.country, vantage.asn) for vantage in vantages]),
        owners=number_keys([trust.owner for trust in trusts]),
        prior_trust=_prior_trust(np.array([trust.weight for trust in trusts])),
        controls=np.array([target.group == CONTROL_GROUP for target in columns]),
        target_asn=number_keys([target.asn or None for target in columns]),
        target_country=number_keys([_widest_place(target) for target in columns]),
    )
    factor = _credible(table, np.maximum(rows_sent, width / _MIN_PERIOD)) / trials
    table = replace(table, trials=trials * factor, successes=responded * factor)
    full = replace(table, successes=succeeded * factor)
    owners = {trust.owner for trust in (*trusts, *weights.values()) if trust.weight > 0}
    one_owner = len(owners - {OPEN_OWNER}) == len(owners) == 1
    return TargetCounts(table, full, vantages, columns, one_owner)


def _credible(table: VantageTargetTable, possible: Floats) -> Floats:
    """Return how many of its trials each cell is believed, (n,).

    At most as many as are `possible` in its time, and twice as many as the median of the vantages
    at the same target made, so that nobody gains weight by claiming or by making many.
    """
    trials = np.minimum(table.trials, possible)
    size = len(table.controls)
    votes = capped(table.prior_trust[table.vantage], table.target, table.vantage, table.holders)
    usual = lower_median(trials, votes, table.target, size)[table.target]
    return np.asarray(np.fmin(trials, _MAX_TIMES_USUAL * usual))


def _prior_trust(weights: Floats) -> Floats:
    """Return the weight of each row relative to the largest, (v,)."""
    largest = weights.max(initial=0.0)
    return np.asarray(weights / largest) if largest > 0 else np.ones_like(weights)


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
