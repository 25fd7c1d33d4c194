"""From levels to incidents: opens, follows, merges and closes them, one bin after another."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from netwatch.incidents.affected import update_affected
from netwatch.incidents.details import IncidentContext, analyse
from netwatch.incidents.domain_incidents import DomainIncidents, is_path
from netwatch.incidents.episodes import EpisodeHistory, follow_episodes
from netwatch.incidents.excursion import Excursion, is_low, should_open
from netwatch.incidents.lifecycle import GOOD, advance, pass_milestones
from netwatch.incidents.nights import follows, is_missing, night_reason, rest
from netwatch.incidents.open_incident import OpenIncident, write_revision
from netwatch.incidents.patterns import PatternContext
from netwatch.incidents.provisional import (
    ProvisionalTracker,
    answers_as_usual,
    is_suspect,
    next_pending,
    provisional_case,
)
from netwatch.incidents.rules import Rules
from netwatch.incidents.tracker_state import TrackerState, pack_tracker_state, unpack_tracker_state
from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import Incident, IncidentState, RevisionReason
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import ACTIVE_SIGNALS, TRIGGER_SIGNALS, signal_spec
from netwatch.model.thresholds import MIN_COVERAGE

_NEW_LOSS = 0.10
_KINDS = list(EntityKind)
_UNDECIDED = (IncidentState.PENDING, IncidentState.RESOLVED)
"""States in which an incident holds nothing: a sure loss in it is told anew."""
_HOLDING = (IncidentState.CONFIRMED, IncidentState.PARTIALLY_RESTORED)


class Tracker:
    """Keeps one incident for each loss, whatever number of scopes and signals show it.

    Active signals, and several others that agree, open incidents; one of the others alone opens
    provisional ones at most. The widest scope that is low holds the incident, narrower ones
    become its children.
    """

    def __init__(self, atlas: EntityTree, *, width: timedelta, rules: Rules) -> None:
        """Follow levels of bins of `width`."""
        self._atlas = atlas
        self._width = width
        self._rules = rules
        self._watches: dict[Entity, Excursion] = {}
        self._signals: dict[Entity, dict[str, Level]] = {}
        self._logs: dict[Entity, EpisodeHistory] = {}
        self._cases: list[OpenIncident] = []
        self._numbers: dict[str, int] = {}
        self._suspicions = ProvisionalTracker()
        self._dead: set[Entity] = set()
        self._paths = DomainIncidents(rules, width, name=self._number)

    def step(self, levels: Sequence[Level]) -> list[Incident]:
        """Take in all levels of one bin; return the revisions that they make."""
        ways = [level for level in levels if is_path(level.series)]
        if ways:
            levels = [level for level in levels if not is_path(level.series)]
        self._watch(levels)
        now = max((level.time for level in (*levels, *ways)), default=None)
        if now is None:
            return []
        revisions = self._paths.step(ways, now)
        for case in self._cases:
            self._follow(case, now)
            if (reason := self._next(case, now)) is not None:
                revisions.append(self._write(case, reason))
        self._cases = [case for case in self._cases if not self._is_past(case, now)]
        return [*revisions, *self._open(now), *self._suspect(now)]

    def frozen(self) -> set[SeriesKey]:
        """Return the series of every scope that is in an incident, or may be in one."""
        low, alone = self.low_scopes()
        return alone | {
            SeriesKey(signal, entity)
            for entity, signals in self._signals.items()
            for above in [(entity, *self._atlas.ancestors(entity))]
            for signal in signals
            if not low.isdisjoint(above) or any(SeriesKey(signal, one) in alone for one in above)
        }

    def low_scopes(self) -> tuple[set[Entity], set[SeriesKey]]:
        """Return the scopes that are, or may be, in an incident, and the series that alone are."""
        low = {case.entity for case in self._cases if case.state not in _UNDECIDED}
        low |= {entity for entity, watch in self._watches.items() if watch.low_from}
        pending = {case.followed for case in self._cases if case.state is IncidentState.PENDING}
        return low, pending | self._paths.frozen()

    def recall(self, level: Level) -> None:
        """Take in an ordinary level of a lead signal that was not shown when it came."""
        self._logs[level.entity] = follow_episodes(self._log(level.entity), level, self._width)

    def expected(self, time: datetime) -> set[SeriesKey]:
        """Return the series of which a loss at `time` would be the next one of a daily series."""
        return {
            SeriesKey(signal, case.entity)
            for case in self._cases
            if case.expected is not None and case.expected.covers(time)
            for signal in self._signals.get(case.entity, ())
        }

    def drop_quiet(self) -> set[Entity]:
        """Forget entities about which there is nothing to remember; return the others.

        Whoever shows only some levels, to save time, must show all of those that are returned.
        """
        open_scopes = {case.entity for case in self._cases}
        self._watches = {
            entity: watch
            for entity, watch in self._watches.items()
            if (watch.reduced_from or watch.low_from) is not None
            or not open_scopes.isdisjoint((entity, *self._atlas.ancestors(entity)))
        }
        alone = (*self._suspicions.watches, *self._paths.watches)
        return set(self._watches) | {key.entity for key in alone}

    def snapshots(self) -> list[Incident]:
        """Return what would be said of each open incident now; it is not part of the record."""
        found = []
        for case in sorted(self._cases, key=lambda one: _KINDS.index(one.entity.kind)):
            if case.state not in _UNDECIDED:
                now = msgspec.structs.replace(case, told=self._watches[case.entity].level)
                found.append(self._revise(now, RevisionReason.MILESTONE))
        return found

    def save(self) -> bytes:
        """Return the whole state."""
        memory = TrackerState(
            self._watches, self._signals, self._logs, self._cases, self._numbers,
            self._suspicions.watches, self._dead, self._paths.watches, self._paths.cases,
        )  # fmt: skip
        return pack_tracker_state(memory)

    def load(self, state: bytes) -> None:
        """Take up a saved state.

        Raises:
            StoreError: it is damaged or of another version.
        """
        memory = unpack_tracker_state(state)
        self._watches, self._signals, self._logs = memory.watches, memory.signals, memory.logs
        self._cases, self._numbers = memory.cases, memory.numbers
        self._suspicions, self._dead = ProvisionalTracker(memory.suspicions), memory.dead
        self._paths.watches, self._paths.cases = memory.paths, memory.path_cases

    def _watch(self, levels: Sequence[Level]) -> None:
        """Show every level to its entity's watch; the lead signal alone moves it."""
        pending = [case for case in self._cases if case.state is IncidentState.PENDING]
        needed = {
            SeriesKey(case.lead, entity)
            for case in pending
            for entity in (case.entity, *(child.entity for child in case.children.values()))
        }
        self._suspicions.see(levels, needed=needed, width=self._width)
        leads = {case.entity: case.lead for case in self._cases if case not in pending}
        for level in levels:
            signals = self._signals.setdefault(level.entity, {})
            signals[level.series.signal] = level
            self._note_dead(level)
            usual = next((name for name in TRIGGER_SIGNALS if name in signals), "")
            lead = leads.get(level.entity, usual)
            if level.series.signal != lead or level.coverage < MIN_COVERAGE:
                continue
            self._watches.setdefault(level.entity, Excursion(level)).see(level, self._width)
            self.recall(level)

    def _note_dead(self, level: Level) -> None:
        """Note what never answered in ordinary times, as the detector says of its level."""
        if not level.usable and signal_spec(level.series.signal).active:
            self._dead.add(level.entity)
        elif level.value is not None:
            self._dead.discard(level.entity)

    def _open(self, now: datetime) -> list[Incident]:
        """Open an incident for every scope that held long enough, the widest first."""
        ripe = [entity for entity, watch in self._watches.items() if self._is_ripe(entity, watch)]
        revisions = []
        for entity in sorted(ripe, key=lambda one: (_KINDS.index(one.kind), one.code)):
            if self._is_covered(entity):
                continue
            case, reason = self._reopened(entity, now), RevisionReason.RELAPSED
            if case is None:
                case, reason = self._new_case(entity, now), RevisionReason.CONFIRMED
            elif follows(case, self._watches[entity].onset):
                reason = RevisionReason.RECURRED if case.series else RevisionReason.RECURRING
                case.series = True
            pass_milestones(case, now, self._rules)
            revisions.append(self._write(case, reason))
            revisions.extend(self._absorb(case))
        return revisions

    def _is_ripe(self, entity: Entity, watch: Excursion) -> bool:
        """Return whether a scope is in a loss that opens an incident, and in a new one."""
        hold = self._rules.min_duration(entity.kind)
        part = not self._watches.keys().isdisjoint(self._atlas.ancestors(entity))
        return should_open(watch, hold, self._width, part=part) and not self._is_settled(
            entity, watch.level
        )

    def _is_settled(self, entity: Entity, level: Level) -> bool:
        """Return whether the level is where the last loss ended, rather than in a new one.

        Some never come back in full: what settles at 88 % is neither still out nor out again.
        """
        return any(
            case.entity == entity
            and case.state is IncidentState.RESOLVED
            and (level.value or 0.0) > max(case.told.value or 0.0, GOOD) - _NEW_LOSS
            for case in self._cases
        )

    def _is_covered(self, entity: Entity, *, by: tuple[IncidentState, ...] = _HOLDING) -> bool:
        """Return whether an open incident, or a wider scope that may open one, holds `entity`."""
        scopes = (entity, *self._atlas.ancestors(entity))
        if any(case.entity in scopes and case.state in by for case in self._cases):
            return True
        waiting = (self._watches.get(scope) for scope in scopes[1:])
        return any(watch is not None and watch.low_from is not None for watch in waiting)

    def _new_case(self, entity: Entity, now: datetime) -> OpenIncident:
        """Make the case of a loss that is sure for the first time, the provisional one's if any."""
        watch = self._watches[entity]
        onset = watch.onset
        before = next((case for case in self._cases if case.entity == entity), None)
        first = watch.provisional_at or now
        case = OpenIncident(
            id=before.id if before else self._next_id(entity, onset),
            entity=entity,
            started_at=onset,
            started_low=watch.ordinary_at or onset - self._width,
            started_high=watch.low_from or onset,
            provisional_at=min(first, before.provisional_at) if before else first,
            confirmed_at=now + self._width,
            trough=watch.lowest or watch.level,
            told_at=now,
            told=watch.level,
            lead=self._lead(entity),
            revision=before.revision if before else 0,
            children={},
        )
        self._cases = [*(one for one in self._cases if one is not before), case]
        case.notes.recall(self._log(entity).recent, since=onset, until=now)
        self._follow(case, now)
        return case

    def _suspect(self, now: datetime) -> list[Incident]:
        """Open a provisional incident for every loss that is likely and not yet sure."""
        ripe = [
            (SeriesKey("", entity), watch)
            for entity, watch in self._watches.items()
            if watch.level.time == now
            and is_suspect(watch)
            and watch.held(self._width) >= self._rules.min_duration(entity.kind)
        ]
        ripe += self._suspicions.ripe(now)
        revisions = []
        for key, watch in sorted(ripe, key=lambda one: (_KINDS.index(one[0].entity.kind), one[0])):
            entity, signals = key.entity, self._signals[key.entity]
            alone = key.signal and answers_as_usual(signals, now)
            if alone or self._is_covered(entity, by=(*_HOLDING, IncidentState.PENDING)):
                continue
            onset = watch.lost_from or watch.onset
            case = provisional_case(self._next_id(entity, onset), watch, now, self._width)
            self._cases.append(case)
            self._follow(case, now)
            revisions.append(self._write(case, RevisionReason.OPENED))
            revisions.extend(self._absorb(case))
        return revisions

    def _follow(self, case: OpenIncident, now: datetime) -> None:
        """Note which narrower scopes of a case fell, and which came back, and how it goes."""
        watches = self._excursions(case)
        if case.entity in watches and case.state in (*_HOLDING, IncidentState.PENDING):
            networks = self._atlas.leaf_weights(case.entity)
            below = {entity: watches[entity] for entity in networks if entity in watches}
            level = watches[case.entity].level
            if level.time == now:
                case.notes.see(level, below)
        update_affected(case, watches, self._atlas, now=now, apart=self._rules.reopen_window)

    def _next(self, case: OpenIncident, now: datetime) -> RevisionReason | None:
        """Move a case on by one bin; return why a revision must be written, if one must."""
        watch = self._excursions(case).get(case.entity)
        if case.state is not IncidentState.PENDING:
            return self._next_sure(case, watch, now)
        passive = not signal_spec(case.lead).trigger
        usual = passive and answers_as_usual(self._signals[case.entity], now)
        return next_pending(case, watch, now, self._rules, usual=usual)

    def _next_sure(
        self, case: OpenIncident, watch: Excursion | None, now: datetime
    ) -> RevisionReason | None:
        """Move a case on that is no provisional one: a loss, or a series between two of them."""
        log, end = self._log(case.entity), now + self._width
        measured = watch is not None and watch.level.time == now
        if is_missing(case, log, end, measured=measured):
            case.expected = None
            return RevisionReason.RECURRENCE_ENDED if case.series else None
        reason = advance(case, watch, now, self._rules)
        if reason is RevisionReason.RESTORED:
            rest(case, log, PatternContext(end, self._atlas.timezone(case.entity), self._width))
        return None if reason is None else night_reason(case, reason)

    def _excursions(self, case: OpenIncident) -> Mapping[Entity, Excursion]:
        """Return the excursions by which a case is followed: those of its signal, if passive."""
        if signal_spec(case.lead).trigger or case.confirmed_at is not None:
            return self._watches
        return self._suspicions.of(case.lead)

    def _lead(self, entity: Entity) -> str:
        """Return the signal that an incident follows: an active one, where it shows the loss.

        Others return days apart, and must not hold open what users have back.
        """
        signals = self._signals[entity]
        for name in ACTIVE_SIGNALS:
            if name in signals and is_low(signals[name]):
                return name
        return self._watches[entity].level.series.signal

    def _reopened(self, entity: Entity, now: datetime) -> OpenIncident | None:
        """Return the resolved case of `entity` that a new loss continues, opened again."""
        resolved = [case for case in self._cases if case.state is IncidentState.RESOLVED]
        for case in resolved:
            soon = now - case.told_at <= self._rules.reopen_window
            if case.entity == entity and (soon or follows(case, self._watches[entity].onset)):
                case.state, case.ended_at = IncidentState.CONFIRMED, None
                case.told_at, case.told = now, self._watches[entity].level
                case.back_from, case.good_from, case.rising = None, None, 0
                return case
        self._cases = [
            case for case in self._cases if case.entity != entity or case not in resolved
        ]
        return None

    def _absorb(self, case: OpenIncident) -> list[Incident]:
        """Merge younger incidents of narrower scopes into `case`; return their last revisions."""
        revisions = []
        for other in self._cases:
            below = case.entity in self._atlas.ancestors(other.entity)
            near = abs(other.started_at - case.started_at) <= self._rules.merge_window
            sure = case.state is not IncidentState.PENDING
            holds = other.state in (_HOLDING if sure else ()) or other.confirmed_at is None
            if below and near and holds:
                other.state, other.parent = IncidentState.MERGED, case.id
                revisions.append(self._write(other, RevisionReason.MERGED))
        self._cases = [other for other in self._cases if other.state is not IncidentState.MERGED]
        return revisions

    def _write(self, case: OpenIncident, reason: RevisionReason) -> Incident:
        """Write the next revision of a case from the newest levels."""
        case.told = self._excursions(case)[case.entity].level
        case.told_at = case.told.time
        return self._revise(case, reason)

    def _revise(self, case: OpenIncident, reason: RevisionReason) -> Incident:
        """Return the revision of `case` that follows from the watches below it."""
        weights = self._atlas.leaf_weights(case.entity)
        watches = self._excursions(case)
        networks = {one: (watches[one], weights[one]) for one in weights if one in watches}
        signals = self._signals.get(case.entity, {})
        scene = IncidentContext(
            self._atlas, self._log(case.entity), signals, self._dead, self._width
        )
        return write_revision(case, reason, networks, signals, found=analyse(case, scene))

    def _log(self, entity: Entity) -> EpisodeHistory:
        """Return the losses of an entity."""
        return self._logs.get(entity, EpisodeHistory())

    def _is_past(self, case: OpenIncident, now: datetime) -> bool:
        """Return whether a case can no longer reopen, nor says where the level has settled."""
        if case.state is not IncidentState.RESOLVED:
            return case.state is IncidentState.EXPIRED
        if case.expected is not None:
            return False
        watch = self._watches.get(case.entity)
        low = watch is not None and watch.low_from is not None
        return not low and now - case.told_at > self._rules.reopen_window

    def _next_id(self, entity: Entity, onset: datetime) -> str:
        """Return `NW-<country>-<year>-<number>`; XX stands for no country."""
        country = self._atlas.country(entity)
        return self._number(country.code if country else "", onset)

    def _number(self, country: str, onset: datetime) -> str:
        """Return the next number of a country's year."""
        prefix = f"NW-{country or 'XX'}-{onset.year}"
        self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}-{self._numbers[prefix]:04d}"
