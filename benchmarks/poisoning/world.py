"""A small world: a watched country, two others as controls, two sites, and honest agents.

Everything about a world follows from its seed and the number of honest agents: how many networks
the country has and how much each weighs, which of them a real cut spares, where the agents sit,
who shares a network or an owner, how often each fails, and which are away.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from netwatch.arrays import Floats
from netwatch.model.entities import Entity, EntityInfo, EntityKind
from netwatch.model.measurement import Target, Vantage

__all__ = ["AWAY", "HERE", "SITES", "START", "WIDTH", "Member", "World", "make_world"]

HERE = "AA"
"""The country that is lied about."""
_CONTROL_COUNTRIES = ("BB", "CC")
AWAY = ("BB", "CC", "DD", "EE")
"""Countries in which agents abroad sit."""
SITES = ("news.example", "other.example")
"""The site that liars report as down or up, and one that they report truly."""
WIDTH = timedelta(minutes=5)
START = datetime(2026, 3, 2, tzinfo=UTC)
"""Start of the interval in which the lies begin."""
_FIRST_NETWORK = 64_600
_FIRST_ABROAD = 65_000


@dataclass(frozen=True, slots=True)
class Member:
    """An agent as the registry knows it.

    Attributes:
        vantage: its name and the place that it claims.
        owner: who answers for it; empty if it never enrolled.
        seen: time since the collector first saw it.
        vetted: whether the operator has released it.
        failing: share of its measurements that fails in ordinary times.
    """

    vantage: Vantage
    owner: str
    seen: timedelta
    vetted: bool = False
    failing: float = 0.01


@dataclass(frozen=True, slots=True)
class World:
    """Places, targets and honest agents of one seed.

    Attributes:
        places: entities of the tree.
        targets: by id.
        frail: share of a target's measurements that fails in ordinary times, by id.
        networks: numbers of the watched country's networks.
        spared: those that a national cut spares.
        victim: the network that is lied about, the heaviest.
        honest: the honest agents.
    """

    seed: int
    places: tuple[EntityInfo, ...]
    targets: dict[str, Target]
    frail: dict[str, float]
    networks: tuple[int, ...]
    spared: frozenset[int]
    victim: int
    honest: tuple[Member, ...]


def make_world(seed: int, honest: int) -> World:
    """Return the world of `seed` with so many honest agents."""
    random = np.random.default_rng([seed, honest])
    networks = tuple(range(_FIRST_NETWORK, _FIRST_NETWORK + int(random.integers(5, 10))))
    weights = np.exp(random.normal(0, 0.7, len(networks)))
    places = [_country(HERE), *map(_country, _CONTROL_COUNTRIES)]
    places += [
        _network(HERE, asn, float(weight)) for asn, weight in zip(networks, weights, strict=True)
    ]
    others = {country: 64_700 + 10 * place for place, country in enumerate(_CONTROL_COUNTRIES)}
    places += [
        _network(country, first + number, 1.0)
        for country, first in others.items()
        for number in range(3)
    ]
    targets = [_control(number) for number in range(3)]
    targets += [Target(name, "http", name, domain=name) for name in SITES]
    targets += [
        _host(info, number)
        for info in places
        if info.parent is not None
        for number in range(2 if info.parent.code == HERE else 1)
    ]
    lightest, heaviest = networks[int(np.argmin(weights))], networks[int(np.argmax(weights))]
    return World(
        seed=seed,
        places=tuple(places),
        targets={target.id: target for target in targets},
        frail={target.id: float(random.uniform(0, 0.04)) for target in targets},
        networks=networks,
        spared=frozenset({lightest} if random.random() < 0.5 else ()),
        victim=heaviest,
        honest=tuple(_honest(random, honest, networks, weights)),
    )


def _honest(
    random: np.random.Generator, count: int, networks: tuple[int, ...], weights: Floats
) -> list[Member]:
    """Return honest agents; one in seven shares its network, or its owner, with the one before."""
    inside = random.choice([0.3, 0.5, 0.7])
    members: list[Member] = []
    for number in range(count):
        before = members[-1] if members else None
        if random.random() < inside:
            asn = int(random.choice(networks, p=weights / weights.sum()))
            vantage = Vantage(f"h{number}", HERE, asn)
        else:
            place = int(random.integers(0, 8 * len(AWAY)))
            vantage = Vantage(f"h{number}", AWAY[place % len(AWAY)], _FIRST_ABROAD + place)
        if before is not None and random.random() < 1 / 7:
            vantage = Vantage(f"h{number}", before.vantage.country, before.vantage.asn)
        shared = before is not None and random.random() < 1 / 7
        owner = before.owner if before is not None and shared else f"person{number}"
        # Most founded the fleet; the others joined one by one.
        founded = number == 0 or random.random() < 0.6
        age = timedelta(days=float(random.uniform(*((200, 210) if founded else (40, 200)))))
        members.append(Member(vantage, owner, age, failing=float(random.uniform(0.002, 0.03))))
    return members


def _country(code: str) -> EntityInfo:
    return EntityInfo(Entity(EntityKind.COUNTRY, code), code)


def _network(country: str, asn: int, weight: float) -> EntityInfo:
    parent = Entity(EntityKind.COUNTRY, country)
    return EntityInfo(Entity(EntityKind.ASN, str(asn)), f"AS{asn}", parent, weight)


def _control(number: int) -> Target:
    return Target(f"control{number}", "tcp", f"control{number}.example", group="control")


def _host(info: EntityInfo, number: int) -> Target:
    assert info.parent is not None
    name = f"{info.parent.code}-{info.entity.code}-{number}".lower()
    asn, country = int(info.entity.code), info.parent.code
    return Target(name, "tcp", f"{name}.example", asn=asn, country=country)
