"""Trust weights: what each agent has earned, so that new keys move nothing.

An agent is on probation, with weight 0, until it has proved on seven days that it measures; with
fourteen days it weighs 1. Age alone earns nothing (`netwatch.collector.proof`), a crowd waits its
turn (`netwatch.collector.newcomer_queue`), and all agents admitted in the last thirty days together
weigh at most half of the older ones: a third of the whole. While nobody is established, everybody
counts alike, provisionally, and nobody can be sure.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from netwatch.collector.newcomer_queue import PROBATION, Applicant, admission_times
from netwatch.collector.proof import Proof
from netwatch.model.vantage_trust import (
    OPEN_OWNER,
    PROVISIONAL_WEIGHT,
    VantageTrust,
    Weights,
)

_DAY = timedelta(days=1)
_MIN_DAYS = 7
"""Proved days from which an agent counts, with half its weight."""
_RECENT = timedelta(days=30)
"""Time after admission in which all recent agents together are capped."""
_RECENT_SHARE = 0.5
"""Weight of all recent agents together, relative to that of the older ones."""
_MIN_WEIGHT = 2 * PROVISIONAL_WEIGHT
"""Least weight of an established agent."""
_FLEET = ""
"""The line in which every agent waits; the others are countries that are measured."""
UNPROVED = "nothing proves that they measure; set fleet.url to HTTPS and publish, or release them"
"""What an operator can do about agents that measure for a week without any proof."""
Key = tuple[str, str]
"""Id and claimed country of an agent."""


class Reason(StrEnum):
    """Why an agent has its weight."""

    VETTED = "vetted"
    ESTABLISHED = "established"
    PROBATION = "probation"
    CROWD = "crowd"
    OPEN = "open"
    LIE = "lie"
    CONTRARY = "contrary"
    TURNED = "turned"


_REFUSED = {Reason.OPEN, Reason.LIE, Reason.CONTRARY}
"""Reasons for which an agent does not count even where nobody is established."""


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """Who counts in addition to enrolled agents.

    Attributes:
        open_weight: trust in agents that never enrolled, 0 to 1.
        own_keys: returns the public keys of the observatory's own vantages.
        canary_secret: the secret of the observatory's canaries.
    """

    open_weight: float = 1.0
    own_keys: Callable[[], Collection[bytes]] = frozenset
    canary_secret: bytes = b""


@dataclass(frozen=True, slots=True)
class FirstSeen:
    """When an agent was first seen in a country, by the collector's time, and its past since.

    Attributes:
        country: where it claims to be.
        owner: who answers for it.
        vetted: whether the operator has released it.
        places: the countries that it measures, whatever country it claims.
        is_active: neither retired nor in quarantine.
        proof: what it has proved; None takes it as proved on every day.
    """

    name: str
    country: str
    at: datetime
    owner: str = OPEN_OWNER
    vetted: bool = False
    places: frozenset[str] = frozenset()
    is_active: bool = True
    proof: Proof | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """Where it waits for admission: the fleet, and each country that it measures."""
        return (_FLEET, *sorted(self.places - {_FLEET}))


@dataclass(frozen=True, slots=True)
class EarnedTrust:
    """Trust in an agent, and why.

    Attributes:
        admitted: when its probation began or will begin.
        at: when it was first seen.
        days: on how many days it has proved that it measures.
    """

    trust: VantageTrust
    admitted: datetime
    at: datetime
    days: int
    reason: Reason

    def is_unproved(self, at: datetime) -> bool:
        """Return whether nothing has proved for a week that it measures."""
        is_waiting = self.reason is Reason.PROBATION and not self.days
        return is_waiting and at - max(self.at, self.admitted) > _MIN_DAYS * _DAY


def trust_weights(
    agents: Iterable[FirstSeen], at: datetime, *, open_weight: float = 1.0
) -> Weights:
    """Return the trust in each of the agents, provisional while nobody is established."""
    return usable_weights(earned_trust(agents, at, open_weight=open_weight))


def usable_weights(found: Mapping[Key, EarnedTrust]) -> Weights:
    """Return the trust in each agent, provisional while nobody is established."""
    if any(one.trust.is_established for one in found.values()):
        return {key: one.trust for key, one in found.items()}
    return {key: provisional(one) for key, one in found.items()}


def provisional(one: EarnedTrust) -> VantageTrust:
    """Return the trust in an agent where nobody established measures."""
    weight = 0.0 if one.reason in _REFUSED else PROVISIONAL_WEIGHT
    return VantageTrust(weight, one.trust.owner)


def earned_trust(
    agents: Iterable[FirstSeen], at: datetime, *, open_weight: float = 1.0
) -> dict[Key, EarnedTrust]:
    """Return what each of the agents that were ever seen.

    An agent first seen after `at` counts as new. `open_weight` is a factor for agents that never
    enrolled.
    """
    waiting = sorted(agents, key=lambda agent: (agent.at, agent.name))
    in_line = [one for one in waiting if one.vetted or one.owner != OPEN_OWNER or open_weight > 0]
    times = admission_times(_applicant(one, at) for one in in_line)
    admitted = {(one.name, one.country): time for one, time in zip(in_line, times, strict=True)}
    found = {}
    for one in waiting:
        key = one.name, one.country
        found[key] = _earned(one, admitted.get(key), at, open_weight=open_weight)
    return _cap_recent(waiting, found, at)


def _applicant(one: FirstSeen, at: datetime) -> Applicant:
    factor = one.proof.factor if one.proof else 1.0
    proven = one.is_active and _days(one, one.at, at) >= _MIN_DAYS and factor > 0
    return Applicant(one.at, one.lines, one.vetted, proven, one.owner == OPEN_OWNER)


def _days(one: FirstSeen, since: datetime, at: datetime) -> int:
    """Return the days that count: those since admission on which it proved itself, at most 14."""
    days = min(max((at - since) // _DAY, 0), PROBATION // _DAY)
    return days if one.proof is None else min(days, one.proof.days)


def _earned(
    one: FirstSeen, admitted: datetime | None, at: datetime, *, open_weight: float
) -> EarnedTrust:
    if admitted is None:
        return EarnedTrust(VantageTrust(0.0, one.owner), one.at, one.at, 0, Reason.OPEN)
    days, proof = _days(one, admitted, at), one.proof or Proof()
    factor = open_weight if one.owner == OPEN_OWNER and not one.vetted else 1.0
    if proof.has_lied:
        weight, reason = 0.0, Reason.LIE
    elif proof.factor == 0:
        weight, reason = 0.0, Reason.CONTRARY
    elif one.vetted:
        weight, reason = proof.factor, Reason.TURNED if proof.has_turned else Reason.VETTED
    elif admitted > max(one.at, at):
        weight, reason = 0.0, Reason.CROWD
    elif days < _MIN_DAYS:
        weight, reason = 0.0, Reason.PROBATION
    else:
        weight, reason = days / (PROBATION / _DAY) * proof.factor, Reason.ESTABLISHED
        reason = Reason.TURNED if proof.has_turned else reason
    trust = VantageTrust(weight * factor, one.owner)
    return EarnedTrust(trust, admitted, one.at, days, reason)


def _cap_recent(
    agents: Iterable[FirstSeen], found: dict[Key, EarnedTrust], at: datetime
) -> dict[Key, EarnedTrust]:
    """Scale down the agents admitted lately where they outweigh those admitted before."""
    older: defaultdict[str, float] = defaultdict(float)
    recent: defaultdict[str, float] = defaultdict(float)
    lines = {(one.name, one.country): one.lines for one in agents}
    for key, one in found.items():
        sums = recent if _is_recent(one, at) else older
        for line in lines[key]:
            sums[line] += one.trust.weight
    capped = dict(found)
    for key, one in found.items():
        if one.trust.weight and _is_recent(one, at):
            factors = [_RECENT_SHARE * older[line] / recent[line] for line in lines[key]]
            factor = min([1.0, *(factor for factor in factors if factor)])
            weight = max(one.trust.weight * factor, _MIN_WEIGHT)
            trust = VantageTrust(weight, one.trust.owner)
            capped[key] = replace(one, trust=trust)
    return capped


def _is_recent(one: EarnedTrust, at: datetime) -> bool:
    return one.reason is not Reason.VETTED and one.admitted > at - _RECENT
