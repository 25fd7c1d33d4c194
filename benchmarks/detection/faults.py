"""Faults that look like outages: of our own machines, calendars and address plans."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.detection.population import Population
from benchmarks.detection.schedule import Calendar
from benchmarks.detection.signals import Counts
from benchmarks.detection.truth import Truth
from netwatch.arrays import Floats, Ints

__all__ = ["FAULTS", "Fault", "apply_fault", "fault_truths", "plan_faults"]

_DAY = 1440


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: a key of `FAULTS`.
        networks: indices of the networks whose counts it falsifies.
        start, end: minutes since the world began.
        partner: for a prefix migration, the network that takes the addresses over.
    """

    kind: str
    networks: Ints
    start: int
    end: int
    partner: int = -1


Change = Callable[[np.random.Generator, Counts, Fault, slice], None]
"""Falsifies counts in place, in a slice of bins."""


def _scale(values: Floats, fault: Fault, when: slice, factor: float) -> None:
    block = values[fault.networks, when]
    values[fault.networks, when] = np.round(block * factor)


def _broker_down(_: np.random.Generator, counts: Counts, fault: Fault, when: slice) -> None:
    """Every agent's session ends at once, in every country."""
    _scale(counts.values["agents"], fault, when, 0.0)


def _vantage_broken(random: np.random.Generator, counts: Counts, fault: Fault, when: slice) -> None:
    """One of four vantages fails and reports all that it asks for as unreachable."""
    values = counts.values["probing"]
    block = values[fault.networks, when]
    values[fault.networks, when] = random.binomial(block.astype(np.int64), 0.75)


def _signal_dead(random: np.random.Generator, counts: Counts, fault: Fault, when: slice) -> None:
    """One signal's feed stops: half of the time as zeros, half of the time as nothing."""
    name = str(random.choice(["probing", "bgp", "telescope"]))
    value = 0.0 if random.random() < 0.5 else np.nan
    counts.values[name][fault.networks, when] = value


def _clock_shift(_: np.random.Generator, counts: Counts, fault: Fault, when: slice) -> None:
    """The telescope's clock is ten minutes late, or one bin where bins are longer."""
    values = counts.values["telescope"]
    block = values[fault.networks, when]
    bins = max(1, 10 * block.shape[1] // max(1, fault.end - fault.start))
    values[fault.networks, when] = np.roll(block, bins, axis=1)


def _holiday(random: np.random.Generator, counts: Counts, fault: Fault, when: slice) -> None:
    """People stay away: unsolicited traffic falls by a third, a few blocks are switched off."""
    _scale(counts.values["telescope"], fault, when, float(random.uniform(0.6, 0.75)))
    _scale(counts.values["probing"], fault, when, 0.98)
    _scale(counts.values["agents"], fault, when, 0.85)


def _demand(random: np.random.Generator, counts: Counts, fault: Fault, when: slice) -> None:
    """A match or a sandstorm: demand alone falls to about half, or doubles."""
    factor = float(random.choice([random.uniform(0.4, 0.6), 1.7]))
    _scale(counts.values["telescope"], fault, when, factor)


def _migration(_: np.random.Generator, counts: Counts, fault: Fault, when: slice) -> None:
    """Six tenths of a network's addresses move to a sibling for good."""
    here = int(fault.networks[0])
    for values in (*counts.values.values(), *counts.totals.values()):
        moved = np.round(values[here, when] * 0.6)
        values[here, when] -= moved
        values[fault.partner, when] += np.nan_to_num(moved)


FAULTS: dict[str, Change] = {
    "broker_down": _broker_down,
    "vantage_broken": _vantage_broken,
    "signal_dead": _signal_dead,
    "clock_shift": _clock_shift,
    "public_holiday": _holiday,
    "demand_anomaly": _demand,
    "prefix_migration": _migration,
}
"""Every kind of fault. The first four hit the whole world, two a country, one a network."""

_LENGTHS = {
    "broker_down": (30, 120),
    "vantage_broken": (60, 360),
    "signal_dead": (120, 120),
    "clock_shift": (720, 1440),
}


def plan_faults(
    random: np.random.Generator, population: Population, calendar: Calendar, *, first: int
) -> list[Fault]:
    """Return two of each world-wide fault, and a few local ones where nothing happens."""
    everyone = np.arange(population.networks)
    faults = []
    for kind, (low, high) in _LENGTHS.items():
        for _ in range(2):
            start = int(random.integers(first + _DAY, calendar.end - 2 * _DAY))
            faults.append(Fault(kind, everyone, start, start + int(random.integers(low, high + 1))))
    for country in range(population.offset.size):
        members = np.flatnonzero(population.country == country)
        faults += _national(random, population, calendar, members, first=first)
    return faults


def _national(
    random: np.random.Generator,
    population: Population,
    calendar: Calendar,
    members: Ints,
    *,
    first: int,
) -> list[Fault]:
    offset = round(60 * float(population.offset[population.country[members[0]]]))
    faults: list[Fault] = []
    for _ in range(30):
        day = int(random.integers(first // _DAY + 1, calendar.end // _DAY - 2))
        start = day * _DAY - offset
        if calendar.free(members, start, start + _DAY, gap=120):
            calendar.take(members, start, start + _DAY)
            if not faults:
                faults.append(Fault("public_holiday", members, start, start + _DAY))
                continue
            at = start + int(random.integers(360, 900))
            faults.append(Fault("demand_anomaly", members, at, at + 180))
            break
    for _ in range(30):
        here, partner = random.choice(members, 2, replace=False).tolist()
        start = int(random.integers(first + _DAY, calendar.end - 3 * _DAY))
        pair = np.array([here, partner])
        if calendar.free(pair, start, calendar.end - _DAY):
            calendar.take(pair, start, calendar.end)
            faults.append(Fault("prefix_migration", np.array([here]), start, calendar.end, partner))
            break
    return faults


def apply_fault(random: np.random.Generator, counts: Counts, fault: Fault, *, width: int) -> None:
    """Falsify `counts` in place as `fault` does; bins are `width` minutes."""
    when = slice(fault.start // width, -(-fault.end // width))
    FAULTS[fault.kind](random, counts, fault, when)


def fault_truths(fault: Fault, number: int, population: Population) -> list[Truth]:
    """Return rows of truth for a fault: the affected entities, where no call is correct.

    A migration does take addresses from one network and, where the network is a large
    part of it, from its region; there a call within the first 48 h and its tail is excused.
    """
    networks, regions, countries = population.names()
    if fault.kind == "prefix_migration":
        here = int(fault.networks[0])
        touched = [networks[here], networks[fault.partner]]
        if population.region[here] != population.region[fault.partner]:
            touched.append(regions[int(population.region[here])])
        fault = replace(fault, end=fault.start + 3 * _DAY)
    else:
        homes = np.unique(population.region[fault.networks]).tolist()
        lands = np.unique(population.country[fault.networks]).tolist()
        touched = [networks[index] for index in fault.networks.tolist()]
        touched += [regions[index] for index in homes] + [countries[index] for index in lands]
    return [
        Truth(
            event=number,
            kind=fault.kind,
            fault=fault.kind != "prefix_migration",
            entity=entity,
            start=fault.start,
            end=fault.end,
            level=1.0,
            required=False,
            size=0,
        )
        for entity in touched
    ]
