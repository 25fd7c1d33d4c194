"""Closed intervals for tests of the producers of bins."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.signals.bins import close_bin
from netwatch.signals.closed_bin import ClosedBin
from netwatch.signals.places import weigh_cells

__all__ = ["closed_bin"]


def closed_bin(
    time: datetime,
    rows: Iterable[tuple[Vantage, Measurement]],
    targets: Mapping[str, Target],
    *,
    trusted: Collection[Vantage] | None = None,
) -> ClosedBin:
    """Return an interval of five minutes in which every row counts."""
    interval = close_bin(time, timedelta(minutes=5), list(rows), targets, weights={})
    counts, places = interval.counts, []
    for one in interval.places:
        kind = one.places[0].kind
        table = counts.succeeded if kind == "domain" else counts.responded
        _, series = counts.number_places(kind)
        cells = np.flatnonzero(series >= 0)
        sums = weigh_cells(table, cells, series[cells], len(one.places))
        places.append(replace(one, successes=sums[0], trials=sums[1]))
    chosen = [trusted is None or vantage in trusted for vantage in counts.vantages]
    return replace(interval, trusted=np.array(chosen, bool), places=places)
