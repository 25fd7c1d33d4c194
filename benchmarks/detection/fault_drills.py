"""Drills: one thing happens in a small world, and there is one right answer to it.

`DRILLS` names them; `make_drill` gives the panel to judge and what is expected, `complaints`
says what is wrong with a verdict, nothing where all is well. Country AA is where it happens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from benchmarks.detection.faults import Fault
from benchmarks.detection.panel import Verdict, scope_of
from benchmarks.detection.population import Population, make_population
from benchmarks.detection.signals import SIGNALS, Noise
from benchmarks.detection.truth import Event, Piece
from benchmarks.detection.world import Plan, World, WorldSize, build_world
from netwatch.lab.backtest.matching import MERGE_MINUTES, Prediction, predictions_of

__all__ = ["DRILLS", "Drill", "complaints", "make_drill"]

_SIZE = WorldSize(
    countries=6, regions=1, networks=6, training_weeks=4, scored_weeks=6, contaminated=0.0
)
_DAY = 1440
_FIRST = _SIZE.training_weeks * 10_080
_COUNTRY = "country:AA"
_LEVEL_POINTS = 0.03


@dataclass(frozen=True, slots=True)
class Drill:
    """A world and the answer that is expected.

    Attributes:
        name: a key of `DRILLS`.
        world: panel, training time and truth.
        calls: spans in minutes that must each be called for country AA; none asks for silence.
        shut_after: minute from which the touched network may no longer be low; -1 for none.
        level: level that must be read within 3 points at the end of the last call; NaN for none.
        quiet: spans in minutes in which nothing at all may start, in any scope.
    """

    name: str
    world: World
    calls: tuple[tuple[int, int], ...] = ()
    shut_after: int = -1
    level: float = float("nan")
    quiet: tuple[tuple[int, int], ...] = ()


def _world(
    seed: int, width: int, events: list[Event], faults: Callable[[Population], list[Fault]]
) -> World:
    random = np.random.default_rng(seed)
    size = WorldSize(
        _SIZE.countries,
        _SIZE.regions,
        _SIZE.networks,
        _SIZE.training_weeks,
        _SIZE.scored_weeks,
        width,
        _SIZE.contaminated,
    )
    population = make_population(
        random, countries=size.countries, regions=size.regions, networks=size.networks
    )
    plan = Plan([], events, faults(population))
    return build_world(random, population, plan, size=size, noise=Noise(blips=0.0))


def _shutdown(start: int, end: int, level: float) -> Event:
    whole = np.ones(_SIZE.networks, dtype=np.int64)
    piece = Piece(
        np.arange(_SIZE.networks), start * whole, end * whole, np.full(_SIZE.networks, level)
    )
    return Event("drill", "country", 0, (piece,), frozenset(SIGNALS))


def _fault(kind: str, start: int, end: int, *, everywhere: bool) -> Callable[[int, int], Drill]:
    def drill(seed: int, width: int) -> Drill:
        def faults(population: Population) -> list[Fault]:
            here = population.country >= 0 if everywhere else population.country == 0
            return [Fault(kind, np.flatnonzero(here), start, end)]

        world = _world(seed, width, [], faults)
        return Drill(kind, world, quiet=((start - 60, end + 60),))

    return drill


def _outage(days: int, level: float) -> Callable[[int, int], Drill]:
    start = _FIRST + 3 * _DAY + 17 * 60
    end = start + days * _DAY

    def drill(seed: int, width: int) -> Drill:
        world = _world(seed, width, [_shutdown(start, end, level)], lambda _: [])
        return Drill(f"outage_{days}_days", world, ((start, end),), level=level)

    return drill


def _curfew(seed: int, width: int) -> Drill:
    start = _FIRST + 2 * _DAY + 18 * 60 + 30
    nights = [(start + night * _DAY, start + night * _DAY + 480) for night in range(21)]
    events = [_shutdown(begin, end, 0.06) for begin, end in nights]
    world = _world(seed, width, events, lambda _: [])
    return Drill("curfew_21_nights", world, tuple(nights), level=0.06)


def _migration(seed: int, width: int) -> Drill:
    start = _FIRST + 7 * _DAY
    end = (_SIZE.training_weeks + _SIZE.scored_weeks) * 10_080

    def faults(_: Population) -> list[Fault]:
        return [Fault("prefix_migration", np.array([2]), start, end, 3)]

    world = _world(seed, width, [], faults)
    return Drill("prefix_migration", world, shut_after=start + 3 * _DAY)


_LATER = _FIRST + 10 * _DAY + 9 * 60

DRILLS: Mapping[str, Callable[[int, int], Drill]] = {
    "broker_down": _fault("broker_down", _LATER, _LATER + 60, everywhere=True),
    "vantage_broken": _fault("vantage_broken", _LATER, _LATER + 180, everywhere=True),
    "signal_dead": _fault("signal_dead", _LATER, _LATER + 120, everywhere=True),
    "clock_shift": _fault("clock_shift", _LATER, _LATER + _DAY, everywhere=True),
    "public_holiday": _fault("public_holiday", _LATER, _LATER + _DAY, everywhere=False),
    "demand_anomaly": _fault("demand_anomaly", _LATER, _LATER + 180, everywhere=False),
    "prefix_migration": _migration,
    "outage_7_days": _outage(7, 0.05),
    "outage_31_days": _outage(31, 0.07),
    "curfew_21_nights": _curfew,
}
"""Every drill: from a seed and minutes a bin to its world and the answer to it."""


def make_drill(name: str, *, seed: int = 1, width: int = 10) -> Drill:
    """Return the drill called `name`, in bins of `width` minutes."""
    return DRILLS[name](seed, width)


def complaints(drill: Drill, verdict: Verdict) -> list[str]:
    """Return what is wrong with `verdict` of confirmed detections; empty where all is well."""
    world = drill.world
    end = world.panel.bins * world.panel.width
    found = predictions_of(verdict.detections, world.panel.start, end=end, confidence="confirmed")
    national = found.get(_COUNTRY, [])
    wrong = [
        f"{entity} is called at {_when(world, one)}, where nothing happened"
        for entity, runs in found.items()
        for one in runs
        if _forbidden(drill, entity, one)
    ]
    wrong += _missed(drill, national)
    if drill.shut_after >= 0:
        wrong += [
            f"{entity} still counts as low at {_when(world, one)}"
            for entity, runs in found.items()
            for one in runs
            if one.end > drill.shut_after + _DAY
        ]
    return wrong + _wrong_level(drill, verdict)


def _when(world: World, one: Prediction) -> str:
    return f"{world.time(one.start):%Y-%m-%d %H:%M}"


def _forbidden(drill: Drill, entity: str, one: Prediction) -> bool:
    """Countries may be called within the calls only; nothing may start in the quiet spans."""
    quiet = any(first <= one.start < last for first, last in drill.quiet)
    if scope_of(entity) != "country":
        return quiet
    slack = max(drill.world.panel.width, 15)
    own = entity == _COUNTRY and any(
        first - slack <= one.start < last for first, last in drill.calls
    )
    return quiet or not own


def _missed(drill: Drill, runs: list[Prediction]) -> list[str]:
    """Each call has exactly one run: it starts near the call, and ends near its end."""
    slack = max(2 * drill.world.panel.width, MERGE_MINUTES)
    wrong = []
    for first, last in drill.calls:
        inside = [one for one in runs if first - slack <= one.start < last]
        when = f"{drill.world.time(first):%Y-%m-%d %H:%M}"
        if len(inside) != 1:
            wrong.append(f"{_COUNTRY} has {len(inside)} runs for what began at {when}, want 1")
            continue
        if abs(inside[0].start - first) > slack:
            wrong.append(f"the run begins {inside[0].start - first:+d} minutes off {when}")
        if abs(inside[0].end - last) > slack:
            wrong.append(f"the run that began at {when} ends {inside[0].end - last:+d} minutes off")
    return wrong


def _wrong_level(drill: Drill, verdict: Verdict) -> list[str]:
    """The level in the last two hours of the last call is the true one, within 3 points."""
    if np.isnan(drill.level) or verdict.levels is None:
        return []
    panel = drill.world.panel
    row, last = panel.entities.index(_COUNTRY), drill.calls[-1][1] // panel.width
    two_hours = timedelta(hours=2) // timedelta(minutes=panel.width)
    level = verdict.levels.level[row, last - two_hours : last]
    if not np.isfinite(level).any():
        return ["no level at the end"]
    error = float(np.nanmedian(level)) - drill.level
    return [f"the level ends {100 * error:+.1f} points off"] if abs(error) > _LEVEL_POINTS else []
