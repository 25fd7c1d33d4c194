"""FOCuS for Poisson counts with a known mean: the likelihood ratio over every size of drop.

Source: Ward, Dilillo, Eckley, Fearnhead, "Poisson-FOCuS: An efficient online method for
detecting count bursts" (arXiv 2208.01494), after Romano et al. (JMLR 24, 2023), turned to
drops. With Y and M the running sums of counts and of their means, the statistic is the largest
a ln(a/b) - a + b over candidates, a = Y - Y', b = M - M', where a < b. Only the vertices of the
upper hull of (M, Y) with slopes under 1 can ever win, so that the list stays short.

The known mean is the hour-of-week median of the training weeks times a level that follows the
series in three days while nothing is wrong. The threshold is a margin over the weekly maxima
of the training weeks (4 times, best F1 on the tuning seeds), for real counts are not Poisson.
FOCuS has no recovery: a run ends after three bins at nine tenths of the mean.
"""

from datetime import datetime
from math import log

import numpy as np

from benchmarks.detection.baselines.common import weekly_profile
from benchmarks.detection.panel import Levels, Panel, Verdict, detections_of_flags
from netwatch.arrays import Bools, Floats

__all__ = ["Hull", "judge_focus", "watch"]

_FLOOR = 12.0
_MARGIN = 4.0
_BACK = 0.9
_BACK_BINS = 3
_FOLLOW_DAYS = 3.0


class Hull:
    """The candidates for where a drop began, and the statistic of the best of them."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: the drop is over."""
        self.mean, self.count = 0.0, 0.0
        self.points: list[tuple[float, float]] = [(0.0, 0.0)]

    def add(self, count: float, mean: float) -> float:
        """Take one bin's count and known mean; return the statistic, 0 for no drop."""
        self.mean += mean
        self.count += count
        points = self.points
        best = 0.0
        for where, seen in points:
            lost, due = self.count - seen, self.mean - where
            if lost < due:
                value = due - lost + (lost * log(lost / due) if lost > 0 else 0.0)
                best = max(best, value)
        new = (self.mean, self.count)
        while len(points) > 1 and _slope(points[-2], points[-1]) <= _slope(points[-1], new):
            points.pop()
        if _slope(points[-1], new) >= 1:
            # The newest start beats this one for every size of drop.
            points.pop()
        if not points:
            self.mean = self.count = 0.0
            new = (0.0, 0.0)
        points.append(new)
        return best


def _slope(first: tuple[float, float], second: tuple[float, float]) -> float:
    run = second[0] - first[0]
    return (second[1] - first[1]) / run if run > 0 else float("inf")


def judge_focus(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return the detector on active probing (else on the first signal)."""
    name = "probing" if "probing" in panel.values else next(iter(panel.values))
    rows = panel.values[name]
    first = panel.index(training_until)
    known = np.isfinite(rows[:, :first]).any(axis=1) if first else np.zeros(len(rows), bool)
    flags = np.zeros(rows.shape, dtype=bool)
    level = np.full(rows.shape, np.nan)
    if first:
        mean = np.maximum(weekly_profile(rows, panel, first), 0.1)
        for row in np.flatnonzero(known).tolist():
            flags[row], level[row] = watch(rows[row], mean[row], first=first, per_day=panel.per_day)
    found = detections_of_flags(panel, flags, training_until, level=level)
    return {"FOCuS-Poisson (probing)": Verdict(found, Levels(level))}


def watch(counts: Floats, mean: Floats, *, first: int, per_day: int) -> tuple[Bools, Floats]:
    """Return alarms and count / mean of one series; bins before `first` set the threshold."""
    gain = log(2) / (_FOLLOW_DAYS * per_day)
    hull, scale = Hull(), 1.0
    flags, share = np.zeros(counts.size, dtype=bool), np.full(counts.size, np.nan)
    weeks: list[float] = [0.0]
    limit, low, back = float("inf"), False, 0
    for index, (count, usual) in enumerate(zip(counts.tolist(), mean.tolist(), strict=True)):
        if index == first:
            limit = max(_FLOOR, _MARGIN * float(np.median(weeks)))
            hull.clear()
        elif index < first and index % (7 * per_day) == 0:
            weeks.append(0.0)
        if np.isnan(count):
            flags[index] = low
            continue
        ratio = count / (usual * scale)
        share[index] = ratio
        value = hull.add(count, usual * scale)
        if index < first:
            weeks[-1] = max(weeks[-1], value)
        if not low and value > limit:
            low, back = True, 0
        elif low:
            back = back + 1 if ratio >= _BACK else 0
            if back >= _BACK_BINS:
                low = False
                hull.clear()
        if not low:
            scale *= 1 + gain * min(0.1, max(-0.1, ratio - 1))
        flags[index] = low
    return flags, share
