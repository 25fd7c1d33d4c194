"""Tracks which agents are online: turns births, wills and goodbyes into the presence log.

An agent's country and network are those it is registered with, never those of an address. A
message older than the last one of its agent is ignored. While the collector itself is
disconnected it knows nothing: losses around that time are masked, and agents that do not
reconnect in time are recorded as lost without being evidence.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from netwatch.collector.metrics import CollectorMetrics
from netwatch.model.errors import InputError
from netwatch.model.measurement import Vantage
from netwatch.protocols import Clock, Message
from netwatch.signals.presence.log import WILL_LATENESS, PresenceLog, PresenceState, Session
from netwatch.wire.presence_message import PRESENCE, PresenceMessage
from netwatch.wire.topics import is_agent_id, topic_agent

Identify = Callable[[str, datetime], tuple[Vantage, frozenset[bytes | None]] | None]
"""Returns an agent's registered location and the keys that are valid at a time, with former ones
that it may still use; None for an unknown agent."""
HTTP_TRANSPORT = "http"
"""Prefix of transports without a broker: such an agent is lost when it falls silent."""
_MAX_PENDING = 10_000
"""Messages of unknown agents that are held; beyond that the oldest is dropped, so that
invented names keep no new agent out."""
_PRUNE_INTERVAL = timedelta(days=1)


@dataclass(slots=True)
class _Agent:
    session: Session
    seen: datetime
    transport: str = ""

    @property
    def order(self) -> tuple[int, int]:
        return self.session.run, self.session.connection

    @property
    def is_online(self) -> bool:
        return self.session.end is None


class PresenceTracker:
    """Turns presence messages and received batches into sessions of the presence log.

    Every method may raise StoreError. Used by one thread at a time. Agents have `settle_time` to
    reconnect after the collector did.
    """

    def __init__(
        self,
        log: PresenceLog,
        *,
        identify: Identify,
        clock: Clock,
        metrics: CollectorMetrics,
        settle_time: timedelta,
    ) -> None:
        self._log = log
        self._identify = identify
        self._clock = clock
        self._metrics = metrics
        self._settle_time = settle_time
        self._broker = ""
        now = clock()
        self._agents = self._load(now)
        self._pending: dict[str, Message] = {}
        self._unconfirmed: set[str] = set()
        """Agents that were online before the collector was disconnected."""
        self._doubtful: set[str] = set()
        """Agents whose loss was masked when the collector was disconnected."""
        self._disconnected_at: datetime | None = now
        self._connected_at: datetime | None = None
        self._listening_since: datetime | None = None
        self._pruned_at = now

    def restart(self, broker: str) -> None:
        """Forget what was recorded at times that are in the future, by a clock that was wrong."""
        now = self._clock()
        self._log.forget_after(now)
        self._agents, self._pruned_at, self._disconnected_at = self._load(now), now, now
        self.on_broker_up(broker)

    def on_broker_up(self, broker: str) -> None:
        """Process that the collector is connected to `broker`."""
        self._broker = broker
        self._connected_at, self._listening_since = self._clock(), None
        self._unconfirmed = {name for name, agent in self._agents.items() if agent.is_online}

    def on_broker_lost(self) -> int:
        """Process that the connection broke; return the number of agents still online.

        Agents lost just before count as online: their wills may be due to the same failure.
        """
        now = self._clock()
        self._disconnected_at, self._connected_at, self._listening_since = now, None, None
        since = now - WILL_LATENESS
        self._log.mask(since)
        for name, agent in self._agents.items():
            session = agent.session
            is_recent = session.end is not None and session.end >= since
            if session.ending == PresenceState.LOST and is_recent:
                agent.session = replace(session, end=None, ending="")
                self._doubtful.add(name)
        return sum(agent.is_online for agent in self._agents.values())

    def tick(self) -> None:
        """Detect silent HTTP agents, settle after a reconnect, and record that we listen."""
        now = self._clock()
        if self._connected_at is None:
            return
        for agent in list(self._agents.values()):
            is_silent = now - agent.seen > WILL_LATENESS
            if agent.is_online and is_silent and agent.transport.startswith(HTTP_TRANSPORT):
                self._close(
                    agent, PresenceState.LOST, at=agent.seen, masked=self._listening_since is None
                )
        if self._listening_since is None:
            if self._unconfirmed and now < self._connected_at + self._settle_time:
                return
            end = self._disconnected_at or now
            for name in sorted(self._unconfirmed):
                self._close(self._agents[name], PresenceState.LOST, at=end, masked=True)
            self._listening_since = now
        self._log.mark_listening(self._listening_since, now)
        if now - self._pruned_at > _PRUNE_INTERVAL:
            self._pruned_at = now
            self._log.prune(now)

    def on_batch(self, agents: Iterable[str]) -> None:
        """Process that batches of these agents were received: they are online."""
        now = self._clock()
        for name in agents:
            self._unconfirmed.discard(name)
            pending = self._pending.pop(name, None)
            if pending is not None:
                self.on_message(pending)
            agent = self._agents.get(name)
            if agent is None:
                continue
            agent.seen = now
            if agent.session.ending == PresenceState.LOST or name in self._doubtful:
                session = replace(agent.session, start=now, end=None, ending="")
                self._open(session, agent.transport, reason="network")

    def on_message(self, message: Message) -> None:
        """Process one presence message of an agent, or of a broker on its behalf."""
        name = topic_agent(message.topic)
        if not message.payload or not is_agent_id(name):
            return
        try:
            plain, key = PRESENCE.verify(message.payload)
            identity = self._identify(name, self._clock())
            if identity is not None and key not in identity[1]:
                text = f"presence of {name} is not signed with its key"
                self._metrics.warn(self._metrics.presence_messages, "wrong_key", text)
                return
            presence = PRESENCE.decode(plain)
        except InputError as error:
            text = f"{message.topic[:100]}: {error}"
            self._metrics.warn(self._metrics.presence_messages, "garbled", text)
            return
        if identity is None:
            # The birth message precedes the first batch, so an unknown agent is held until
            # that batch is stored.
            self._pending[name] = message
            if len(self._pending) > _MAX_PENDING:
                del self._pending[next(iter(self._pending))]
            return
        self._process(identity[0], presence, retained=message.retained)

    def _process(self, vantage: Vantage, presence: PresenceMessage, *, retained: bool) -> None:
        agent = self._agents.get(vantage.id)
        if agent is not None and presence.order < agent.order:
            self._metrics.presence_messages.labels("outdated").inc()
        elif presence.state == "up":
            self._on_birth(vantage, presence, agent)
        elif agent is not None and agent.is_online:
            self._on_end(agent, presence, retained=retained)

    def _load(self, now: datetime) -> dict[str, _Agent]:
        return {one.vantage.id: _Agent(one, one.start) for one in self._log.sessions(now)}

    def _on_birth(self, vantage: Vantage, presence: PresenceMessage, agent: _Agent | None) -> None:
        now = self._clock()
        session = Session(
            vantage, self._broker, presence.boot, presence.session, presence.connection, now
        )
        if agent is None:
            self._open(session, presence.transport)
            return
        self._unconfirmed.discard(vantage.id)
        if presence.order == agent.order and not agent.is_online:
            # Out of order, or retained: the will of this connection was received already.
            self._metrics.presence_messages.labels("outdated").inc()
            return
        agent.seen, agent.transport = now, presence.transport
        is_known = agent.session.broker == self._broker and vantage.id not in self._doubtful
        if agent.is_online and presence.session == agent.session.run and is_known:
            # The same run of the agent on a new connection: it was never offline.
            agent.session = replace(agent.session, connection=presence.connection)
            return
        reason = ""
        if agent.session.ending != PresenceState.STOP:
            # Only an agent that ran all the time was cut off by the network.
            same_run = (presence.boot, presence.session) == (agent.session.boot, agent.session.run)
            reason = "network" if same_run else "restart"
        self._open(session, presence.transport or agent.transport, reason=reason)

    def _on_end(self, agent: _Agent, presence: PresenceMessage, *, retained: bool) -> None:
        now = self._clock()
        if presence.state == "stop":
            self._close(agent, PresenceState.STOP, at=now, reason=presence.reason)
        elif self._listening_since is None:
            # Still settling: the agent counts as lost if it does not reconnect in time.
            self._unconfirmed.add(agent.session.vantage.id)
        else:
            masked = retained or presence.order > agent.order
            self._close(
                agent, PresenceState.LOST, at=max(agent.seen, now - WILL_LATENESS), masked=masked
            )

    def _open(self, session: Session, transport: str, *, reason: str = "") -> None:
        self._log.opened(session, reason=reason)
        self._doubtful.discard(session.vantage.id)
        self._agents[session.vantage.id] = _Agent(session, session.start, transport)

    def _close(
        self,
        agent: _Agent,
        state: PresenceState,
        *,
        at: datetime,
        reason: str = "",
        masked: bool = False,
    ) -> None:
        self._log.closed(agent.session, state, at=at, reason=reason, masked=masked)
        agent.session = replace(agent.session, end=at, ending=state.value)
        self._unconfirmed.discard(agent.session.vantage.id)
        self._doubtful.discard(agent.session.vantage.id)
