"""Watches who is there: wills, births and goodbyes become the attendance log.

An agent's country and network are those it is registered with, never those of an address.
What is older than what the agent said last is ignored. While our own link was down we know
nothing: losses around it are masked, and who has not come back once the others had time to
is noted as gone, without being evidence of anything.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from netwatch.collector.metrics import CollectorMetrics
from netwatch.model.errors import InputError
from netwatch.model.measurement import Vantage
from netwatch.protocols import Clock, Message
from netwatch.signals.presence.log import WILL_LATENESS, PresenceLog, PresenceState, Session
from netwatch.wire.presence_message import PresenceMessage, unpack_presence
from netwatch.wire.signing import PRESENCE, open_signed
from netwatch.wire.topics import topic_agent

Register = Callable[[str], tuple[Vantage, bytes | None] | None]
"""Returns an agent's registered identity and key; None for a stranger."""
DOOR = "http"
"""How the rungs begin whose agents no broker declares lost: their silence does."""
_STRANGERS = 10_000
_FORGET = timedelta(days=1)


@dataclass(slots=True)
class _Known:
    """An agent: its last stay, and when it was last heard of."""

    stay: Session
    heard: datetime
    transport: str = ""

    @property
    def order(self) -> tuple[int, int]:
        return self.stay.life, self.stay.connection

    @property
    def present(self) -> bool:
        return self.stay.end is None


class PresenceTracker:
    """Turns what agents say, and what is heard of them, into attendance.

    Every method may raise StoreError. One thread at a time.

    Args:
        attendance: the log.
        register: knows agents.
        clock: the wall clock.
        metrics: counts what is ignored.
        settle: how long after our own return agents have to come back.
    """

    def __init__(
        self,
        attendance: PresenceLog,
        *,
        register: Register,
        clock: Clock,
        metrics: CollectorMetrics,
        settle: timedelta,
    ) -> None:
        self._attendance = attendance
        self._register = register
        self._clock = clock
        self._metrics = metrics
        self._settle = settle
        self._broker = ""
        now = clock()
        self._agents = {
            stay.vantage.id: _Known(stay, stay.start) for stay in attendance.sessions(now)
        }
        self._strangers: dict[str, Message] = {}
        self._unconfirmed: set[str] = set()
        self._doubted: set[str] = set()
        self._deaf_since: datetime | None = now
        self._back: datetime | None = None
        self._span: datetime | None = None
        self._forgotten = now

    def came_back(self, broker: str) -> None:
        """Take in that our link to `broker` is up."""
        now = self._clock()
        self._broker = broker
        self._back, self._span = now, None
        self._unconfirmed = {name for name, one in self._agents.items() if one.present}

    def went_deaf(self) -> int:
        """Take in that our link broke; return how many agents are not counted as lost for it.

        Those whose wills came just before went with the link, as far as we know.
        """
        now = self._clock()
        self._deaf_since, self._back, self._span = now, None, None
        since = now - WILL_LATENESS
        self._attendance.mask(since)
        for name, one in self._agents.items():
            stay = one.stay
            if stay.ending == PresenceState.LOST and stay.end is not None and stay.end >= since:
                one.stay = replace(stay, end=None, ending="")
                self._doubted.add(name)
        return sum(one.present for one in self._agents.values())

    def tick(self) -> None:
        """Let time pass: settle after a return, notice silence, note that we listen."""
        now = self._clock()
        if self._back is None:
            return
        for one in list(self._agents.values()):
            if one.present and one.transport.startswith(DOOR) and now - one.heard > WILL_LATENESS:
                self._lose(one, at=one.heard, masked=self._span is None)
        if self._span is None and not self._is_settled(now):
            return
        if self._span is None:
            self._span = now
        self._attendance.mark_listening(self._span, now)
        if now - self._forgotten > _FORGET:
            self._forgotten = now
            self._attendance.prune(now)

    def take(self, messages: Iterable[Message]) -> None:
        """Take in what agents, or brokers for them, say."""
        for message in messages:
            self._take_one(message)

    def hear(self, agents: Iterable[str]) -> None:
        """Take in that batches of these agents came: they are there, whatever was said."""
        now = self._clock()
        for agent in agents:
            self._unconfirmed.discard(agent)
            waiting = self._strangers.pop(agent, None)
            if waiting is not None:
                self._take_one(waiting)
            known = self._agents.get(agent)
            if known is None:
                continue
            known.heard = now
            if known.stay.ending == PresenceState.LOST or agent in self._doubted:
                self._come(replace(known.stay, start=now, end=None, ending=""), "network", known)

    def _take_one(self, message: Message) -> None:
        """Take in one statement."""
        agent = topic_agent(message.topic)
        try:
            plain, key = open_signed(message.payload, PRESENCE)
            said = unpack_presence(plain)
        except InputError as error:
            if message.payload:
                self._metrics.warn(
                    self._metrics.presence_messages, "garbled", f"{message.topic[:100]}: {error}"
                )
            return
        identity = self._register(agent)
        if identity is None:
            # Births come before batches: we shall know him when his first batch is kept.
            # Whoever invents names must not keep newcomers out: the longest waiting go.
            self._strangers[agent] = message
            if len(self._strangers) > _STRANGERS:
                del self._strangers[next(iter(self._strangers))]
            return
        vantage, registered = identity
        if registered is not None and key != registered:
            text = f"presence of {agent} is not signed with its key"
            self._metrics.warn(self._metrics.presence_messages, "wrong_key", text)
            return
        known = self._agents.get(agent)
        if known is not None and said.order < known.order:
            self._metrics.presence_messages.labels("outdated").inc()
        elif said.state == "up":
            self._up(vantage, said, known)
        elif known is not None and known.present:
            self._leave(known, said, retained=message.retained)

    def _up(self, vantage: Vantage, said: PresenceMessage, known: _Known | None) -> None:
        """Take in a birth."""
        now = self._clock()
        if known is None:
            self._come(_stay(vantage, said, self._broker, now), "", None, said.transport)
            return
        self._unconfirmed.discard(vantage.id)
        if said.order == known.order and not known.present:
            # Told in the wrong order, or retained: the will of this connection was heard.
            self._metrics.presence_messages.labels("outdated").inc()
            return
        known.heard, known.transport = now, said.transport
        same_place = known.stay.broker == self._broker and vantage.id not in self._doubted
        if known.present and said.session == known.stay.life and same_place:
            # The same agent on a new connection: it was never away.
            known.stay = replace(known.stay, connection=said.connection)
            return
        back = "" if known.stay.ending == PresenceState.STOP else _cause(said, known.stay)
        self._come(_stay(vantage, said, self._broker, now), back, known, said.transport)

    def _leave(self, known: _Known, said: PresenceMessage, *, retained: bool) -> None:
        """Take in a will or a goodbye."""
        now = self._clock()
        if said.state == "stop":
            self._end(known, PresenceState.STOP, at=now, reason=said.reason)
            return
        if self._span is None:
            # Our own side was failing: whoever is not back in time is noted as gone then.
            self._unconfirmed.add(known.stay.vantage.id)
            return
        masked = retained or said.order > known.order
        self._lose(known, at=max(known.heard, now - WILL_LATENESS), masked=masked)

    def _come(self, stay: Session, reason: str, known: _Known | None, rung: str = "") -> None:
        """Write down that somebody came."""
        self._attendance.opened(stay, reason=reason)
        self._doubted.discard(stay.vantage.id)
        rung = rung or (known.transport if known else "")
        self._agents[stay.vantage.id] = _Known(stay, stay.start, rung)

    def _lose(self, known: _Known, *, at: datetime, masked: bool) -> None:
        """Write down that somebody was lost."""
        self._end(known, PresenceState.LOST, at=at, masked=masked)

    def _end(
        self,
        known: _Known,
        state: PresenceState,
        *,
        at: datetime,
        reason: str = "",
        masked: bool = False,
    ) -> None:
        self._attendance.closed(known.stay, state, at=at, reason=reason, masked=masked)
        known.stay = replace(known.stay, end=at, ending=state.value)
        self._unconfirmed.discard(known.stay.vantage.id)
        self._doubted.discard(known.stay.vantage.id)

    def _is_settled(self, now: datetime) -> bool:
        """Tell whether all are back who will be; the others are noted as gone."""
        if self._unconfirmed and self._back is not None and now < self._back + self._settle:
            return False
        gone: Sequence[str] = sorted(self._unconfirmed)
        since = self._deaf_since or now
        for agent in gone:
            self._lose(self._agents[agent], at=since, masked=True)
        return True


def _cause(said: PresenceMessage, stay: Session) -> str:
    """Return why an agent was away: only what ran all the while was cut off."""
    same = said.boot == stay.boot and said.session == stay.life
    return "network" if same else "restart"


def _stay(vantage: Vantage, said: PresenceMessage, broker: str, start: datetime) -> Session:
    return Session(vantage, broker, said.boot, said.session, said.connection, start)
