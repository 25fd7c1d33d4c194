"""Levels of a fictitious country during losses, for tests of incidents."""

from collections.abc import Callable

from series import COUNTRY, HOUR, START, country_atlas, key

from netwatch.config import IncidentConfig
from netwatch.incidents.tracker import Tracker
from netwatch.model.duration import Duration
from netwatch.model.entities import Entity
from netwatch.model.incident import Incident
from netwatch.model.series import Level, SeriesKey

RULES = IncidentConfig(reopen_window=Duration(hours=24))
NORTH, SOUTH = Entity.parse("region:XT-N"), Entity.parse("region:XT-S")
NETWORKS = [Entity.parse(f"asn:{64496 + number}") for number in range(6)]
IN_REGION = {NORTH: NETWORKS[::2], SOUTH: NETWORKS[1::2]}
Shape = Callable[[int, int], float | None]
"""The share that network `number` has in `hour`, None for no data."""


def level(
    hour: int, series: SeriesKey, value: float | None, *, networks: int = 1, coverage: float = 1.0
) -> Level:
    """Return a level that is as sure as it is low."""
    time = START + hour * HOUR
    if value is None:
        return Level(time, series, None, coverage=0.0, networks=0)
    sure = 0.97 if value < 0.9 else 0.01
    low, high = max(0.0, value - 0.02), value + 0.02
    return Level(time, series, value, low, high, sure, coverage, networks)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def levels_of(hour: int, shape: Shape) -> list[Level]:
    """Return the levels of every network, both regions and the country in one hour."""
    shares = {entity: shape(number, hour) for number, entity in enumerate(NETWORKS)}
    levels = [level(hour, key(str(entity)), value) for entity, value in shares.items()]
    for region, parts in IN_REGION.items():
        value = _mean([shares[entity] for entity in parts])
        levels.append(level(hour, key(str(region)), value, networks=3))
    national = _mean(list(shares.values()))
    return [*levels, level(hour, key(str(COUNTRY)), national, networks=6)]


def new_tracker(config: IncidentConfig = RULES) -> Tracker:
    """Return a tracker of the made-up country."""
    return Tracker(country_atlas(), width=HOUR, config=config)


def follow(shape: Shape, hours: int, *, tracker: Tracker | None = None) -> list[Incident]:
    """Return all revisions of so many hours."""
    tracker = tracker or new_tracker()
    return [revision for hour in range(hours) for revision in tracker.step(levels_of(hour, shape))]


def newest(revisions: list[Incident]) -> dict[str, Incident]:
    """Return the newest revision of every incident."""
    return {revision.id: revision for revision in revisions}


def cut(*networks: int, start: int = 5, end: int = 999, depth: float = 0.05) -> Shape:
    """Return a shape in which some networks are lost from `start` until before `end`."""

    def shape(number: int, hour: int) -> float:
        return depth if number in networks and start <= hour < end else 1.0

    return shape


def both(*shapes: Shape) -> Shape:
    """Return the lowest of several shapes."""

    def shape(number: int, hour: int) -> float | None:
        values = [one(number, hour) for one in shapes]
        return None if None in values else min(value for value in values if value is not None)

    return shape


ALL = cut(*range(6))
