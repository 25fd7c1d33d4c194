"""Made-up series for tests of the detector and of what comes after it."""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from netwatch.detect.detector import BayesFilterDetector
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.series import Bin, Level, SeriesKey

__all__ = [
    "COUNTRY",
    "HOUR",
    "START",
    "Bins",
    "by_key",
    "country_atlas",
    "hours",
    "key",
    "network_bins",
    "noisy",
    "run",
]

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
HOUR = timedelta(hours=1)
COUNTRY = Entity.parse("country:XT")
Bins = list[tuple[datetime, list[Bin]]]


def key(entity: str, signal: str = "probing") -> SeriesKey:
    """Return a series by its names."""
    return SeriesKey(signal, Entity.parse(entity))


def hours(count: int, *, width: timedelta = HOUR) -> list[datetime]:
    """Return the first `count` bins of the made-up world."""
    return [START + number * width for number in range(count)]


def country_atlas(networks: int = 6) -> EntityTree:
    """Return a country of two regions whose networks weigh the same."""
    regions = [Entity.parse(f"region:XT-{name}") for name in "NS"]
    return EntityTree(
        [
            EntityInfo(COUNTRY, "Testland"),
            *(EntityInfo(region, f"Region {region.code}", COUNTRY) for region in regions),
            *(
                EntityInfo(
                    Entity.parse(f"asn:{64496 + number}"), f"AS{number}", regions[number % 2]
                )
                for number in range(networks)
            ),
        ]
    )


def noisy(seed: int, *, spread: float = 0.01) -> Callable[[], float]:
    """Return a function that gives factors about 1, the same for the same seed."""
    random = np.random.default_rng(seed)
    return lambda: float(1 + spread * random.standard_normal())


def network_bins(
    times: Iterable[datetime],
    level: Callable[[int, datetime], float | None],
    *,
    networks: int = 6,
    signal: str = "probing",
) -> Bins:
    """Return bins of every network: 1000 times `level(network, time)`; None is no data."""
    noise = noisy(1)
    found = []
    for time in times:
        row = []
        for number in range(networks):
            share, factor = level(number, time), noise()
            if share is not None:
                series = key(f"asn:{64496 + number}", signal)
                row.append(Bin(time, series, 1000 * share * factor))
        found.append((time, row))
    return found


def run(
    detector: BayesFilterDetector, bins: Bins, *, frozen: Collection[SeriesKey] = ()
) -> list[list[Level]]:
    """Show bins to a detector, one interval after another."""
    return [detector.step(time, row, frozen=frozen) for time, row in bins]


def by_key(steps: Iterable[list[Level]], series: SeriesKey) -> Iterator[Level]:
    """Yield the levels of one series."""
    for step in steps:
        yield from (level for level in step if level.series == series)
