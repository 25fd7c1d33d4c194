"""Decides in each interval whose measurements count, and learns from them which agents to trust."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from netwatch.collector.agreement import AgreementJudge, Caught
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.canary import (
    CanaryCheck,
    check_canaries,
    is_canary,
    without_our_own_fault,
)
from netwatch.collector.metrics import CollectorMetrics
from netwatch.collector.newcomers import (
    COVERAGE,
    Row,
    WeightedRows,
    covered_places,
    divide,
    measured_places,
)
from netwatch.collector.trust_weights import (
    UNPROVED,
    EarnedTrust,
    FirstSeen,
    Key,
    Reason,
    earned_trust,
    usable_weights,
)
from netwatch.model.measurement import Measurement, Target
from netwatch.model.time import floor_time
from netwatch.model.vantage_trust import OPEN_OWNER, OWN_VANTAGE, VantageTrust, Weights

_MAX_PLACES = 5
"""Places named in one line."""
_MAX_HOURS = 8
"""Hours for which the trust in agents is kept, so that late intervals do not cost it anew."""
_STRANGER = VantageTrust(0.0, OPEN_OWNER)
"""Trust in an agent that was neither invited nor released."""
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_NOT_COUNTED = {
    Reason.CROWD: ("crowd", "came in a crowd and wait; look at: netwatch agents list"),
    Reason.OPEN: ("untrusted_agents", "never enrolled and do not count"),
    Reason.LIE: ("false_canary", "sent wrong answers of canaries and do not count"),
    Reason.CONTRARY: ("contrary_agents", "often saw what no other saw, and do not count"),
}
"""Alert and its text, by the reason for which agents do not count."""


class TrustKeeper:
    """Keeps the trust in agents, in the tables of the batch log; used by one thread at a time.

    Who counts in addition to enrolled agents is `trust` of the batch log.

    Raises:
        StoreError: from every method.
    """

    def __init__(
        self,
        batch_log: BatchLog,
        targets: Mapping[str, Target],
        *,
        width: timedelta,
        metrics: CollectorMetrics,
    ) -> None:
        self._batch_log = batch_log
        self._targets = targets
        self._width = width
        self._metrics = metrics
        self._judge = AgreementJudge(width)
        self._known: dict[datetime, tuple[list[FirstSeen], dict[Key, EarnedTrust]]] = {}
        self._own: set[str] = set()
        self._strangers: set[str] = set()
        self._has_granted = False
        self._found: dict[Key, EarnedTrust] = {}
        self._published: dict[str, VantageTrust] | None = None
        self._day: datetime | None = None
        self._places: set[tuple[str, str]] = set()

    def divide(
        self, rows: Sequence[Row], start: datetime, end: datetime
    ) -> tuple[WeightedRows, WeightedRows]:
        """Return the measurements of established vantages, and those of newcomers that count.

        Canaries and unknown targets are in neither. Who measured what is recorded.
        """
        targets = dict(self._targets)  # which reloads a list that changed
        rows = [
            (vantage, row)
            for vantage, row in rows
            if (target := targets.get(row.target)) and not is_canary(target)
        ]
        self._found = found = self._earned_trust(end, rows)
        measured = measured_places(rows, self._targets)
        measured = {one for one in measured if one[0] not in self._strangers}
        self._record_places(measured, floor_time(start, _DAY))
        known = self._batch_log.measured(start - COVERAGE, end)
        covered = covered_places(known, found, self._own)
        established, newcomers = divide(rows, self._targets, found, covered=covered)
        self._warn(found, newcomers)
        self._warn_of_unproved({name for name, _ in measured}, end)
        return established, newcomers

    def learn(self, rows: Sequence[Row], *, is_first: bool) -> None:
        """Record what the measurements that `divide` got last prove of each agent.

        Agreement is judged when their interval is counted first: late rows prove nothing there.
        """
        by_time: defaultdict[datetime, list[Row]] = defaultdict(list)
        for vantage, row in rows:
            by_time[floor_time(row.time, self._width)].append((vantage, row))
        until = self._batch_log.judged_until()
        weights = usable_weights(self._found)
        for time in sorted(by_time):
            caught: dict[str, Caught] = {}
            is_new = is_first and (until is None or time >= until)
            if is_new:
                judged = [one for one in by_time[time] if self._is_judged(one[1])]
                caught = self._judge.judge(time, judged, self._targets, weights)
            checks = self._check_canaries(by_time[time], weights)
            for name in self._strangers:
                caught.pop(name, None)
                checks.pop(name, None)
            if checks or caught or until is None:
                judged_until = time + self._width if is_new else None
                self._batch_log.record_proofs(time, checks, caught, judged_until=judged_until)
                until = judged_until or until

    def publish_trust(self, write: Callable[[Mapping[str, VantageTrust]], None]) -> None:
        """Write the trust in every vantage by its name, if it has changed since it was written.

        One that claims several countries has the least of its weights. Those that are missing have
        none, so where nobody else measures, one entry stands for all that were never invited.
        """
        trust = dict.fromkeys(self._own, OWN_VANTAGE)
        for (name, _), one in usable_weights(self._found).items():
            if name not in self._strangers:
                known = trust.get(name, OWN_VANTAGE)
                trust[name] = min(known, one, key=lambda each: each.weight)
        if self._strangers and not trust:
            trust[""] = _STRANGER
        if trust != self._published:
            write(trust)
            self._published = trust

    def _is_judged(self, row: Measurement) -> bool:
        target = self._targets.get(row.target)
        return target is not None and not is_canary(target)

    def _check_canaries(self, rows: Sequence[Row], weights: Weights) -> dict[str, CanaryCheck]:
        masses: dict[str, float] = {}
        answers: defaultdict[str, list[tuple[Target, Measurement]]] = defaultdict(list)
        for vantage, row in rows:
            target = self._targets.get(row.target)
            if target is not None and is_canary(target):
                answers[vantage.id].append((target, row))
                key = vantage.id, vantage.country
                masses[vantage.id] = weights.get(key, OWN_VANTAGE).weight
        secret = self._batch_log.trust.canary_secret
        checks = {name: check_canaries(secret, name, each) for name, each in answers.items()}
        answered = {name: one for name, one in checks.items() if one != CanaryCheck()}
        return without_our_own_fault(answered, masses)

    def _earned_trust(self, at: datetime, rows: Sequence[Row]) -> dict[Key, EarnedTrust]:
        """Return what the agents have earned, computed once an hour.

        Strangers, who have no weight and whose number nothing limits, are looked at only while
        they measure.
        """
        self._grant(at)
        hour, own_keys = floor_time(at, _HOUR), self._batch_log.trust.own_keys()
        self._own = self._batch_log.names_of(own_keys)
        weight = self._batch_log.trust.open_weight
        seen = self._batch_log.first_seen(own_keys, at=hour, with_open=weight > 0)
        known = self._known.pop(hour, None)
        if known is None or known[0] != seen:
            known = seen, earned_trust(seen, hour, open_weight=weight)
        self._known[hour] = known  # the last one is the newest
        if len(self._known) > _MAX_HOURS:
            del self._known[next(iter(self._known))]
        found = known[1]
        keys = {(one.id, one.country) for one, _ in rows if one.id not in self._own}
        stranger = EarnedTrust(_STRANGER, at, at, 0, Reason.OPEN)
        strangers = dict.fromkeys(keys - found.keys(), stranger)
        self._strangers = {name for name, _ in strangers} - {name for name, _ in found}
        return found | strangers

    def _grant(self, at: datetime) -> None:
        """Credit agents of a file from before there were proofs, before they are judged by them."""
        if not self._has_granted and self._batch_log.judged_until() is None:
            self._batch_log.record_proofs(at, {}, {}, judged_until=None)
        self._has_granted = True

    def _record_places(self, measured: set[tuple[str, str]], day: datetime) -> None:
        """Record who measured what on one day, once a day."""
        if self._day is not None and day < self._day:  # late rows begin no day
            self._batch_log.record_places(measured, day)
            return
        if day != self._day:
            self._day, self._places = day, set()
            self._batch_log.sum_old_proofs(day)
            for group, names in self._batch_log.judge_groups(day - _DAY).items():
                text = f"{len(names)} agents of {group} turned together and count less"
                self._metrics.warn(self._metrics.alerts, "turned_group", text)
        if new := measured - self._places:
            self._batch_log.record_places(new, day)
            self._places |= new

    def _warn_of_unproved(self, names: set[str], at: datetime) -> None:
        """Say what is missing if agents measure for a week and nothing can prove it."""
        unproved = {
            name for (name, _), one in self._found.items() if name in names and one.is_unproved(at)
        }
        if unproved:
            text = f"{len(unproved)} agents do not count: {UNPROVED}"
            self._metrics.warn(self._metrics.alerts, "unproved_agents", text)

    def _warn(self, found: Mapping[Key, EarnedTrust], newcomers: WeightedRows) -> None:
        for reason, (kind, text) in _NOT_COUNTED.items():
            names = {name for (name, _), one in found.items() if one.reason is reason}
            if names:
                self._metrics.warn(self._metrics.alerts, kind, f"{len(names)} agents {text}")
        places = sorted({place for _, place in measured_places(newcomers.rows, self._targets)})
        if places:
            text = f"only new agents measure {', '.join(places[:_MAX_PLACES])}: cannot be sure"
            self._metrics.warn(self._metrics.alerts, "only_newcomers", text)
