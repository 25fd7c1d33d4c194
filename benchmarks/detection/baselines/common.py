"""Small steps that several baselines share."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks.detection.panel import Panel
from netwatch.arrays import Bools, Floats

__all__ = ["coarser", "filled", "finer", "hold", "hours_of_week", "weekly_profile"]


def coarser(panel: Panel, width: int) -> Panel:
    """Return the panel in bins of `width` minutes (means of what is known), if that is wider."""
    if panel.width >= width:
        return panel
    factor = width // panel.width
    bins = panel.bins // factor

    def mean(rows: Floats) -> Floats:
        parts = rows[:, : bins * factor].reshape(rows.shape[0], bins, factor)
        known = np.isfinite(parts).sum(axis=2)
        with np.errstate(invalid="ignore"):
            return np.where(known > 0, np.nansum(parts, axis=2) / known, np.nan)

    return replace(
        panel,
        width=width,
        values={name: mean(rows) for name, rows in panel.values.items()},
        totals={name: mean(rows) for name, rows in panel.totals.items()},
    )


def finer(rows: Floats, panel: Panel) -> Floats:
    """Return coarse rows on the bins of `panel`, each value repeated."""
    factor = -(-panel.bins // rows.shape[1])
    return np.repeat(rows, factor, axis=1)[:, : panel.bins]


def filled(rows: Floats) -> Floats:
    """Return rows with each gap filled by the value before it, else by the row's median."""
    known = np.isfinite(rows)
    last = np.maximum.accumulate(np.where(known, np.arange(rows.shape[1]), -1), axis=1)
    carried = np.take_along_axis(rows, np.maximum(last, 0), axis=1)
    middle = np.array(
        [np.median(r[k]) if k.any() else 0.0 for r, k in zip(rows, known, strict=True)]
    )
    return np.where(last >= 0, carried, middle[:, None])


def hold(flags: Bools, known: Bools) -> Bools:
    """Return flags in which a bin without data keeps the state before it."""
    last = np.maximum.accumulate(np.where(known, np.arange(flags.shape[1]), -1), axis=1)
    held = np.take_along_axis(flags, np.maximum(last, 0), axis=1)
    return held & (last >= 0)


def hours_of_week(panel: Panel) -> npt.NDArray[np.int64]:
    """Return 0 to 167 for every bin, counted from the panel's start."""
    return (np.arange(panel.bins) * panel.width // 60) % 168


def weekly_profile(rows: Floats, panel: Panel, first: int) -> Floats:
    """Return the median by hour of week over the bins before `first`, for every bin."""
    hours = hours_of_week(panel)
    profile = np.empty((rows.shape[0], 168))
    whole = filled(rows[:, :first])
    for hour in range(168):
        here = hours[:first] == hour
        profile[:, hour] = np.median(whole[:, here], axis=1) if here.any() else np.nan
    return profile[:, hours]
