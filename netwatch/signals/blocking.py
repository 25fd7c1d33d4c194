"""Blocking: failures left once vantages, targets and target networks are ruled out."""

import numpy as np

from netwatch.arrays import Bools
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import BLOCKING
from netwatch.signals.attribution.contingency import VantageTargetTable
from netwatch.signals.attribution.countable import trust_vantages
from netwatch.signals.attribution.model import LIKELY, Attribution, attribute
from netwatch.signals.closed_bin import ClosedBin, domain_series


def blocking_cells(table: VantageTargetTable, attribution: Attribution) -> Bools:
    """Return which cells count for or against blocking, (n,).

    The vantage is trusted, the target is neither a control nor down, and another network
    reaches it: a site that fails from everywhere may be dead.
    """
    trusted = trust_vantages(table, attribution)[table.vantage]
    reached = table.sum_by_path(trusted & (table.successes > 0)) > 0
    reached &= attribution.evidence < 0
    elsewhere = reached.sum(axis=0)[table.target] - reached[table.cell_network, table.target] > 0
    alive = (attribution.dead < LIKELY) & ~table.controls
    return np.asarray(trusted & elsewhere & alive[table.target])


def count_blocking(interval: ClosedBin) -> list[Bin]:
    """Return the blocking series of one interval, by domain and vantage country and network.

    The signal names the place that a domain is measured from: `blocking:IR`,
    `blocking:AS44244`. The value counts full successes only, since a reset is an answer too; a
    domain that is blocked everywhere in a country is at 0 of its total.
    """
    counts = interval.counts
    table = counts.succeeded
    chosen = np.flatnonzero(blocking_cells(table, attribute(table)))
    sums: dict[SeriesKey, list[float]] = {}
    for row, column, successes, trials in zip(
        table.vantage[chosen].tolist(),
        table.target[chosen].tolist(),
        table.successes[chosen].tolist(),
        table.trials[chosen].tolist(),
        strict=True,
    ):
        target, vantage = counts.targets[column], counts.vantages[row]
        if target.domain:
            for seen_from in vantage.entities():
                series = domain_series(BLOCKING, seen_from, target.domain)
                total = sums.setdefault(series, [0.0, 0.0])
                total[0] += successes
                total[1] += trials
    return [Bin(interval.time, series, *total) for series, total in sorted(sums.items())]
