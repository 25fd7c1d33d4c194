"""Closed intervals for tests of the producers of bins."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

import numpy as np

from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.signals.attribution.contingency import (
    TargetCounts,
    VantageTargetTable,
)
from netwatch.signals.closed_bin import ClosedBin

__all__ = ["closed_bin"]

_ROWS, _VALUES, _FLAGS = np.zeros(0, np.intp), np.zeros(0), np.zeros(0, bool)
_TABLE = VantageTargetTable(
    vantage=_ROWS, target=_ROWS, trials=_VALUES, successes=_VALUES, abroad=_FLAGS,
    networks=_ROWS, prior_trust=_VALUES, controls=_FLAGS, target_asn=_ROWS, target_country=_ROWS,
)  # fmt: skip


def closed_bin(
    time: datetime,
    rows: Iterable[tuple[Vantage, Measurement]],
    targets: Mapping[str, Target],
    *,
    trusted: Collection[Vantage] | None = None,
) -> ClosedBin:
    """Return an interval of five minutes in which every row counts, without tables of counts."""
    rows = list(rows)
    return ClosedBin(
        time=time,
        width=timedelta(minutes=5),
        rows=rows,
        countable=[measurement for _, measurement in rows],
        targets=targets,
        counts=TargetCounts(_TABLE, _TABLE, [], []),
        trusted={vantage for vantage, _ in rows} if trusted is None else set(trusted),
    )
