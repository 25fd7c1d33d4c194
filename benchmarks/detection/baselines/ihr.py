"""Internet Health Report's generic detector: 72 hours of history, five robust deviations.

Source: InternetHealthReport/kafka-toolbox `generic/detector` as described: deviation
1.4826 (least + mean |x - median|), alarm beyond five of them, at least 60 % of the history.
Anomalies enter the history, and there is no season; that is the method. Half-hour bins and a
least deviation of 1 % of the median, as its delay detector and raclette have them.
"""

from datetime import datetime

import numpy as np

from benchmarks.detection.baselines.common import coarser, filled, finer
from benchmarks.detection.panel import Levels, Panel, Verdict, detections_of_flags
from netwatch.arrays import Floats

__all__ = ["deviations", "judge_ihr"]

_HOURS = 72
_LIMIT = 5.0
_LEAST = 0.01
_ENOUGH = 0.6


def judge_ihr(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return the detector on active probing (else on the first signal)."""
    coarse = coarser(panel, 30)
    name = "probing" if "probing" in coarse.values else next(iter(coarse.values))
    window = _HOURS * 60 // coarse.width
    scored = [deviations(row[None, :], window) for row in coarse.values[name]]
    level = np.vstack([share for _, share in scored])
    flags = np.vstack([distance for distance, _ in scored]) < -_LIMIT
    found = detections_of_flags(coarse, flags, training_until, level=level)
    return {"IHR 72 h (probing)": Verdict(found, Levels(finer(level, panel)))}


def deviations(rows: Floats, window: int) -> tuple[Floats, Floats]:
    """Return signed robust distance from the median of the `window` bins before, and the ratio.

    NaN without data or with less than 60 % of the history.
    """
    distance, share = np.full(rows.shape, np.nan), np.full(rows.shape, np.nan)
    if rows.shape[1] <= window:
        return distance, share
    past = np.lib.stride_tricks.sliding_window_view(filled(rows), window, axis=1)[:, :-1]
    known = np.lib.stride_tricks.sliding_window_view(np.isfinite(rows), window, axis=1)[:, :-1]
    middle = np.median(past, axis=2)
    spread = np.mean(np.abs(past - middle[:, :, None]), axis=2)
    scale = 1.4826 * (_LEAST * np.abs(middle) + spread)
    now = rows[:, window:]
    enough = (known.mean(axis=2) >= _ENOUGH) & (scale > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance[:, window:] = np.where(enough, (now - middle) / scale, np.nan)
        share[:, window:] = np.where(enough & (middle > 0), now / middle, np.nan)
    return distance, share
