"""Counts the agents online, by country and network."""

from datetime import datetime

from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import AGENTS
from netwatch.signals.presence.agent_weights import presence_weights
from netwatch.signals.presence.log import PresenceLog, PresenceState


def count_agents(log: PresenceLog, start: datetime, end: datetime) -> list[Bin]:
    """Return one bin from `start` to `end` for each country and network with agents.

    The value is the weight of the agents online at its end, the total that of those expected: all
    that were online in the last 30 days and did not say goodbye. Newcomers have no weight. Empty
    if the collector was not listening.
    """
    if not log.was_listening(start, end):
        return []
    sessions = [one for one in log.sessions(end) if one.ending != PresenceState.STOP]
    weights = presence_weights([one.vantage for one in sessions], log.trust())
    counts: dict[SeriesKey, list[float]] = {}
    for session, weight in zip(sessions, weights.tolist(), strict=True):
        for entity in session.vantage.entities() if weight else ():
            count = counts.setdefault(SeriesKey(AGENTS, entity), [0.0, 0.0])
            count[0] += weight * (session.end is None)
            count[1] += weight
    return [
        Bin(start, series, online, expected)
        for series, (online, expected) in sorted(counts.items())
    ]
