"""Agreement that matters: whether an agent saw targets fall and rise as others saw them.

A target that is always up is easy to claim. So only the first minutes after a target changed are
judged, when nobody can know its state who does not measure it. Of an agent's judged falls and rises
the caught shares are kept apart: who always claims "up", always "down", or yesterday's state,
catches one kind at the cost of the other. A bin counts once for each kind, however many targets
changed in it.

An agent is compared with vantages on its side of the target's border only, and never judged wrong
for a view that another owner in its network, or the majority of its country, shares. A vantage that
reaches almost nothing is offline or in a cut, and is not judged.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.vantage_trust import OWN_VANTAGE, VantageTrust, Weights

_FRESH_BINS = 3
"""Bins after a change in which its target is judged."""
_MIN_OWNERS = 2
"""Owners other than an agent's own that must agree on what it should have seen."""
_CLEAR = 0.8
"""Share of the votes that decides what a target's state is."""
_MIN_REACHED = 0.1
"""Share of its targets that a vantage reaches if it is online."""
_Side = tuple[str, bool]
"""A target, and whether it is measured from inside its country."""


@dataclass(frozen=True, slots=True)
class Caught:
    """Units of falls and rises that an agent was judged on, and how much of them it caught."""

    falls: float = 0.0
    caught_falls: float = 0.0
    rises: float = 0.0
    caught_rises: float = 0.0


@dataclass(frozen=True, slots=True)
class _View:
    vantage: Vantage
    trust: VantageTrust
    is_up: bool


@dataclass(slots=True)
class _Seen:
    is_up: bool
    changed: datetime | None = None


@dataclass(slots=True)
class _Marks:
    right: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    judged: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})


class AgreementJudge:
    """Follows the state of each target, bin after bin; a restart forgets one change at most."""

    def __init__(self, width: timedelta) -> None:
        self._fresh = _FRESH_BINS * width
        self._states: dict[_Side, _Seen] = {}

    def judge(
        self,
        time: datetime,
        rows: Iterable[tuple[Vantage, Measurement]],
        targets: Mapping[str, Target],
        weights: Weights,
    ) -> dict[str, Caught]:
        """Return how each agent did in the bin that starts at `time`, by name."""
        marks: defaultdict[str, _Marks] = defaultdict(_Marks)
        for side, views in _by_side(rows, targets, weights).items():
            state = _consensus(views)
            if state is None or not self._is_fresh(side, time, is_up=state):
                continue
            for view in views:
                if _consensus(views, without=view.trust.owner) is not state:
                    continue
                if view.is_up is state or not _is_shared(view, views):
                    marks[view.vantage.id].judged[state] += 1
                    marks[view.vantage.id].right[state] += view.is_up is state
        return {name: _caught(mark) for name, mark in marks.items()}

    def _is_fresh(self, side: _Side, time: datetime, *, is_up: bool) -> bool:
        seen = self._states.setdefault(side, _Seen(is_up))
        if seen.is_up is not is_up:
            seen.is_up, seen.changed = is_up, time
        return seen.changed is not None and time - seen.changed < self._fresh


def _by_side(
    rows: Iterable[tuple[Vantage, Measurement]], targets: Mapping[str, Target], weights: Weights
) -> dict[_Side, list[_View]]:
    """Return what every vantage that is online saw of each target, in one bin."""
    counts: defaultdict[Vantage, dict[str, list[int]]] = defaultdict(dict)
    for vantage, row in rows:
        if row.target in targets and row.scope != FailureScope.LOCAL:
            count = counts[vantage].setdefault(row.target, [0, 0])
            count[row.host_responded] += 1
    views: defaultdict[_Side, list[_View]] = defaultdict(list)
    for vantage, seen in counts.items():
        if sum(up > 0 for _, up in seen.values()) < _MIN_REACHED * len(seen):
            continue
        trust = weights.get((vantage.id, vantage.country), OWN_VANTAGE)
        for name, (down, up) in seen.items():
            side = name, vantage.country == targets[name].country
            views[side].append(_View(vantage, trust, up > down))
    return views


def _consensus(views: Iterable[_View], *, without: str | None = None) -> bool | None:
    """Return whether a target is up by the votes of its owners, one each; None if not clear."""
    votes: defaultdict[str, list[bool]] = defaultdict(list)
    for view in views:
        if view.trust.owner != without and view.trust.weight > 0:
            votes[view.trust.owner].append(view.is_up)
    shares = [sum(each) / len(each) for each in votes.values()]
    if len(shares) < _MIN_OWNERS:
        return None
    up = sum(shares) / len(shares)
    return None if 1 - _CLEAR < up < _CLEAR else up >= _CLEAR


def _is_shared(view: _View, views: list[_View]) -> bool:
    """Return whether others near a vantage saw the same: its network, or most of its country."""
    others = [one for one in views if one.trust.owner != view.trust.owner and one.trust.weight > 0]
    here = [one.is_up for one in others if one.vantage.country == view.vantage.country]
    network = [
        one.is_up
        for one in others
        if view.vantage.asn and one.vantage.entities() == view.vantage.entities()
    ]
    return view.is_up in network or 2 * here.count(view.is_up) > len(here) > 0


def _caught(mark: _Marks) -> Caught:
    shares = [mark.right[up] / mark.judged[up] if mark.judged[up] else 0.0 for up in (False, True)]
    falls, rises = (float(mark.judged[up] > 0) for up in (False, True))
    return Caught(falls, shares[0], rises, shares[1])
