"""From levels to incidents: opens, follows, merges and resolves them, one bin after another."""

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from netwatch.config import IncidentConfig
from netwatch.incidents.affected import network_weights, part_series, update_affected
from netwatch.incidents.daily_occurrences import (
    is_forecast_missed,
    matches_forecast,
    on_resolved,
)
from netwatch.incidents.details import IncidentContext, write_revision
from netwatch.incidents.episode_history import EpisodeHistory
from netwatch.incidents.excursion import Excursion, is_low
from netwatch.incidents.lifecycle import advance, advance_provisional, pass_milestones
from netwatch.incidents.open_incident import (
    OpenIncident,
    is_domain_series,
    origin_network,
)
from netwatch.incidents.opening import (
    KIND_ORDER,
    breadth,
    is_suspect,
    new_incident,
    next_id,
    reopen,
    should_open,
    shows_no_loss,
)
from netwatch.incidents.recurrence import PatternContext
from netwatch.incidents.tracker_state import TrackerState, unpack_tracker_state
from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import (
    OPEN_STATES,
    OUTAGE,
    Incident,
    IncidentState,
    RevisionReason,
)
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import (
    ACTIVE_SIGNALS,
    CONNECTIVITY,
    REACHABILITY,
    TRIGGER_SIGNALS,
    signal_spec,
)
from netwatch.model.thresholds import CONFIRMED_PROBABILITY, MIN_COVERAGE, RESTORED
from netwatch.model.voices import FewVoices

_NEW_LOSS = 0.10
"""Level below that at which the last incident ended, from which on a loss is a new one."""
_OF_VANTAGES = (CONNECTIVITY, REACHABILITY)
"""Signals whose losses may stand on vantages alone."""
_DOMAIN_REASONS = (RevisionReason.CONFIRMED, RevisionReason.RESTORED, RevisionReason.MERGED)
"""Reasons for which an incident of a domain gets a revision."""


class Tracker:
    """Keeps one incident per loss, however many entities and signals show it.

    An incident is about an entity, or about a domain as seen from one country or network: both
    open, advance and resolve by the same rules. The widest low entity holds the incident, and
    narrower ones become parts of it; so do the networks of a country from which a domain is
    lost. Active signals, or several others that agree, confirm an incident; another signal
    alone opens a provisional one at most, and so do too few independent vantages in a country.
    """

    def __init__(self, tree: EntityTree, *, width: timedelta, config: IncidentConfig) -> None:
        self._tree = tree
        self._width = width
        self._config = config
        self._state = TrackerState()
        self._few: FewVoices = {}

    def step(self, levels: Sequence[Level], few: FewVoices | None = None) -> list[Incident]:
        """Add all levels of one bin; return the new revisions.

        `few` are places whose levels stand on few independent vantages.
        """
        self._few = few or {}
        now = max((level.time for level in levels), default=None)
        if now is None:
            return []
        self._observe([_decided(level) for level in levels])
        revisions = []
        for incident in self._state.incidents:
            self._update_affected(incident, now)
            if (reason := self._advance(incident, now)) is not None:
                revisions.append(self._write(incident, reason))
        self._state.incidents = [
            one for one in self._state.incidents if not self._is_closed(one, now)
        ]
        return [*revisions, *self._open(now)]

    def frozen(self) -> set[SeriesKey]:
        """Return the scopes that are, or may be, in an incident; an empty signal is all signals."""
        incidents = self._state.incidents
        holding = [one for one in incidents if one.state in OPEN_STATES]
        low = {one.entity for one in holding if one.kind == OUTAGE}
        low |= {entity for entity, one in self._state.excursions.items() if one.low.since}
        series = {one.series for one in incidents if one.state is IncidentState.PROVISIONAL}
        series |= {one.series for one in holding if one.kind != OUTAGE}
        domains = self._state.series.domains()
        series |= {key for key, one in domains.items() if one.low.since}
        return series | {SeriesKey("", entity) for entity in low}

    def backfill(self, level: Level) -> None:
        """Add an ordinary level of a leading signal that `step` did not receive."""
        history = self._episodes(level.entity)
        self._state.episodes[level.entity] = history.observe(level, self._width)

    def expected(self, time: datetime) -> set[SeriesKey]:
        """Return the series in which a loss at `time` is forecast."""
        return {
            SeriesKey(signal, incident.entity)
            for incident in self._state.incidents
            if matches_forecast(incident, time)
            for signal in self._state.signals.get(incident.entity, ())
        }

    def drop_quiet(self) -> set[Entity]:
        """Drop the excursions of ordinary entities; return the entities that remain.

        A caller that passes only some levels to `step` must pass all of the returned entities.
        """
        open_scopes = {one.entity for one in self._state.incidents}
        self._state.excursions = {
            entity: one
            for entity, one in self._state.excursions.items()
            if (one.reduced.since or one.low.since) is not None
            or not open_scopes.isdisjoint(self._scopes(entity))
        }
        return set(self._state.excursions) | {key.entity for key in self._state.series.by_series}

    def snapshots(self) -> list[Incident]:
        """Return every confirmed open incident as of now, without adding to the record."""
        current = [copy(one) for one in self._state.incidents if one.state in OPEN_STATES]
        current.sort(key=lambda one: KIND_ORDER.index(one.entity.kind))
        return [self._write(one, RevisionReason.MILESTONE) for one in current]

    def save(self) -> bytes:
        """Return the whole state."""
        return msgspec.msgpack.encode(self._state)

    def load(self, state: bytes) -> None:
        """Restore a saved state.

        Raises:
            StoreError: it is damaged or of another version.
        """
        self._state = unpack_tracker_state(state)

    def _observe(self, levels: Sequence[Level]) -> None:
        """Update excursions and episodes; only the leading signal moves an entity's."""
        incidents = self._state.incidents
        needed = {
            part_series(one, entity)
            for one in incidents
            if one.is_followed_alone
            for entity in (one.entity, *(part.entity for part in one.affected.values()))
        }
        self._state.series.observe(levels, needed=needed)
        leads = {
            one.entity: one.signal
            for one in incidents
            if one.kind == OUTAGE and one.state is not IncidentState.PROVISIONAL
        }
        for level in levels:
            if is_domain_series(level.series):
                continue
            signals = self._state.signals.setdefault(level.entity, {})
            signals[level.series.signal] = level
            self._note_unresponsive(level)
            default = next((name for name in TRIGGER_SIGNALS if name in signals), "")
            lead = leads.get(level.entity, default)
            if level.series.signal != lead or level.coverage < MIN_COVERAGE:
                continue
            excursion = self._state.excursions.setdefault(level.entity, Excursion(level))
            excursion.observe(level)
            self.backfill(level)

    def _note_unresponsive(self, level: Level) -> None:
        if not level.usable and signal_spec(level.series.signal).active:
            self._state.unresponsive[level.entity] = None
        elif level.value is not None:
            self._state.unresponsive.pop(level.entity, None)

    def _update_affected(self, incident: OpenIncident, now: datetime) -> None:
        window = self._config.reopen_window
        excursions = self._excursions(incident)
        update_affected(incident, excursions, now, tree=self._tree, reopen_window=window)

    def _advance(self, incident: OpenIncident, now: datetime) -> RevisionReason | None:
        excursion = self._excursions(incident).get(incident.entity)
        level = excursion.level_at(now) if excursion else None
        if incident.state is IncidentState.PROVISIONAL:
            if level is None:
                return None
            passive = not signal_spec(incident.signal).trigger
            contradicted = passive and shows_no_loss(self._state.signals[incident.entity], now)
            return advance_provisional(incident, level, self._config, contradicted=contradicted)
        episodes, end = self._episodes(incident.entity).episodes, now + self._width
        if is_forecast_missed(incident, episodes, end, measured=level is not None):
            incident.forecast = None
            return RevisionReason.RECURRENCE_ENDED if incident.is_recurring else None
        reason = advance(incident, level, self._config) if level else None
        if reason is None or (incident.kind != OUTAGE and reason not in _DOMAIN_REASONS):
            return None
        if reason is RevisionReason.RESTORED and incident.kind == OUTAGE:
            timezone = self._tree.timezone(incident.entity)
            on_resolved(incident, episodes, PatternContext(end, timezone, self._width))
        # Later occurrences of a daily series are recorded but not posted.
        return RevisionReason.RECURRED if incident.is_recurring else reason

    def _open(self, now: datetime) -> list[Incident]:
        """Open an incident for every loss that lasts long enough, the widest first."""
        revisions = []
        certain = self._certain_losses(now)
        held = [loss for loss in certain if self._is_held(loss[0], now)]
        for key, excursion in certain:
            if (key, excursion) not in held and not self._is_covered(key, OPEN_STATES):
                incident, reason = self._confirm(key, excursion, now)
                pass_milestones(incident, now, self._config)
                revisions += [self._write(incident, reason), *self._merge_children(incident)]
        for key, excursion in [*held, *self._suspected_losses(now)]:
            if not self._is_covered(key, (*OPEN_STATES, IncidentState.PROVISIONAL)):
                incident = self._new_incident(key, excursion, now, confirmed=False)
                revisions += [
                    self._write(incident, RevisionReason.OPENED),
                    *self._merge_children(incident),
                ]
        return revisions

    def _certain_losses(self, now: datetime) -> list[tuple[SeriesKey, Excursion]]:
        """Return the excursions that confirm an incident, the widest first."""
        domains = self._state.series.domains()
        candidates = [(key, one) for key, one in domains.items() if one.level.time == now]
        candidates += [
            (SeriesKey("", entity), one)
            for entity, one in self._state.excursions.items()
            if one.level.probability > CONFIRMED_PROBABILITY
        ]
        certain = [(key, one) for key, one in candidates if self._is_certain(key, one)]
        return sorted(certain, key=lambda one: breadth(one[0]))

    def _is_held(self, key: SeriesKey, now: datetime) -> bool:
        """Return whether only too few independent vantages show the loss of a country."""
        if key.signal or key.entity.kind is not EntityKind.COUNTRY:
            return False
        if not self._few.get(key.entity, False):
            return False
        return not any(
            level.time == now and is_low(level)
            for name, level in self._state.signals[key.entity].items()
            if name not in _OF_VANTAGES
        )

    def _suspected_losses(self, now: datetime) -> list[tuple[SeriesKey, Excursion]]:
        """Return the excursions that open a provisional incident, the widest first."""
        candidates = [
            (SeriesKey("", entity), one)
            for entity, one in self._state.excursions.items()
            if one.level.time == now
            and is_suspect(one)
            and one.low.length(now + self._width) >= self._config.min_duration(entity.kind)
        ]
        candidates += [
            (key, one)
            for key, one in self._state.series.by_series.items()
            if one.level.time == now
            and is_suspect(one)
            and not is_domain_series(key)
            and not shows_no_loss(self._state.signals[key.entity], now)
        ]
        return sorted(candidates, key=lambda one: breadth(one[0]))

    def _is_certain(self, key: SeriesKey, excursion: Excursion) -> bool:
        """Return whether an excursion confirms an incident and is a new loss."""
        min_duration = self._config.min_duration(key.entity.kind)
        ancestors = () if key.signal else self._tree.ancestors(key.entity)
        has_parent = not self._state.excursions.keys().isdisjoint(ancestors)
        if not should_open(excursion, min_duration, self._width, has_parent=has_parent):
            return False
        resolved = self._find(key, IncidentState.RESOLVED)
        if resolved is None:
            return True
        # Some losses never end in full: a level that settles at 88 % opens no new incident.
        restored = max(resolved.published.value or 0.0, RESTORED)
        return (excursion.level.value or 0.0) <= restored - _NEW_LOSS

    def _find(self, key: SeriesKey, state: IncidentState) -> OpenIncident | None:
        """Return the incident of this entity and kind of loss that is in `state`."""
        kind = signal_spec(key.signal).incident_kind
        own = (one for one in self._state.incidents if one.entity == key.entity)
        return next((one for one in own if one.kind == kind and one.state is state), None)

    def _is_covered(self, key: SeriesKey, states: Collection[IncidentState]) -> bool:
        """Return whether an incident, or a wider entity that may open one, contains `key`."""
        if any(self._contains(one, key) and one.state in states for one in self._state.incidents):
            return True
        if is_domain_series(key):
            return False
        wider = map(self._state.excursions.get, self._tree.ancestors(key.entity))
        return any(one is not None and one.low.since is not None for one in wider)

    def _contains(self, incident: OpenIncident, key: SeriesKey) -> bool:
        """Return whether `key` is the scope of an incident, or a part of it."""
        if not is_domain_series(key):
            return incident.kind == OUTAGE and incident.entity in self._scopes(key.entity)
        same_loss = incident.kind == signal_spec(key.signal).incident_kind
        if not same_loss or incident.entity != key.entity:
            return False
        wider = origin_network(key) is not None and origin_network(incident.series) is None
        return wider or incident.signal == key.signal

    def _confirm(
        self, key: SeriesKey, excursion: Excursion, now: datetime
    ) -> tuple[OpenIncident, RevisionReason]:
        """Return the resolved incident that a loss continues, or a new one; drop an older one."""
        resolved = self._find(key, IncidentState.RESOLVED)
        if resolved is not None:
            forecast = matches_forecast(resolved, excursion.onset)
            if forecast or now - resolved.published.time <= self._config.reopen_window:
                return resolved, reopen(resolved, forecast=forecast)
            self._drop(resolved)
        return self._new_incident(key, excursion, now, confirmed=True), RevisionReason.CONFIRMED

    def _new_incident(
        self, key: SeriesKey, excursion: Excursion, now: datetime, *, confirmed: bool
    ) -> OpenIncident:
        """Return a new incident, confirmed or provisional; a provisional one is confirmed."""
        signal = key.signal
        if not signal:
            signal = self._lead(key.entity) if confirmed else excursion.level.series.signal
        series = SeriesKey(signal, key.entity)
        incident = new_incident(series, excursion, now, width=self._width, confirmed=confirmed)
        provisional = self._find(key, IncidentState.PROVISIONAL)
        if provisional is None:
            incident.id = next_id(self._state.numbers, key, incident.started_at, self._tree)
        else:
            self._drop(provisional)
            incident.id, incident.revision = provisional.id, provisional.revision
            incident.provisional_at = min(incident.provisional_at, provisional.provisional_at)
        if confirmed:
            recent = self._episodes(key.entity).recent
            incident.history.backfill(recent, since=incident.started_at, until=now)
        self._state.incidents.append(incident)
        self._update_affected(incident, now)
        return incident

    def _merge_children(self, incident: OpenIncident) -> list[Incident]:
        """Merge younger incidents of narrower scopes; return their last revisions."""
        revisions = []
        confirmed = incident.state is not IncidentState.PROVISIONAL
        for other in tuple(self._state.incidents):
            is_own = other.entity == incident.entity and incident.kind == OUTAGE
            if other is incident or is_own or not self._contains(incident, other.series):
                continue
            near = abs(other.started_at - incident.started_at) <= self._config.merge_window
            holds = confirmed and other.state in OPEN_STATES
            if near and (holds or other.confirmed_at is None):
                other.state, other.merged_into = IncidentState.MERGED, incident.id
                revisions.append(self._write(other, RevisionReason.MERGED))
                self._drop(other)
        return revisions

    def _excursions(self, incident: OpenIncident) -> Mapping[Entity, Excursion]:
        if incident.is_followed_alone:
            return self._state.series.related(incident.series)
        return self._state.excursions

    def _lead(self, entity: Entity) -> str:
        """Return the signal that an incident follows: an active one if it shows the loss.

        Passive signals may return days later and must not hold an incident open.
        """
        signals = self._state.signals[entity]
        for name in ACTIVE_SIGNALS:
            if name in signals and is_low(signals[name]):
                return name
        return self._state.excursions[entity].level.series.signal

    def _write(self, incident: OpenIncident, reason: RevisionReason) -> Incident:
        entity, excursions = incident.entity, self._excursions(incident)
        incident.published = excursions[entity].level
        weights = network_weights(incident, excursions, self._tree)
        signals = self._state.signals.get(entity, {})
        if incident.kind != OUTAGE:
            signals = {incident.signal: incident.published}
        context = IncidentContext(
            weights=weights,
            excursions={one: excursions[one] for one in weights if one in excursions},
            episodes=self._episodes(entity),
            signals=signals,
            unresponsive=[
                one for one in self._state.unresponsive if entity in self._tree.ancestors(one)
            ],
            timezone=self._tree.timezone(entity),
            width=self._width,
            few_voices=entity in self._few and incident.signal in _OF_VANTAGES,
        )
        return write_revision(incident, reason, context)

    def _is_closed(self, incident: OpenIncident, now: datetime) -> bool:
        if incident.state is not IncidentState.RESOLVED:
            return incident.state is IncidentState.EXPIRED
        if incident.kind != OUTAGE:
            return True
        if incident.forecast is not None:
            return False
        excursion = self._state.excursions.get(incident.entity)
        low = excursion is not None and excursion.low.since is not None
        return not low and now - incident.published.time > self._config.reopen_window

    def _drop(self, incident: OpenIncident) -> None:
        self._state.incidents = [one for one in self._state.incidents if one is not incident]

    def _episodes(self, entity: Entity) -> EpisodeHistory:
        return self._state.episodes.get(entity, EpisodeHistory())

    def _scopes(self, entity: Entity) -> tuple[Entity, ...]:
        return (entity, *self._tree.ancestors(entity))


def _decided(level: Level) -> Level:
    """Return a level as evidence: an undecided one has no value."""
    return replace(level, value=None, low=None, high=None) if level.is_undecided else level
