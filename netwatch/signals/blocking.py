"""Blocking: failures left once vantages, targets and target networks are ruled out."""

import numpy as np

from netwatch.arrays import Bools
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import BLOCKING
from netwatch.signals.attribution.contingency import VantageTargetTable
from netwatch.signals.attribution.countable import trust_vantages
from netwatch.signals.attribution.model import LIKELY, Attribution, attribute
from netwatch.signals.closed_bin import ClosedBin


def blocking_cells(table: VantageTargetTable, attribution: Attribution) -> Bools:
    """Return which cells count for or against blocking, (n,).

    The vantage is trusted, the target is neither a control nor down, and another network
    reaches it: a site that fails from everywhere may be dead.
    """
    cells = table.cells
    trusted = trust_vantages(table, attribution)[cells.vantage]
    reached = table.sum_by_path(trusted & (cells.successes > 0)) > 0
    reached &= attribution.evidence < 0
    elsewhere = reached.sum(axis=0)[cells.target] - reached[table.cell_network, cells.target] > 0
    alive = (attribution.dead < LIKELY) & ~table.controls
    return np.asarray(trusted & elsewhere & alive[cells.target])


def count_blocking(interval: ClosedBin) -> list[Bin]:
    """Return the blocking series of one interval, by domain and vantage country and network.

    The signal names the place that a domain is measured from: `blocking:IR`,
    `blocking:AS44244`. The value counts full successes only, since a reset is an answer too; a
    domain that is blocked everywhere in a country is at 0 of its total.
    """
    counts = interval.counts
    table = counts.succeeded
    cells = table.cells
    chosen = np.flatnonzero(blocking_cells(table, attribute(table)))
    sums: dict[tuple[str, str], list[float]] = {}
    for row, column, successes, trials in zip(
        cells.vantage[chosen].tolist(),
        cells.target[chosen].tolist(),
        cells.successes[chosen].tolist(),
        cells.trials[chosen].tolist(),
        strict=True,
    ):
        target, vantage = counts.targets[column], counts.vantages[row]
        if not target.domain:
            continue
        for seen_from in filter(None, (vantage.country, f"AS{vantage.asn}" if vantage.asn else "")):
            total = sums.setdefault((seen_from, target.domain), [0.0, 0.0])
            total[0] += successes
            total[1] += trials
    return [
        Bin(
            interval.time,
            SeriesKey(f"{BLOCKING}:{seen_from}", Entity(EntityKind.DOMAIN, domain)),
            *total,
        )
        for (seen_from, domain), total in sorted(sums.items())
    ]
