"""Puts episodes and faults on the calendar, so that no entity has two at once."""

from dataclasses import dataclass

import numpy as np

from benchmarks.detection.episodes import LOCAL, NATIONAL, Draw, Series
from benchmarks.detection.population import Population
from benchmarks.detection.truth import Event
from netwatch.arrays import Ints

__all__ = ["VISIBILITY", "Calendar", "plan_events"]

_DAY = 1440

VISIBILITY = {
    "country": {"bgp": 0.75, "probing": 1.0, "telescope": 0.85, "agents": 0.95},
    "region": {"bgp": 0.7, "probing": 1.0, "telescope": 0.8, "agents": 0.95},
    "asn": {"bgp": 0.75, "probing": 0.99, "telescope": 0.7, "agents": 0.92},
}
"""Probability that a signal shows an event. Rounded from the human verdicts in Bischof et al.
2023 (national outages: BGP .92-.99, probing .98-.99, telescope .66-.98), with BGP put lower
because recent shutdowns leave routes announced. What probing misses of a wider event it misses
network by network: see `_HIDDEN`."""
_HIDDEN = 0.01


@dataclass
class Calendar:
    """Minutes already taken, by network.

    Attributes:
        busy: network -> spans in which something happens there.
        end: minutes in the world.
    """

    busy: dict[int, list[tuple[int, int]]]
    end: int

    def free(self, networks: Ints, start: int, end: int, *, gap: int = _DAY) -> bool:
        """Return whether nothing happens to `networks` from `gap` before to `gap` after."""
        return end + gap // 4 < self.end and not any(
            start < other_end + gap and other_start < end + gap
            for network in networks.tolist()
            for other_start, other_end in self.busy.get(network, [])
        )

    def take(self, networks: Ints, start: int, end: int) -> None:
        """Mark the span as taken for `networks`."""
        for network in networks.tolist():
            self.busy.setdefault(network, []).append((start, end))


def plan_events(
    random: np.random.Generator,
    population: Population,
    calendar: Calendar,
    *,
    first: int,
    width: int,
) -> list[Event]:
    """Return all events from minute `first` on: national ones in turn, then local ones.

    Countries walk through the national kinds from different starting points, so that every
    kind occurs in every world; every second country sees two of them only. Regions and
    networks get episodes of their own where the calendar is free.
    """
    events: list[Event] = []
    for country in range(population.offset.size):
        members = np.flatnonzero(population.country == country)
        draw = _draw(random, population, members, width)
        kinds = list(NATIONAL)
        kinds = kinds[country % len(kinds) :] + kinds[: country % len(kinds)]
        if country % 2:
            # A quiet country, whose networks have room for outages of their own.
            kinds = kinds[:2]
        day = first // _DAY + int(random.integers(1, 4))
        for kind in kinds:
            series = NATIONAL[kind](draw, day)
            if not _placed(calendar, members, series):
                continue
            events += _events(random, series, kind=kind, scope="country", place=country)
            day = _end(series) // _DAY + int(random.integers(2, 6))
    for kind, scope, place in _local_wishes(random, population):
        held = population.region if scope == "region" else np.arange(population.networks)
        members = np.flatnonzero(held == place)
        if not members.size:
            continue
        draw = _draw(random, population, members, width)
        last = calendar.end // _DAY - 1
        series = LOCAL[kind](draw, int(random.integers(first // _DAY + 1, last)))
        if _placed(calendar, members, series):
            name = kind if scope == "asn" else f"regional_{kind}"
            events += _events(random, series, kind=name, scope=scope, place=place)
    return events


def _local_wishes(
    random: np.random.Generator, population: Population
) -> list[tuple[str, str, int]]:
    """Return (kind, scope, place) of local episodes to try, those that need most room first."""
    regions, networks = population.region_country.size, population.networks
    wishes = [("long", "asn", int(place)) for place in random.integers(0, networks, networks)]
    wishes = wishes[: networks // 3]
    common = [kind for kind in LOCAL if kind != "long"]
    for scope, count, repeats in (("region", regions, 2), ("asn", networks, 4)):
        for place in random.permutation(np.repeat(np.arange(count), repeats)).tolist():
            wishes.append((str(random.choice(common, p=[0.4, 0.2, 0.25, 0.15])), scope, place))
    return wishes


def _draw(random: np.random.Generator, population: Population, members: Ints, width: int) -> Draw:
    offset = float(population.offset[population.country[members[0]]])
    return Draw(random, members, population.size[members], width, round(60 * offset))


def _end(series: Series) -> int:
    return max(int(piece.ends.max()) for pieces in series for piece in pieces)


def _placed(calendar: Calendar, members: Ints, series: Series) -> bool:
    start = min(int(piece.starts.min()) for pieces in series for piece in pieces)
    end = _end(series)
    if not calendar.free(members, start, end):
        return False
    calendar.take(members, start, end)
    return True


def _events(
    random: np.random.Generator, series: Series, *, kind: str, scope: str, place: int
) -> list[Event]:
    chances = VISIBILITY[scope]
    visible = frozenset(name for name, chance in chances.items() if random.random() < chance)
    networks = np.unique(np.concatenate([piece.networks for piece in series[0]]))
    hidden = frozenset[int]()
    if scope != "asn":
        hidden = frozenset(networks[random.random(networks.size) < _HIDDEN].tolist())
    return [Event(kind, scope, place, tuple(pieces), visible, hidden) for pieces in series]
