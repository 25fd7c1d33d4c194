"""Sites lost from one place alone: blocked, or slower than ever, and no outage of anything.

A series such as `blocking:IR` of a domain says how much got through from there, while the site
answers elsewhere; `speed:IR` at what share of its ordinary pace it comes. Each loss of one is
an incident of the domain, told as what it is. A country's incident holds those of its networks.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from netwatch.incidents.excursion import Excursion, is_low, should_open
from netwatch.incidents.lifecycle import advance
from netwatch.incidents.open_incident import OpenIncident, RevisionContext, write_revision
from netwatch.incidents.rules import Rules
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident import OUTAGE, AffectedEntity, Incident, IncidentState, RevisionReason
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import signal_spec
from netwatch.model.thresholds import LOW

_NETWORK = "AS"
_NETWORKS = 2
"""Networks of a place that must lose a site before it is said of more than one."""
_SILENT = {
    RevisionReason.MILESTONE,
    RevisionReason.MATERIAL,
    RevisionReason.PARTIALLY_RESTORED,
    RevisionReason.RELAPSED,
}


def is_path(series: SeriesKey) -> bool:
    """Return whether a series is about the way from one place to a site."""
    at_domain = series.entity.kind is EntityKind.DOMAIN and ":" in series.signal
    return at_domain and signal_spec(series.signal).incident_kind != OUTAGE


class DomainIncidents:
    """Keeps one incident for each site and place; what is ordinary is not kept."""

    def __init__(
        self, rules: Rules, width: timedelta, *, name: Callable[[str, datetime], str]
    ) -> None:
        """Follow levels of bins of `width`; `name` gives an incident of a country its number."""
        self._rules, self._width, self._name = rules, width, name
        self.watches: dict[SeriesKey, Excursion] = {}
        self.cases: list[OpenIncident] = []

    def step(self, levels: Iterable[Level], now: datetime) -> list[Incident]:
        """Take in the levels of one bin; return the revisions that they make."""
        followed = {case.followed for case in self.cases}
        for level in levels:
            if is_path(level.series):
                self._see(level, followed)
        revisions = []
        for case in self.cases:
            watch = self.watches.get(case.followed)
            reason = advance(case, watch, now, self._rules)
            if watch is not None and reason is not None and reason not in _SILENT:
                revisions.append(self._write(case, watch, reason))
        self.cases = [one for one in self.cases if one.state is not IncidentState.RESOLVED]
        return revisions + self._open(now)

    def frozen(self) -> set[SeriesKey]:
        """Return the series in which nothing is learned: those of open incidents and losses."""
        lost = {key for key, watch in self.watches.items() if watch.low_from is not None}
        return lost | {case.followed for case in self.cases}

    def _see(self, level: Level, followed: set[SeriesKey]) -> None:
        """Show one level to its watch; forget what is quiet again."""
        watch = self.watches.get(level.series)
        if watch is None:
            if level.value is None or level.value >= LOW:
                return
            watch = self.watches[level.series] = Excursion(level)
        watch.see(level, self._width)
        quiet = watch.reduced_from is None and watch.under_from is None
        if quiet and level.series not in followed:
            del self.watches[level.series]

    def _open(self, now: datetime) -> list[Incident]:
        """Open an incident for every loss that held long enough, countries first."""
        revisions = []
        for key in sorted(self.watches, key=lambda one: (_is_network(one), one)):
            watch = self.watches[key]
            ripe = should_open(watch, self._rules.min_duration_network, self._width)
            if watch.level.time != now or not ripe or self._is_held(key):
                continue
            case = self._case(key, watch, now)
            self.cases.append(case)
            revisions.append(self._write(case, watch, RevisionReason.CONFIRMED))
            revisions.extend(self._absorb(case))
        return revisions

    def _is_held(self, key: SeriesKey) -> bool:
        """Return whether an incident of this path, or a country's of the site, is open."""
        kind = key.signal.partition(":")[0]
        return any(
            case.entity == key.entity
            and (case.lead == key.signal or (_is_network(key) and not _is_network(case.followed)))
            and case.lead.partition(":")[0] == kind
            for case in self.cases
        )

    def _case(self, key: SeriesKey, watch: Excursion, now: datetime) -> OpenIncident:
        """Make the case of a loss that is told for the first time."""
        place = key.signal.partition(":")[2]
        onset = watch.onset
        return OpenIncident(
            id=self._name("" if _is_network(key) else place, onset),
            entity=key.entity,
            started_at=onset,
            started_low=watch.ordinary_at or onset - self._width,
            started_high=watch.low_from or onset,
            provisional_at=watch.provisional_at or now + self._width,
            confirmed_at=now + self._width,
            trough=watch.lowest or watch.level,
            told_at=now,
            told=watch.level,
            lead=key.signal,
            children={},
        )

    def _absorb(self, case: OpenIncident) -> list[Incident]:
        """Merge the incidents of networks into that of a country; return their last revisions."""
        if _is_network(case.followed):
            return []
        kind, revisions = case.lead.partition(":")[0], []
        for other in self.cases:
            same = other.entity == case.entity and other.lead.partition(":")[0] == kind
            near = abs(other.started_at - case.started_at) <= self._rules.merge_window
            if other is not case and same and near and _is_network(other.followed):
                other.state, other.parent = IncidentState.MERGED, case.id
                watch = self.watches[other.followed]
                revisions.append(self._write(other, watch, RevisionReason.MERGED))
        self.cases = [one for one in self.cases if one.state is not IncidentState.MERGED]
        return revisions

    def _write(self, case: OpenIncident, watch: Excursion, reason: RevisionReason) -> Incident:
        """Write the next revision of a case; networks that lose the site are its parts."""
        case.told, case.told_at = watch.level, watch.level.time
        networks = self._networks(case)
        for entity, own in networks.items():
            if is_low(own.level):
                known = case.children.get(str(entity))
                start = known.started_at if known else own.onset
                case.children[str(entity)] = AffectedEntity(entity, start, None, 1.0)
        lost = sum(is_low(own.level) for own in networks.values())
        if case.ended_at is None and lost >= _NETWORKS:
            case.evidence = 2
        weighed = {entity: (own, 1.0) for entity, own in networks.items()}
        return write_revision(
            case,
            reason,
            weighed,
            {case.lead: watch.level},
            found=RevisionContext(
                kind=signal_spec(case.lead).incident_kind, place=case.lead.partition(":")[2]
            ),
        )

    def _networks(self, case: OpenIncident) -> Mapping[Entity, Excursion]:
        """Return the networks of a country's incident that show a loss of the site."""
        kind = case.lead.partition(":")[0]
        if _is_network(case.followed):
            return {}
        return {
            Entity(EntityKind.ASN, key.signal.partition(f":{_NETWORK}")[2]): watch
            for key, watch in self.watches.items()
            if key.entity == case.entity and _is_network(key) and key.signal.startswith(f"{kind}:")
        }


def _is_network(key: SeriesKey) -> bool:
    """Return whether a path begins in one network; `AS` alone is a country, American Samoa."""
    place = key.signal.partition(":")[2]
    return place.startswith(_NETWORK) and len(place) > len(_NETWORK)
