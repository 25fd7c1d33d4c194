"""Blocking: failures left once vantages, targets and target networks are ruled out."""

import numpy as np

from netwatch.arrays import Bools
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import BLOCKING
from netwatch.signals.attribution.capped_shares import cap_weights
from netwatch.signals.attribution.contingency import VantageTargetTable
from netwatch.signals.attribution.countable import trust_vantages
from netwatch.signals.attribution.model import LIKELY, Attribution, attribute
from netwatch.signals.closed_bin import ClosedBin, domain_series
from netwatch.signals.places import weigh_cells

_MIN_WEIGHT_ELSEWHERE = 0.5
"""Weight, in fully trusted vantages, of the other networks that reach a site."""


def blocking_cells(table: VantageTargetTable, attribution: Attribution) -> Bools:
    """Return which cells count for or against blocking, (n,).

    The vantage is trusted, the target is neither a control nor down, and other networks, with
    the weight of half a vantage at least, reach it: a site that fails from everywhere may be dead.
    """
    trusted = trust_vantages(table, attribution)
    weights = cap_weights(table.prior_trust * trusted, table.owners)
    reached = table.sum_by_path(trusted[table.vantage] & (table.successes > 0)) > 0
    voices = table.weigh_networks(weights) * (reached & (attribution.evidence < 0))
    others = voices.sum(axis=0)[table.target] - voices[table.cell_network, table.target]
    elsewhere = others >= _MIN_WEIGHT_ELSEWHERE
    alive = (attribution.dead < LIKELY) & ~table.controls
    return np.asarray(trusted[table.vantage] & elsewhere & alive[table.target])


def count_blocking(interval: ClosedBin) -> list[Bin]:
    """Return the blocking series of one interval, by domain and vantage country and network.

    The signal names the place that a domain is measured from: `blocking:IR`,
    `blocking:AS44244`. The value counts full successes only, since a reset is an answer too; a
    domain that is blocked everywhere in a country is at 0 of its total.
    """
    counts = interval.counts
    table = counts.succeeded
    chosen = np.flatnonzero(blocking_cells(table, attribute(table)))
    entries: list[tuple[SeriesKey, int]] = []
    for cell, row, column in zip(
        chosen.tolist(), table.vantage[chosen].tolist(), table.target[chosen].tolist(), strict=True
    ):
        domain = counts.targets[column].domain
        if domain:
            seen_from = counts.vantages[row].entities()
            entries += [(domain_series(BLOCKING, one, domain), cell) for one in seen_from]
    keys = sorted({series for series, _ in entries})
    number = {key: index for index, key in enumerate(keys)}
    series = np.array([number[key] for key, _ in entries], np.intp)
    cells = np.array([cell for _, cell in entries], np.intp)
    successes, trials = weigh_cells(table, cells, series, len(keys))
    totals = zip(keys, successes.tolist(), trials.tolist(), strict=True)
    return [Bin(interval.time, key, value, total) for key, value, total in totals if total > 0]
