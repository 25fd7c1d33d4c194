"""The synthetic world: people, seasons, events and faults, with the truth about all of it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.detection.faults import Fault, apply_fault, fault_truths, plan_faults
from benchmarks.detection.panel import Panel
from benchmarks.detection.population import Population, make_population
from benchmarks.detection.schedule import Calendar, plan_events
from benchmarks.detection.signals import SIGNALS, Counts, Noise, make_counts
from benchmarks.detection.truth import Event, Piece, Truth, truths_of_event
from netwatch.arrays import Floats, Ints

__all__ = [
    "Plan",
    "World",
    "WorldSize",
    "aggregate",
    "apply_piece",
    "build_world",
    "make_world",
    "present_levels",
]

_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_WEEK = 10_080


@dataclass(frozen=True, slots=True)
class WorldSize:
    """How large a world is.

    Attributes:
        countries, regions, networks: regions and networks are those of each country.
        training_weeks: weeks that only teach; scored_weeks follow.
        width: minutes a bin; 5, 30 or 60 here, any divisor of a day in principle.
        contaminated: share of networks with an outage of their own while training.
    """

    countries: int = 12
    regions: int = 3
    networks: int = 12
    training_weeks: int = 4
    scored_weeks: int = 7
    width: int = 30
    contaminated: float = 0.08


@dataclass(frozen=True, slots=True)
class World:
    """A panel with the truth about it.

    Attributes:
        panel: what a detector may see.
        training_until: what lies before only teaches.
        truths: one row an event and entity, and one a fault and entity.
        levels: true level of every entity and bin, 1.0 = ordinary.
        countries: country of every entity, the cluster of the statistics.
        sizes: /24 blocks of every entity.
        name: what the world is called in tables.
    """

    panel: Panel
    training_until: datetime
    truths: tuple[Truth, ...]
    levels: Floats
    countries: tuple[str, ...]
    sizes: Ints
    name: str = ""

    def time(self, minute: int) -> datetime:
        """Return the instant `minute` minutes after the world began."""
        return self.panel.start + timedelta(minutes=minute)


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in a world: while training, afterwards, and only seemingly."""

    history: list[Event]
    events: list[Event]
    faults: list[Fault]


def make_world(seed: int, size: WorldSize | None = None, *, noise: Noise | None = None) -> World:
    """Return the world of a seed; the same seed and size give the same world."""
    size = size or WorldSize()
    noise = noise or Noise()
    random = np.random.default_rng(seed)
    population = make_population(
        random, countries=size.countries, regions=size.regions, networks=size.networks
    )
    first = size.training_weeks * _WEEK
    minutes = first + size.scored_weeks * _WEEK
    calendar = Calendar({}, minutes)
    plan = Plan(
        _old_events(random, population, size),
        plan_events(random, population, calendar, first=first, width=size.width),
        plan_faults(random, population, calendar, first=first),
    )
    world = build_world(random, population, plan, size=size, noise=noise)
    return replace(world, name=f"seed {seed}, {size.width} min")


def build_world(
    random: np.random.Generator,
    population: Population,
    plan: Plan,
    *,
    size: WorldSize,
    noise: Noise,
) -> World:
    """Return the world in which `plan` happens to `population`."""
    events = [*plan.history, *plan.events]
    bins = (size.training_weeks + size.scored_weeks) * _WEEK // size.width
    seen, true = present_levels(population, events, bins=bins, width=size.width)
    counts = make_counts(random, population, seen, width=size.width, noise=noise)
    for fault in plan.faults:
        apply_fault(random, counts, fault, width=size.width)
    panel = _panel(population, counts, size.width)
    homes = np.concatenate(
        [population.country, population.region_country, np.arange(size.countries)]
    )
    _lose(random, panel, homes, events)
    truths = [
        truth
        for number, event in enumerate(plan.events)
        for truth in truths_of_event(event, number, population)
    ]
    for number, fault in enumerate(plan.faults, len(events)):
        truths += fault_truths(fault, number, population)
    countries = population.names()[2]
    return World(
        panel,
        _MONDAY + timedelta(weeks=size.training_weeks),
        tuple(truths),
        _true_levels(population, panel, true),
        tuple(countries[index] for index in homes.tolist()),
        panel.weights.astype(np.int64),
    )


def present_levels(
    population: Population, events: list[Event], *, bins: int, width: int
) -> tuple[dict[str, Floats], Floats]:
    """Return what is left of networks x bins in each signal, and the true level."""
    shape = (population.networks, bins)
    true = np.ones(shape)
    seen = {name: np.ones(shape) for name in SIGNALS}
    for event in events:
        for piece in event.pieces:
            for network, start, end, level in zip(
                piece.networks.tolist(),
                piece.starts.tolist(),
                piece.ends.tolist(),
                piece.levels.tolist(),
                strict=True,
            ):
                apply_piece(true[network], start, end, level, width=width)
                hidden = {"probing"} if network in event.hidden else set()
                for name in event.visible - hidden:
                    apply_piece(seen[name][network], start, end, level, width=width)
    return seen, true


def apply_piece(row: Floats, start: int, end: int, level: float, *, width: int) -> None:
    """Multiply a row of bins by `level` from minute `start` to `end`, edge bins in part."""
    first, last = start // width, min(-(-end // width), row.size)
    edges = np.arange(first, last) * width
    part = np.minimum(end, edges + width) - np.maximum(start, edges)
    row[first:last] *= 1 - part / width * (1 - level)


def aggregate(rows: Floats, membership: Ints, count: int) -> Floats:
    """Return sums of rows by membership; NaN only where every part is NaN."""
    total = np.zeros((count, rows.shape[1]))
    known = np.zeros((count, rows.shape[1]), dtype=bool)
    np.add.at(total, membership, np.nan_to_num(rows))
    np.logical_or.at(known, membership, ~np.isnan(rows))
    total[~known] = np.nan
    return total


def _old_events(
    random: np.random.Generator, population: Population, size: WorldSize
) -> list[Event]:
    """Outages of up to three days while training: real history is never clean."""
    calendar = Calendar({}, size.training_weeks * _WEEK)
    chosen = random.random(population.networks) < size.contaminated
    events = []
    for network in np.flatnonzero(chosen).tolist():
        members = np.array([network])
        start = int(random.integers(0, calendar.end - 3 * 1440))
        end = start + int(random.integers(360, 3 * 1440))
        one = np.ones(1, dtype=np.int64)
        events.append(_plain(members, start * one, end * one, network))
    return events


def _plain(members: Ints, starts: Ints, ends: Ints, network: int) -> Event:
    piece = Piece(members, starts, ends, np.full(members.size, 0.1))
    return Event("history", "asn", network, (piece,), frozenset(SIGNALS))


def _lose(random: np.random.Generator, panel: Panel, homes: Ints, events: list[Event]) -> None:
    """Take data away: single bins, hours of one series, and the telescope during shutdowns.

    Each entity's series is lost by itself: a place is measured, not added up afterwards.
    """
    width = panel.width
    for values in panel.values.values():
        rows, bins = values.shape
        values[random.random(values.shape) < 0.003] = np.nan
        for _ in range(random.poisson(0.05 * rows * bins * width / _WEEK)):
            row, start = int(random.integers(rows)), int(random.integers(bins))
            length = int(random.integers(60, 360)) // width + 1
            values[row, start : start + length] = np.nan
    for event in events:
        if event.kind in {"national_full", "national_long"} and random.random() < 0.3:
            start = event.start // width + 1
            stop = start + max(1, (event.end - event.start) // (4 * width))
            panel.values["telescope"][homes == event.place, start:stop] = np.nan


def _panel(population: Population, counts: Counts, width: int) -> Panel:
    """Return the panel of networks, then regions, then countries, with sums for the latter."""
    networks, regions, countries = population.names()

    def stack(rows: Floats) -> Floats:
        middle = aggregate(rows, population.region, len(regions))
        top = aggregate(rows, population.country, len(countries))
        return np.vstack([rows, middle, top])

    above = [countries[index] for index in population.region_country.tolist()]
    parents = [regions[index] for index in population.region.tolist()] + above
    return Panel(
        _MONDAY,
        width,
        networks + regions + countries,
        tuple(parents) + ("",) * len(countries),
        stack(population.size.astype(float)[:, None])[:, 0],
        {name: stack(counts.values[name]) for name in SIGNALS},
        {name: stack(totals) for name, totals in counts.totals.items()},
    )


def _true_levels(population: Population, panel: Panel, true: Floats) -> Floats:
    """Return the true level of every entity of `panel`, weighted by blocks."""
    lit = true * population.size[:, None]
    count = population.region_country.size
    middle = aggregate(lit, population.region, count)
    top = aggregate(lit, population.country, population.offset.size)
    return np.vstack([lit, middle, top]) / panel.weights[:, None]
