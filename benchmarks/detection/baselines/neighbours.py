"""Nearest days, after Cloudflare Radar: forecast what followed the most similar days.

Source: Cloudflare, "Detecting Internet outages" (2023-09-26): the last 24 hours are compared
with earlier 24-hour windows by Euclidean distance, the 6 most similar of the last 28 days are
kept, and the forecast is the median of what followed. Its alarm thresholds are not public:
below half of the forecast for two hours running is our assumption.
"""

from datetime import datetime

import numpy as np

from benchmarks.detection.baselines.common import coarser, filled, finer
from benchmarks.detection.panel import Levels, Panel, Verdict, detections_of_flags
from netwatch.arrays import Floats

__all__ = ["judge_neighbours", "nearest_forecast"]

_DAYS = 28
_NEAREST = 6
_FRACTION = 0.5


def judge_neighbours(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return the detector on probing or telescope, whichever is low, in hourly bins."""
    hourly = coarser(panel, 60)
    low = np.zeros((len(panel.entities), hourly.bins), dtype=bool)
    level = np.full(low.shape, np.nan)
    for name in ("telescope", "probing"):
        if name not in hourly.values:
            continue
        rows = hourly.values[name]
        guess = nearest_forecast(filled(rows), day=hourly.per_day)
        with np.errstate(invalid="ignore", divide="ignore"):
            level = np.where(guess > 0, rows / guess, np.nan)
            under = level < _FRACTION
        twice = under[:, 1:] & under[:, :-1]
        begun = np.zeros_like(low)
        begun[:, 1:] = twice
        # The second hour starts the run and it lasts while hours stay low.
        low |= begun
    found = detections_of_flags(hourly, low, training_until, level=level)
    return {"kNN, Cloudflare-like": Verdict(found, Levels(finer(level, panel)))}


def nearest_forecast(rows: Floats, *, day: int) -> Floats:
    """Return the forecast of every bin from the days most like the last; NaN in the first two."""
    count, bins = rows.shape
    distances = np.full((_DAYS - 1, count, bins), np.inf)
    followed = np.full((_DAYS - 1, count, bins), np.nan)
    for back in range(1, _DAYS):
        lag = back * day
        if lag + day >= bins:
            break
        square = np.cumsum((rows[:, lag:] - rows[:, :-lag]) ** 2, axis=1)
        # The window ends one bin before the one to forecast.
        span = square[:, day - 1 : -1].copy()
        span[:, 1:] -= square[:, : -day - 1]
        distances[back - 1, :, lag + day :] = span
        followed[back - 1, :, lag:] = rows[:, :-lag]
    order = np.argpartition(distances, _NEAREST - 1, axis=0)[:_NEAREST]
    best = np.take_along_axis(followed, order, axis=0)
    near = np.take_along_axis(distances, order, axis=0)
    best[~np.isfinite(near)] = np.nan
    forecast = np.full((count, bins), np.nan)
    some = np.isfinite(best).any(axis=0)
    forecast[some] = np.nanmedian(best[:, some], axis=0)
    return forecast
