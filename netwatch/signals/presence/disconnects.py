"""Mass disconnects: agents that vanish together, which no probe had to find out.

Each agent a is lost now and then by itself, at a rate lambda_a per day, learned as a gamma
posterior over Poisson losses. In a window dt, one of n agents is lost with probability
p0 = 1 - exp(-lambda g dt), lambda the mean rate of those online and g how much more is lost
elsewhere right now. Losing d of n is evidence for an event by

    LLR = log mean_p1 Bin(d; n, p1) - log Bin(d; n, p0),    p1 in {.3, .6, .9}

(after Disco, TMA 2017). When losses are everywhere, or at one broker, our
own side failed: no evidence, and an alert to the operator.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np
from scipy.special import xlog1py, xlogy

from netwatch.arrays import Bools, Floats, RowArray, divide, number_keys
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.measurement import Vantage
from netwatch.model.series import SeriesKey
from netwatch.model.signals import AGENTS
from netwatch.model.time import EPOCH, floor_time
from netwatch.model.vantage_trust import VantageTrust
from netwatch.signals.presence.agent_weights import presence_weights
from netwatch.signals.presence.log import WILL_LATENESS, PresenceEvent, PresenceLog, PresenceState

WINDOW = timedelta(minutes=2)
"""Losses within one window count as simultaneous."""
_EVENT_SHARES = (0.3, 0.6, 0.9)
"""Shares of agents that an event takes offline, equally likely."""
_FAULT_RATIO = 5.0
"""Losses in the median country, relative to the ordinary rate, that point at our own side."""
_BROKER_SHARE = 0.8
"""Share of all losses at one broker that points at the broker."""
_ALL = 0.95
"""Share of a broker's agents that counts as all of them."""
_MIN_LOSSES = 3
"""Fewer losses do not point at our own side."""
_ROUNDING = 1e-6
"""Error of a sum of weights."""
_HISTORY = timedelta(days=30)
"""Past from which loss rates are learned after a restart."""
_REPLAYED = timedelta(hours=6)
"""Recent past that is evaluated again after a restart, to find an own fault that still lasts."""
_ALERT_PAUSE = timedelta(minutes=30)
"""Time without an own fault before another is alerted."""
_RETURNED_SHARE = 0.8
"""Share of the agents present before an own fault that ends it."""
_PRIOR_LOSSES, _PRIOR_DAYS = 2.0, 2.0
"""Gamma prior of an agent's rate: one loss a day (Disco), with the weight of two days."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Losses:
    """The agents online at the start of a window; arrays of one length.

    Attributes:
        lost: whether the agent was lost in the window; clean goodbyes do not count.
        rates: expected losses per day of each.
        countries: number of each agent's country; other countries are the control group.
        brokers: number of each agent's broker.
        weights: weight of each agent, above 0; None for agents that weigh alike.
    """

    lost: Bools
    rates: Floats
    countries: RowArray
    brokers: RowArray
    weights: Floats | None = None

    @property
    def mass(self) -> Floats:
        """Weight of each agent."""
        return np.ones(len(self.lost)) if self.weights is None else self.weights


@dataclass(frozen=True, slots=True)
class DisconnectEvidence:
    """Evidence from vanished agents, for one window or one interval.

    Attributes:
        log_likelihoods: log likelihood ratio of an event, by series `agents` of a country or
            network with losses; empty if our own side failed.
        masked: whether our own side failed, so that counts of agents say nothing.
        operator_alert: one line for the operator, if our own side failed and that is new.
    """

    log_likelihoods: Mapping[SeriesKey, float] = field(default_factory=dict)
    masked: bool = False
    operator_alert: str = ""


@dataclass(slots=True)
class _Agent:
    vantage: Vantage
    broker: str
    since: datetime
    losses: float = _PRIOR_LOSSES
    days: float = _PRIOR_DAYS
    lost_at: datetime | None = None


class DisconnectMonitor:
    """Follows which agents are online. All times are those of an agent's last packet.

    A will arrives late: evaluate a window `WILL_LATENESS` after its end.
    """

    def __init__(self) -> None:
        self._agents: dict[str, _Agent] = {}

    def replay(self, events: Iterable[PresenceEvent]) -> None:
        """Process `events`, which are in order of time; a masked loss is not a loss."""
        for event in events:
            if event.state is PresenceState.UP:
                self.on_up(event.vantage, broker=event.broker, at=event.at)
            elif event.state is PresenceState.LOST and not event.masked:
                self.on_lost(event.vantage.id, at=event.at)
            else:
                self.on_stopped(event.vantage.id)

    def on_up(self, vantage: Vantage, *, broker: str, at: datetime) -> None:
        """Process that an agent is online.

        An agent that reconnects within one window, or before that window is evaluated, does
        not count as lost.
        """
        agent = self._agents.get(vantage.id)
        if agent is None:
            self._agents[vantage.id] = _Agent(vantage, broker, at)
            return
        agent.vantage, agent.broker = vantage, broker
        if agent.lost_at is not None and agent.lost_at < at - WINDOW:
            agent.losses += 1
            agent.days += (agent.lost_at - agent.since) / _DAY
            agent.since = at
        agent.lost_at = None

    def on_lost(self, name: str, *, at: datetime) -> None:
        """Process a will; ignored if the agent is unknown or already lost."""
        agent = self._agents.get(name)
        if agent is not None and agent.lost_at is None and at >= agent.since:
            agent.lost_at = at

    def on_stopped(self, name: str) -> None:
        """Process a goodbye: not evidence, and the agent is no longer expected."""
        self._agents.pop(name, None)

    def evaluate(
        self, start: datetime, trust: Mapping[str, VantageTrust] = MappingProxyType({})
    ) -> DisconnectEvidence:
        """Evaluate the window that begins at `start`, for the agents online by then.

        Newcomers by `trust` are ignored: neither are they evidence, nor can they hide any.
        """
        present = [
            agent
            for agent in self._agents.values()
            if agent.since <= start and (agent.lost_at is None or agent.lost_at >= start)
        ]
        weights = presence_weights([one.vantage for one in present], trust)
        online = [one for one, weight in zip(present, weights, strict=True) if weight > 0]
        end = start + WINDOW
        losses = Losses(
            lost=np.array([one.lost_at is not None and one.lost_at < end for one in online], bool),
            rates=np.array([one.losses / one.days for one in online]),
            countries=number_keys(one.vantage.country for one in online),
            brokers=number_keys(one.broker for one in online),
            weights=weights[weights > 0],
        )
        alert = own_fault(losses)
        if alert:
            return DisconnectEvidence(masked=True, operator_alert=alert)
        log_likelihoods: dict[SeriesKey, float] = {}
        for kind in (EntityKind.COUNTRY, EntityKind.ASN) if online else ():
            entities = [_entity(agent.vantage, kind) for agent in online]
            numbers = number_keys(str(entity) for entity in entities)
            evidence = evaluate_losses(losses, numbers)
            for number, entity in enumerate(dict.fromkeys(entities)):
                if entity is not None and losses.lost[numbers == number].any():
                    log_likelihoods[SeriesKey(AGENTS, entity)] = float(evidence[number])
        return DisconnectEvidence(log_likelihoods)


class MassDisconnectDetector:
    """Evaluates the windows of the presence log interval by interval; used by one thread.

    The newest windows wait for the next interval, since wills arrive late. Windows are aligned
    to the clock and each belongs to one interval, so that a restart, or a second evaluation of
    an interval, evaluates the same windows. Every call may raise StoreError.
    """

    def __init__(self, log: PresenceLog, *, width: timedelta) -> None:
        self._log = log
        self._width = width
        self._monitor = DisconnectMonitor()
        self._next_interval: datetime | None = None
        self._next_window = EPOCH
        self._replayed: set[tuple[PresenceState, datetime, str]] = set()
        self._last_fault: datetime | None = None
        self._awaited = 0.0

    def __call__(self, time: datetime) -> DisconnectEvidence:
        """Return the evidence for the interval that starts at `time`."""
        if self._next_interval != time:
            self._restart(time)
        # After an error in the middle of an interval, the next call restarts.
        self._next_interval = None
        evidence = self._evaluate_until(time + self._width)
        self._next_interval = time + self._width
        return evidence

    def _restart(self, time: datetime) -> None:
        self._monitor, self._replayed = DisconnectMonitor(), set()
        self._last_fault, self._awaited = None, 0.0
        first, end = time - _HISTORY, time - _REPLAYED // self._width * self._width
        for session in self._log.sessions(first):
            if session.end is None:
                self._monitor.on_up(session.vantage, broker=session.broker, at=session.start)
        self._next_window = floor_time(end - WILL_LATENESS, WINDOW)
        self._monitor.replay(self._log.events(first, self._next_window))
        while end < time:
            end += self._width
            self._evaluate_until(end)

    def _evaluate_until(self, end: datetime) -> DisconnectEvidence:
        start = self._next_window
        trust = self._log.trust()
        self._replay(start, end)
        log_likelihoods: dict[SeriesKey, float] = {}
        masked, alert = False, ""
        while start + WINDOW <= end - WILL_LATENESS:
            # A window in which the collector was not listening says nothing.
            if self._log.was_listening(start, start + WINDOW):
                result = self._monitor.evaluate(start, trust)
                if result.masked:
                    self._awaited = self._awaited or self._count_online(start, trust)
                    masked, alert = True, alert or self._if_new(start, result.operator_alert)
                for key, value in result.log_likelihoods.items():
                    log_likelihoods[key] = max(log_likelihoods.get(key, 0.0), value)
            start += WINDOW
        self._next_window = start
        if self._awaited and self._count_online(end, trust) >= _RETURNED_SHARE * self._awaited:
            self._awaited = 0.0
        masked = masked or self._awaited > 0
        return DisconnectEvidence({} if masked else log_likelihoods, masked, alert)

    def _replay(self, start: datetime, end: datetime) -> None:
        """Replay the events of the open windows once each, late ones included."""
        events = {
            (event.state, event.at, event.vantage.id): event
            for event in self._log.events(start, end)
        }
        self._monitor.replay(event for name, event in events.items() if name not in self._replayed)
        self._replayed = set(events)

    def _count_online(self, at: datetime, trust: Mapping[str, VantageTrust]) -> float:
        online = [one.vantage for one in self._log.sessions(at) if one.end is None]
        return float(presence_weights(online, trust).sum())

    def _if_new(self, at: datetime, alert: str) -> str:
        is_new = self._last_fault is None or at - self._last_fault > _ALERT_PAUSE
        self._last_fault = at
        return alert if is_new else ""


def evaluate_losses(losses: Losses, entities: RowArray) -> Floats:
    """Return the log likelihood ratio of an event for every entity, (e,).

    `entities` are the numbers of each agent's entity, a country or a network.
    """
    mass = losses.mass
    online = np.bincount(entities, mass).astype(float)
    lost = np.bincount(entities, mass * losses.lost).astype(float)
    expected = np.bincount(entities, mass * losses.rates).astype(float) * (WINDOW / _DAY)
    expected *= np.maximum(_unrest_elsewhere(losses, entities), 1)
    ordinary = -np.expm1(-divide(expected, online))
    return disconnect_evidence(lost, online, ordinary)


def disconnect_evidence(lost: Floats, online: Floats, ordinary: Floats) -> Floats:
    """Return log mean over p1 of Bin(d; n, p1), less log Bin(d; n, p0), elementwise."""
    kept = np.maximum(online - lost, 0)
    event = np.stack([xlogy(lost, share) + xlog1py(kept, -share) for share in _EVENT_SHARES])
    mean = np.logaddexp.reduce(event, axis=0) - np.log(len(_EVENT_SHARES))
    share = np.clip(ordinary, 1e-12, 1 - 1e-12)
    return np.asarray(mean - xlogy(lost, share) - xlog1py(kept, -share))


def _country_ratios(losses: Losses) -> Floats:
    """Return losses relative to the ordinary rate by country, NaN without agents.

    (losses + 1) / (expected + 1), so that one loss among few agents is not unrest.
    """
    lost = np.bincount(losses.countries, losses.mass * losses.lost)
    expected = np.bincount(losses.countries, losses.mass * losses.rates) * (WINDOW / _DAY)
    return np.where(np.bincount(losses.countries), (lost + 1) / (expected + 1), np.nan)


def _unrest_elsewhere(losses: Losses, entities: RowArray) -> Floats:
    """Return g for each entity, (e,): the median ratio over the other countries.

    An entity lies in the country of its first agent; without two others, g is 1.
    """
    ratios = _country_ratios(losses)
    numbers, first = np.unique(entities, return_index=True)
    unrest = np.ones(len(numbers))
    for entity, country in zip(numbers, losses.countries[first], strict=True):
        others = np.delete(ratios, country)
        others = others[np.isfinite(others)]
        if len(others) > 1:
            unrest[entity] = float(np.median(others))
    return unrest


def own_fault(losses: Losses) -> str:
    """Return an alert if the losses point at our own side, else an empty string.

    Either the median country loses more than five times its ordinary rate; or one broker has
    over 80 % of the losses, and lost most agents in the median of its countries. A broker that
    serves a single country must lose all of its agents: otherwise the two look alike.
    """
    mass = losses.mass
    gone = mass * losses.lost
    total = float(gone.sum())
    if total < _MIN_LOSSES - _ROUNDING:
        return ""
    ratios = _country_ratios(losses)
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) > 2 and np.median(ratios) > _FAULT_RATIO:
        return f"{total:.0f} agents were lost in {(ratios > _FAULT_RATIO).sum()} countries at once"
    broker = int(np.bincount(losses.brokers, gone).argmax())
    here = losses.brokers == broker
    lost_here = float(gone[here].sum())
    if lost_here <= _BROKER_SHARE * total:
        return ""
    _, country = np.unique(losses.countries[here], return_inverse=True)
    shares = np.bincount(country, gone[here]) / np.bincount(country, mass[here])
    if np.median(shares) > (0.5 if len(shares) > 1 else _ALL):
        return (
            f"{lost_here:.0f} of {total:.0f} lost agents were at one broker, which lost most it had"
        )
    return ""


def _entity(vantage: Vantage, kind: EntityKind) -> Entity | None:
    return next((entity for entity in vantage.entities() if entity.kind is kind), None)
