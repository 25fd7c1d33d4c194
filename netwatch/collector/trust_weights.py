"""Trust weights against Sybil attacks, by the age of an agent and by bursts of new agents.

A new agent weighs 0.2, and 1 after fourteen days. Agents of a signup burst (more than eight, and
more than three times the usual number in their country, within a day) weigh 0 for fourteen
days, or until the operator has vetted them. The first agents of a country are not a burst.
Anyone can make a hundred keys, but not a hundred keys that were seen two weeks ago.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.model.vantage_trust import OPEN_OWNER, VantageTrust, Weights

_DAY = timedelta(days=1)
_FULL_TRUST_AGE = timedelta(days=14)
_NEW_WEIGHT = 0.2
_BURST_SIZE = 8
"""Number of agents within a day up to which they are not a burst."""
_BURST_RATIO = 3
"""Number of agents within a day, relative to the usual, up to which they are not a burst."""


@dataclass(frozen=True, slots=True)
class FirstSeen:
    """When an agent was first seen in a country, by the collector's time.

    `owner` answers for it, `vetted` is whether the operator has released it.
    """

    name: str
    country: str
    at: datetime
    owner: str = OPEN_OWNER
    vetted: bool = False


def trust_weights(
    agents: Iterable[FirstSeen], at: datetime, *, open_weight: float = 1.0
) -> Weights:
    """Return the trust in each of the agents that were ever seen.

    An agent first seen after `at` counts as new. `open_weight` is a factor for agents that never
    enrolled.
    """
    countries: dict[str, list[FirstSeen]] = {}
    for agent in sorted(agents, key=lambda agent: agent.at):
        countries.setdefault(agent.country, []).append(agent)
    weights: dict[tuple[str, str], VantageTrust] = {}
    for seen in countries.values():
        burst = _signup_burst(seen)
        for agent in seen:
            factor = open_weight if agent.owner == OPEN_OWNER and not agent.vetted else 1.0
            weight = _weight(agent, at, in_burst=agent.name in burst)
            weights[agent.name, agent.country] = VantageTrust(weight * factor, agent.owner)
    return weights


def _weight(agent: FirstSeen, at: datetime, *, in_burst: bool) -> float:
    if agent.vetted:
        return 1.0
    age = at - agent.at - (_FULL_TRUST_AGE if in_burst else timedelta(0))
    if in_burst and age < timedelta(0):
        return 0.0
    return _NEW_WEIGHT + (1 - _NEW_WEIGHT) * min(max(age / _FULL_TRUST_AGE, 0.0), 1.0)


def _signup_burst(seen: list[FirstSeen]) -> set[str]:
    """Return the names that are in a burst; `seen` is one country's, in order of time."""
    names: set[str] = set()
    past = end = added = 0
    for start, first in enumerate(seen):
        while end < len(seen) and seen[end].at < first.at + _DAY:
            end += 1
        while seen[past].at < first.at - _FULL_TRUST_AGE:
            past += 1
        usual = (start - past) / (_FULL_TRUST_AGE / _DAY)
        established = seen[0].at <= first.at - _DAY
        if established and end - start > max(_BURST_SIZE, _BURST_RATIO * usual):
            names.update(agent.name for agent in seen[max(start, added) : end])
            added = end
    return names
