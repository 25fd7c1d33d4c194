"""Blocking: what is left of a failure once vantages, targets and networks are cleared of it."""

from datetime import datetime

import numpy as np

from netwatch.model.entity import Entity, EntityKind
from netwatch.model.series import Bin, SeriesKey
from netwatch.signals.blame import Blame, assign_blame
from netwatch.signals.table import Bools, Table
from netwatch.signals.tabulate import Tabulated
from netwatch.signals.witness import trust_vantages

__all__ = ["BLOCKING", "blocking_cells", "count_blocking"]

BLOCKING = "blocking"
"""First part of the signal's name. The second says from where: `blocking:IR`, `blocking:AS44244`.

The entity is the domain. As everywhere, the value counts what got through and the total what
was tried: a domain that is not blocked is at 1, one blocked everywhere in the country at 0.
"""
_LIKELY = 0.5


def blocking_cells(table: Table, blame: Blame) -> Bools:
    """Return which pairs may tell of blocking, shape (v, t).

    The vantage bears witness, the target is no control and not down, and another network
    reaches it: a site that fails wherever it was asked for may just be dead.
    """
    trusted = trust_vantages(table, blame)
    reached = (table.successes > 0) & trusted[:, None]
    size = int(table.networks.max(initial=-1)) + 1
    by_network = np.zeros((size, reached.shape[1]), bool)
    np.logical_or.at(by_network, table.networks, reached & (blame.evidence < 0)[table.networks])
    elsewhere = by_network.sum(axis=0)[None, :] - by_network[table.networks] > 0
    alive = (blame.dead < _LIKELY) & ~table.controls
    return np.asarray(trusted[:, None] & (table.trials > 0) & elsewhere & alive)


def count_blocking(time: datetime, served: Tabulated) -> list[Bin]:
    """Return the blocking series of one bin, per domain and vantage country and network.

    `served` counts full success, not just any answer: a reset is an answer, too.
    """
    table = served.table
    cells = blocking_cells(table, assign_blame(table))
    counts: dict[SeriesKey, list[float]] = {}
    for row, column in zip(*(axis.tolist() for axis in cells.nonzero()), strict=True):
        target, vantage = served.targets[column], served.vantages[row]
        if not target.domain:
            continue
        places = (vantage.country, f"AS{vantage.asn}" if vantage.asn else "")
        for place in filter(None, places):
            key = SeriesKey(f"{BLOCKING}:{place}", Entity(EntityKind.DOMAIN, target.domain))
            count = counts.setdefault(key, [0.0, 0.0])
            count[0] += table.successes[row, column]
            count[1] += table.trials[row, column]
    return [Bin(time, key, value, total) for key, (value, total) in sorted(counts.items())]
