"""Richter et al. (IMC 2018): half of the quietest hour of the last week.

Source: "Advancing the Art of Internet Edge Outage Detection": baseline b0 is the minimum of
the last 168 hours; trackable from b0 >= 40 on; a disruption begins below alpha b0 (0.5) and ends
at beta b0 (0.8); b0 stands still meanwhile. Theirs looks a week ahead to see that the end
lasts; ours ends at once, as a live system must.
"""

from datetime import datetime

import numpy as np
import pandas as pd

from benchmarks.detection.baselines.common import coarser
from benchmarks.detection.panel import Panel, Verdict, detections_of_flags
from netwatch.arrays import Bools, Floats

__all__ = ["disruptions", "judge_richter"]

_ALPHA, _BETA = 0.5, 0.8
_TRACKABLE = 40.0
_WEEK_HOURS = 168


def judge_richter(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return the detector on hourly activity, of the telescope where there is one."""
    hourly = coarser(panel, 60)
    signals = hourly.values
    name = "telescope" if "telescope" in signals else next(iter(signals))
    # Activity is counted by the hour; means of shorter bins are turned into hourly sums.
    sums = signals[name] * (60 / panel.width if panel.width < 60 else 1)
    flags = disruptions(sums, window=_WEEK_HOURS * 60 // hourly.width)
    return {
        "Richter .5/.8 (telescope)": Verdict(detections_of_flags(hourly, flags, training_until))
    }


def disruptions(rows: Floats, *, window: int) -> Bools:
    """Return the bins in disruption; `window` bins make the baseline."""
    quietest = (
        pd.DataFrame(rows.T).rolling(window, min_periods=window // 2).min().shift(1).to_numpy().T
    )
    flags = np.zeros(rows.shape, dtype=bool)
    low = np.zeros(rows.shape[0], dtype=bool)
    frozen = np.full(rows.shape[0], np.nan)
    for index in range(rows.shape[1]):
        base = np.where(low, frozen, quietest[:, index])
        now = rows[:, index]
        with np.errstate(invalid="ignore"):
            begins = ~low & (base >= _TRACKABLE) & (now < _ALPHA * base)
            ends = low & (now >= _BETA * base)
        frozen = np.where(begins, base, frozen)
        low = (low | begins) & ~ends
        flags[:, index] = low
    return flags
