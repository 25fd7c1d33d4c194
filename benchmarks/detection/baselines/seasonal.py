"""The plain one: last week's value, and how far differences usually go.

Seasonal naive with a robust width: low where value / last week's falls more than four scaled
median absolute deviations of that ratio (over the training weeks) below 1, and below 0.6 in any
case; both gave the best F1 on the tuning seeds. Scaled by 1.4826 as usual for a normal spread
(Rousseeuw and Croux, JASA 1993).
"""

from datetime import datetime

import numpy as np

from benchmarks.detection.baselines.common import hold
from benchmarks.detection.panel import Levels, Panel, Verdict, detections_of_flags
from netwatch.arrays import Floats

__all__ = ["judge_seasonal", "weekly_share"]

_DEVIATIONS = 4.0
_CEILING = 0.6


def judge_seasonal(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return the detector on active probing (else on the first signal)."""
    name = "probing" if "probing" in panel.values else next(iter(panel.values))
    share = weekly_share(panel.values[name], week=7 * panel.per_day)
    first = panel.index(training_until)
    known = np.isfinite(share)
    spread = np.full(share.shape[0], np.inf)
    for row in range(share.shape[0]):
        past = share[row, :first][known[row, :first]]
        if past.size >= panel.per_day:
            spread[row] = 1.4826 * float(np.median(np.abs(past - np.median(past))))
    limit = np.minimum(_CEILING, 1 - _DEVIATIONS * spread)[:, None]
    with np.errstate(invalid="ignore"):
        flags = hold(share < limit, known)
    found = detections_of_flags(panel, flags, training_until, level=share)
    return {"seasonal naive + MAD (probing)": Verdict(found, Levels(share))}


def weekly_share(rows: Floats, *, week: int) -> Floats:
    """Return value / the value `week` bins before, NaN where either is missing or that is 0."""
    share = np.full(rows.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = rows[:, week:] / rows[:, :-week]
    share[:, week:] = np.where(np.isfinite(ratio), ratio, np.nan)
    return share
