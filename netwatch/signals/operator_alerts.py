"""Alerts the operator to what no incident reports, one line per kind.

A dead target or a broken vantage is not an outage, so no incident reports it. What is cut or
blocked becomes a series and an incident. A place is undecided while its vantages contradict each
other and neither side is outvoted, and doubted if several independent ones are
(`attribution/votes.py`): only a person can find out who lies.

A target is confirmed down only if trusted vantages in two networks find it down, or, if a single
network measures it, if that network fails in three consecutive bins.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import compress

import numpy as np

from netwatch.arrays import Bools, RowArray
from netwatch.model.entities import Entity
from netwatch.model.voices import SURE_VOICES
from netwatch.signals.attribution.contingency import TargetCounts, VantageTargetTable
from netwatch.signals.attribution.countable import trust_vantages
from netwatch.signals.attribution.model import LIKELY, Attribution
from netwatch.signals.closed_bin import ClosedBin

_MAX_NAMES = 5
_MIN_NETWORKS = 2
_MIN_CONSECUTIVE_BINS = 3
_FEW_EVERY = timedelta(hours=1)
"""Time between two warnings of few voices."""


class FaultKind(StrEnum):
    """What is faulty."""

    DEAD_TARGET = "dead_target"
    BROKEN_VANTAGE = "broken_vantage"
    NOISY_VANTAGE = "noisy_vantage"
    BLOCKED_PATH = "blocked_path"
    UNSURE_LEVEL = "unsure_level"
    DOUBTED_LEVEL = "doubted_level"
    FEW_VOICES = "few_voices"


_TEXTS = {
    FaultKind.DEAD_TARGET: "answer no vantage: dead, or their network is out",
    FaultKind.BROKEN_VANTAGE: "lose what others reach, and do not count",
    FaultKind.NOISY_VANTAGE: "report what no other vantage sees, and do not count",
    FaultKind.BLOCKED_PATH: "fail from one network, and answer the others",
    FaultKind.UNSURE_LEVEL: "have no sure level: trusted vantages disagree, or most are mute",
    FaultKind.DOUBTED_LEVEL: "have a level that several independent vantages contradict",
    FaultKind.FEW_VOICES: "are measured from too few networks and owners to be sure",
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
        self._few_at: datetime | None = None

    def report(self, interval: ClosedBin) -> None:
        """Warn of the faults in one bin."""
        counts = interval.counts
        down = self._confirm_down(interval.time, counts, interval.attribution)
        for kind, numbers in list_faults(interval.attribution, down).items():
            subjects = counts.vantages if kind in _OF_VANTAGES else counts.targets
            self._list(kind, (subjects[number].id for number in numbers.tolist()))
        self._list(
            FaultKind.UNSURE_LEVEL, _widest((one.places, one.undecided) for one in interval.places)
        )
        self._list(
            FaultKind.DOUBTED_LEVEL, _widest((one.places, one.doubted) for one in interval.places)
        )
        self._report_few(interval)

    def _report_few(self, interval: ClosedBin) -> None:
        """Warn of places with few voices, once an hour: it is no fault, and it lasts."""
        too_soon = self._few_at is not None and interval.time < self._few_at + _FEW_EVERY
        if interval.counts.one_owner or too_soon:
            return
        few = (
            (one.places, (one.trials > 0) & (one.voices < SURE_VOICES)) for one in interval.places
        )
        if places := _widest(few):
            self._few_at = interval.time
            self._list(FaultKind.FEW_VOICES, places)

    def _confirm_down(
        self, time: datetime, counts: TargetCounts, attribution: Attribution
    ) -> Bools:
        is_new = self._last is None or time > self._last
        names = [target.id for target in counts.targets]
        before = [self._failed_bins.get(name, 0) if is_new else 0 for name in names]
        down, after = confirm_down(counts.responded, attribution, np.array(before, np.intp))
        if is_new:
            self._last = time
            self._failed_bins.update(zip(names, after.tolist(), strict=True))
        return down

    def _list(self, kind: FaultKind, subjects: Iterable[object]) -> None:
        if names := _join(map(str, subjects)):
            self._warn(kind.value, f"{names} {_TEXTS[kind]}")


def list_faults(attribution: Attribution, down: Bools) -> dict[FaultKind, RowArray]:
    """Return the numbers of faulty vantages and targets by kind.

    Vantages for `BROKEN_VANTAGE` and `NOISY_VANTAGE`, else targets; a target that is down with
    its network is not listed. `down` is the first value of `confirm_down`.
    """
    return {
        FaultKind.DEAD_TARGET: np.flatnonzero(down & ~attribution.with_network),
        FaultKind.BROKEN_VANTAGE: np.flatnonzero(attribution.broken > LIKELY),
        FaultKind.NOISY_VANTAGE: np.flatnonzero(attribution.noise > LIKELY),
        FaultKind.BLOCKED_PATH: np.flatnonzero((attribution.blocked > LIKELY).any(axis=0)),
    }


def confirm_down(
    table: VantageTargetTable, attribution: Attribution, failed_bins: RowArray
) -> tuple[Bools, RowArray]:
    """Return which targets are confirmed down, (t,), and `failed_bins` for the next bin, (t,).

    `failed_bins` is in how many consecutive bins before this each target failed. A bin in which
    nobody measures a target leaves its number as it is.
    """
    trusted = trust_vantages(table, attribution)[table.vantage]
    measured = table.sum_by_path(trusted) > 0
    failing = measured & (table.sum_by_path(trusted * table.successes) == 0)
    networks, failing_networks = measured.sum(axis=0), failing.sum(axis=0)
    by_several = (
        (networks >= _MIN_NETWORKS)
        & (failing_networks >= _MIN_NETWORKS)
        & (attribution.dead > LIKELY)
    )
    by_one = (networks == 1) & (failing_networks == 1)
    failed_bins = np.where(
        by_several | by_one, failed_bins + 1, np.where(networks > 0, 0, failed_bins)
    )
    down = by_several | (by_one & (failed_bins >= _MIN_CONSECUTIVE_BINS))
    return np.asarray(down), failed_bins.astype(np.intp)


def _widest(kinds: Iterable[tuple[Sequence[Entity], Bools]]) -> list[Entity]:
    """Return the chosen places of the widest kind that has any."""
    chosen = (list(compress(places, which.tolist())) for places, which in kinds)
    return next(filter(None, chosen), [])


def _join(names: Iterable[str]) -> str:
    distinct = sorted(set(names))
    more = len(distinct) - _MAX_NAMES
    shown = ", ".join(distinct[:_MAX_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
