"""Bursts: presence as it streams in, window after window."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.measurement import Vantage
from netwatch.signals.presence.disconnects import WINDOW, Hazard, Losses, evaluate_losses


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The losses of one entity in one window.

    Attributes:
        entity: a country or a network.
        online, lost: agents at the start of the window, and those lost in it.
        evidence: log likelihood ratio of an event.
        conclusive: whether chance would do this less than once a month in the whole world.
    """

    entity: Entity
    online: int
    lost: int
    evidence: float
    conclusive: bool


@dataclass(frozen=True, slots=True)
class DisconnectResult:
    """One window: entities with losses, or a notice to the operator and no entity at all."""

    bursts: list[Disconnect]
    operator_alert: str = ""


@dataclass(slots=True)
class _Agent:
    """What is known of one agent."""

    vantage: Vantage
    broker: str
    since: datetime
    hazard: Hazard
    lost_at: datetime | None = None


class DisconnectMonitor:
    """Follows who is there. All times are those of the agents' last packets, not of the wills.

    A will comes up to one and a half keep-alives late: judge a window that long after its end.
    """

    def __init__(self, *, window: timedelta = WINDOW) -> None:
        """Judge windows of this length."""
        self._window = window
        self._agents: dict[str, _Agent] = {}

    def up(
        self, vantage: Vantage, *, broker: str, at: datetime, hazard: Hazard | None = None
    ) -> None:
        """Take in that an agent is there.

        Who is back within a window was never lost, and who is back before his window is
        judged is no evidence. `hazard` is what is believed of an agent seen for the first time.
        """
        known = self._agents.get(vantage.id)
        if known is None:
            self._agents[vantage.id] = _Agent(vantage, broker, at, hazard or Hazard.steady())
            return
        known.vantage, known.broker = vantage, broker
        if known.lost_at is not None and known.lost_at < at - self._window:
            known.hazard = known.hazard.seen(1, known.lost_at - known.since)
            known.since = at
        known.lost_at = None

    def lost(self, agent: str, *, last_packet: datetime) -> None:
        """Take in that a will came; of a stranger, or of one who is lost already, nothing."""
        known = self._agents.get(agent)
        if known is not None and known.lost_at is None and last_packet >= known.since:
            known.lost_at = last_packet

    def stopped(self, agent: str) -> None:
        """Take in a goodbye: it is no evidence, and the agent is not expected any more."""
        self._agents.pop(agent, None)

    def judge(self, start: datetime) -> DisconnectResult:
        """Judge the window that begins at `start`, of the agents who were there by then."""
        end = start + self._window
        present = [
            one
            for one in self._agents.values()
            if one.since <= start and (one.lost_at is None or one.lost_at >= start)
        ]
        if not present:
            return DisconnectResult([])
        bursts: list[Disconnect] = []
        for place in (_country, _network):
            found, notice = self._judge_places(present, place, end)
            if notice:
                return DisconnectResult([], notice)
            bursts.extend(found)
        return DisconnectResult(bursts)

    def _judge_places(
        self, present: list[_Agent], place: Callable[[Vantage], Entity | None], end: datetime
    ) -> tuple[list[Disconnect], str]:
        """Judge the entities that `place` makes of agents; those without one are their own."""
        entities = list(dict.fromkeys(place(one.vantage) for one in present))
        judged = evaluate_losses(_as_losses(present, place, end), window=self._window)
        found = [
            Disconnect(
                entity=entity,
                online=int(judged.online[number]),
                lost=int(judged.lost[number]),
                evidence=float(judged.evidence[number]),
                conclusive=bool(judged.conclusive[number]),
            )
            for number, entity in enumerate(entities)
            if entity is not None and judged.lost[number]
        ]
        return found, judged.operator_alert


def _as_losses(
    present: list[_Agent], place: Callable[[Vantage], Entity | None], end: datetime
) -> Losses:
    """Return the agents as arrays."""
    return Losses(
        lost=np.array([one.lost_at is not None and one.lost_at < end for one in present]),
        rates=np.array([one.hazard.rate for one in present]),
        entities=_numbers([place(one.vantage) for one in present]),
        countries=_numbers([one.vantage.country for one in present]),
        brokers=_numbers([one.broker for one in present]),
    )


def _numbers(keys: list[Entity | None] | list[str]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the number of each key, in order of appearance."""
    places: dict[object, int] = {}
    return np.array([places.setdefault(key, len(places)) for key in keys], np.intp)


def _country(vantage: Vantage) -> Entity | None:
    return Entity(EntityKind.COUNTRY, vantage.country) if vantage.country else None


def _network(vantage: Vantage) -> Entity | None:
    return Entity(EntityKind.ASN, str(vantage.asn)) if vantage.asn else None
