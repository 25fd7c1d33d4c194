"""The field's detectors, each written anew from its description, in the harness of the judge.

One file each. A family judges a panel once and answers for all of its variants.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from benchmarks.detection.baselines.chocolatine import judge_chocolatine
from benchmarks.detection.baselines.disco import judge_disco
from benchmarks.detection.baselines.focus import judge_focus
from benchmarks.detection.baselines.ihr import judge_ihr
from benchmarks.detection.baselines.ioda import judge_ioda
from benchmarks.detection.baselines.neighbours import judge_neighbours
from benchmarks.detection.baselines.ooni import judge_ooni
from benchmarks.detection.baselines.richter import judge_richter
from benchmarks.detection.baselines.seasonal import judge_seasonal
from benchmarks.detection.panel import Panel, Verdict

__all__ = ["DOMAIN_FAMILIES", "NETWORK_FAMILIES", "Family"]

Family = Callable[[Panel, datetime], Mapping[str, Verdict]]
"""Judges a panel; returns a verdict for each of its variants, by the name that tables show."""

NETWORK_FAMILIES: Mapping[str, Family] = {
    "ioda": judge_ioda,
    "chocolatine": judge_chocolatine,
    "ihr": judge_ihr,
    "richter": judge_richter,
    "neighbours": judge_neighbours,
    "disco": judge_disco,
    "focus": judge_focus,
    "seasonal": judge_seasonal,
}
"""For countries, regions and networks."""

DOMAIN_FAMILIES: Mapping[str, Family] = {"ooni": judge_ooni}
"""For domains."""
