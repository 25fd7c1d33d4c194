"""Alerts the operator to dead targets, faulty vantages and blocked paths, one line per kind.

A dead target or a broken vantage is not an outage, so no incident reports it. What is cut or
blocked becomes a series and an incident.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import numpy as np

from netwatch.signals.attribution.contingency import TargetCounts
from netwatch.signals.attribution.list_faults import FaultKind, confirm_down, list_faults
from netwatch.signals.attribution.model import Attribution

_MAX_NAMES = 5
_TEXTS = {
    FaultKind.DEAD_TARGET: "answer no vantage: dead, or their network is out",
    FaultKind.BROKEN_VANTAGE: "lose what others reach, and do not count",
    FaultKind.NOISY_VANTAGE: "report what no other vantage sees, and do not count",
    FaultKind.BLOCKED_PATH: "fail from one network, and answer the others",
}
_OF_VANTAGES = (FaultKind.BROKEN_VANTAGE, FaultKind.NOISY_VANTAGE)


class OperatorAlerts:
    """Calls `warn(kind, line)` for the faults of one bin after another.

    Counts the consecutive bins in which each target failed, since a single network needs three
    to confirm a target down. A bin that is counted again because of late data does not change
    these numbers.
    """

    def __init__(self, warn: Callable[[str, str], object]) -> None:
        self._warn = warn
        self._last: datetime | None = None
        self._failed_bins: dict[str, int] = {}

    def report(self, time: datetime, counts: TargetCounts, attribution: Attribution) -> None:
        """Warn of the faults in the bin that starts at `time`."""
        is_new = self._last is None or time > self._last
        names = [target.id for target in counts.targets]
        before = [self._failed_bins.get(name, 0) if is_new else 0 for name in names]
        down, after = confirm_down(counts.responded, attribution, np.array(before, np.intp))
        if is_new:
            self._last = time
            self._failed_bins.update(zip(names, after.tolist(), strict=True))
        for kind, numbers in list_faults(attribution, down).items():
            subjects = counts.vantages if kind in _OF_VANTAGES else counts.targets
            if len(numbers):
                listed = _join(subjects[number].id for number in numbers.tolist())
                self._warn(kind.value, f"{listed} {_TEXTS[kind]}")


def _join(names: Iterable[str]) -> str:
    distinct = sorted(set(names))
    more = len(distinct) - _MAX_NAMES
    shown = ", ".join(distinct[:_MAX_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
