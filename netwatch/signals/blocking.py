"""Blocking: what is left of a failure once vantages, targets and networks are cleared of it.

The signal is named `blocking:` and from where, `blocking:IR`, `blocking:AS44244`; the entity is
the domain. The value counts full successes and the total tries: a domain that is not blocked is
at 1, one blocked everywhere in the country at 0.
"""

from datetime import datetime

import numpy as np

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import BLOCKING
from netwatch.signals.attribution.contingency import Bools, VantageTargetTable
from netwatch.signals.attribution.model import Attribution, attribute
from netwatch.signals.attribution.trust import trust_vantages
from netwatch.signals.build_table import TargetCounts

_LIKELY = 0.5


def blocking_cells(table: VantageTargetTable, blame: Attribution) -> Bools:
    """Return which cells may tell of blocking, shape (n,).

    The vantage bears witness, the target is no control and not down, and another network
    reaches it: a site that fails wherever it was asked for may just be dead.
    """
    cells = table.cells
    trusted = trust_vantages(table, blame)[cells.vantage]
    reached = table.by_network(trusted & (cells.successes > 0)) > 0
    reached &= blame.evidence < 0
    elsewhere = reached.sum(axis=0)[cells.target] - reached[table.network, cells.target] > 0
    alive = (blame.dead < _LIKELY) & ~table.controls
    return np.asarray(trusted & elsewhere & alive[cells.target])


def count_blocking(time: datetime, tabulated: TargetCounts) -> list[Bin]:
    """Return the blocking series of one bin, per domain and vantage country and network.

    Only full success gets through here, not any answer: a reset is an answer, too.
    """
    table = tabulated.served
    cells = table.cells
    chosen = np.flatnonzero(blocking_cells(table, attribute(table)))
    counts: dict[tuple[str, str], list[float]] = {}
    for row, column, got, tried in zip(
        cells.vantage[chosen].tolist(),
        cells.target[chosen].tolist(),
        cells.successes[chosen].tolist(),
        cells.trials[chosen].tolist(),
        strict=True,
    ):
        target, vantage = tabulated.targets[column], tabulated.vantages[row]
        if not target.domain:
            continue
        for place in filter(None, (vantage.country, f"AS{vantage.asn}" if vantage.asn else "")):
            count = counts.setdefault((place, target.domain), [0.0, 0.0])
            count[0] += got
            count[1] += tried
    return [
        Bin(time, SeriesKey(f"{BLOCKING}:{place}", Entity(EntityKind.DOMAIN, domain)), got, tried)
        for (place, domain), (got, tried) in sorted(counts.items())
    ]
