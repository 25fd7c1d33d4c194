"""OONI's two-sided CUSUM on the blocked share of each domain.

Source: ooni/data @c8fcc72 `oonipipeline/analysis/detector.py`, as described: hourly score,
means 0.0 (open) and 0.7 (blocked), slack 0.35, threshold 3.5; a gap of more than 24 h halves
the sums every 48 h; hours without measurements are skipped. The score of an hour is the median
over its measurements, which for yes-or-no outcomes is a step at one half.
"""

from datetime import datetime

import numpy as np

from benchmarks.detection.baselines.common import coarser
from benchmarks.detection.panel import Panel, Verdict, detections_of_flags
from netwatch.arrays import Bools, Floats

__all__ = ["blocked_hours", "judge_ooni"]

_OPEN, _BLOCKED = 0.0, 0.7
_SLACK = 0.35
_LIMIT = 3.5
_GAP_HOURS, _HALF_HOURS = 24, 48


def judge_ooni(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return the detector on the failed share of `reachability`."""
    hourly = coarser(panel, 60)
    values, totals = hourly.values["reachability"], hourly.totals["reachability"]
    with np.errstate(invalid="ignore", divide="ignore"):
        failed = 1 - values / totals
    score = np.where(np.isfinite(failed), (failed >= 0.5).astype(float), np.nan)
    flags = np.vstack([blocked_hours(row) for row in score])
    found = detections_of_flags(hourly, flags, training_until)
    return {"OONI CUSUM": Verdict(found)}


def blocked_hours(score: Floats) -> Bools:
    """Return the hours in which the domain counts as blocked, from one score an hour."""
    flags = np.zeros(score.size, dtype=bool)
    blocked, total, last = False, 0.0, -1
    for hour, value in enumerate(score.tolist()):
        if not np.isnan(value):
            gap = hour - last
            if last >= 0 and gap > _GAP_HOURS:
                total *= 0.5 ** (gap / _HALF_HOURS)
            last = hour
            shift = -(value - _BLOCKED) if blocked else value - _OPEN
            total = max(0.0, total + shift - _SLACK)
            if total > _LIMIT:
                blocked, total = not blocked, 0.0
        flags[hour] = blocked
    return flags
