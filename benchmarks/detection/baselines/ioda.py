"""IODA's rule: current value below a fraction of the rolling median, history inpainted.

Source: InetIntel/ioda-ui @1032915 `Help.js` for windows and thresholds; InetIntel/
watchtower-sentry @0fd5125 `MovingStat`, `AlertKafka` and the sample configuration for the
order of steps. Written anew from the description; the original's licence is non-commercial.

Kept: lower median by nearest rank without the current point, inpainting with the prediction
while the ratio is outside [0.8, 2] for at most seven days, after that "extreme is the new
normal", nothing said where the prediction is under 20. Left out in the rule's favour: the
pipeline's lag and the wait for a second violating bin.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from benchmarks.detection.baselines.common import hold
from benchmarks.detection.panel import Levels, Panel, Verdict, detections_of_flags
from netwatch.arrays import Floats

__all__ = ["RULES", "Rule", "judge_ioda", "median_ratio"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What IODA asks of one signal.

    Attributes:
        days: history of the median.
        warning, critical: fractions of the median.
        paint: the history takes the prediction under this fraction.
    """

    days: int
    warning: float
    critical: float
    paint: float


RULES: Mapping[str, Rule] = {
    "bgp": Rule(1, 0.99, 0.50, 0.8),
    "probing": Rule(7, 0.80, 0.50, 0.8),
    "telescope": Rule(7, 0.25, 0.10, 0.25),
}
_SURGE = 2.0
_LONGEST_DAYS = 7
_LEAST = 20.0


def judge_ioda(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return the three variants: any signal, two of three, and the critical fractions."""
    signals = [name for name in RULES if name in panel.values]
    ratios = {}
    for name in signals:
        window, longest = RULES[name].days * panel.per_day, _LONGEST_DAYS * panel.per_day
        ratios[name] = np.array(
            [
                median_ratio(row, window=window, longest=longest, paint=RULES[name].paint)
                for row in panel.values[name]
            ]
        )
    known = {name: np.isfinite(ratio) for name, ratio in ratios.items()}
    with np.errstate(invalid="ignore"):
        warning = [hold(ratios[n] < RULES[n].warning, known[n]) for n in signals]
        critical = [hold(ratios[n] < RULES[n].critical, known[n]) for n in signals]
    level = ratios.get("probing", ratios[signals[0]])
    votes = np.sum(warning, axis=0)
    variants = {
        "IODA any of 3 (99/80/25)": votes >= 1,
        "IODA 2 of 3 (99/80/25)": votes >= 2,
        "IODA critical (50/50/10)": np.sum(critical, axis=0) >= 1,
    }
    return {
        name: Verdict(detections_of_flags(panel, flags, training_until, level=level), Levels(level))
        for name, flags in variants.items()
    }


def median_ratio(row: Floats, *, window: int, longest: int, paint: float) -> Floats:
    """Return value / rolling median for every bin, NaN where the rule says nothing.

    `window` and `longest` (of inpainting) are in bins.
    """
    ratio = np.full(row.size, np.nan)
    stored: list[float] = []
    ordered: list[float] = []
    side: list[float] = []
    for index, value in enumerate(row.tolist()):
        if index > window:
            _forget(ordered, stored[index - window - 1])
        if value != value:  # noqa: PLR0124 - NaN is the one value unlike itself, and the fastest test
            stored.append(value)
            continue
        if len(ordered) < 2:
            stored.append(value)
            insort(ordered, value)
            continue
        guess = ordered[(len(ordered) + 1) // 2 - 1]
        share = value / guess if guess else 1.0
        keep = value
        if share < paint or share > _SURGE:
            side.append(value)
            keep = guess
            if len(side) > longest:
                _become(stored, ordered, side, window)
                guess = ordered[(len(ordered) + 1) // 2 - 1]
                share, keep = (value / guess if guess else 1.0), value
                side = []
        else:
            side = []
        stored.append(keep)
        insort(ordered, keep)
        if guess >= _LEAST:
            ratio[index] = share
    return ratio


def _forget(ordered: list[float], value: float) -> None:
    place = bisect_left(ordered, value)
    if place < len(ordered) and ordered[place] == value:
        del ordered[place]


def _become(stored: list[float], ordered: list[float], side: list[float], window: int) -> None:
    """Make the raw values the history: the extreme is the new normal."""
    recent = side[-window:]
    for offset in range(1, min(window, len(stored)) + 1):
        stored[-offset] = recent[-offset] if offset <= len(recent) else float("nan")
    ordered[:] = sorted(recent)
