"""How far an agent is believed, by how long it has been there and with how many it came.

A new agent weighs 0.2, and 1 after fourteen days: whoever wants to be heard must be patient.
Agents that came in a crowd, which is more than eight and more than three times what is usual
within a day in their country, count for nothing for fourteen days, or until the operator has
looked at them; where nobody was there before, they are no crowd, but the first. Anybody can
make a hundred keys; nobody can have made them a fortnight ago.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

Weights = dict[tuple[str, str], float]
"""Weight, 0 to 1, by name and country; who is not in it weighs 1."""

_DAY = timedelta(days=1)
_RIPE = timedelta(days=14)
_NEW = 0.2
_CROWD = 8
_TIMES_USUAL = 3


@dataclass(frozen=True, slots=True)
class FirstSeen:
    """When an agent was first heard from, saying that it is in a country.

    Attributes:
        name, country: as it says.
        at: when, by our clock.
        enrolled: whether it came by an invitation.
        vetted: whether the operator has looked at it and let it count.
    """

    name: str
    country: str
    at: datetime
    enrolled: bool = False
    vetted: bool = False


def trust_weights(
    arrivals: Iterable[FirstSeen], at: datetime, *, open_weight: float = 1.0
) -> Weights:
    """Return how far each agent is believed at a time.

    Args:
        arrivals: every agent that ever came.
        at: the time; who came later is as new as can be.
        open_weight: what the weight of an agent is multiplied with that never enrolled.
    """
    countries: dict[str, list[FirstSeen]] = {}
    for one in sorted(arrivals, key=lambda one: one.at):
        countries.setdefault(one.country, []).append(one)
    return {
        (one.name, one.country): _weight(one, at, crowd=one.name in crowd)
        * (1.0 if one.enrolled or one.vetted else open_weight)
        for came in countries.values()
        for crowd in (_signup_burst(came),)
        for one in came
    }


def _weight(one: FirstSeen, at: datetime, *, crowd: bool) -> float:
    """Return the weight of one agent."""
    if one.vetted:
        return 1.0
    age = at - one.at - (_RIPE if crowd else timedelta(0))
    if crowd and age < timedelta(0):
        return 0.0
    return _NEW + (1 - _NEW) * min(max(age / _RIPE, 0.0), 1.0)


def _signup_burst(came: list[FirstSeen]) -> set[str]:
    """Return who of a country's agents, in order of arrival, came in a crowd."""
    found: set[str] = set()
    past = end = told = 0
    for start, first in enumerate(came):
        while end < len(came) and came[end].at < first.at + _DAY:
            end += 1
        while came[past].at < first.at - _RIPE:
            past += 1
        usual = (start - past) / (_RIPE / _DAY)
        established = came[0].at <= first.at - _DAY
        if established and end - start > max(_CROWD, _TIMES_USUAL * usual):
            found.update(one.name for one in came[max(start, told) : end])
            told = end
    return found
