"""A world of domains: how many of an hour's measurements in a country reach each site."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.detection.panel import Panel
from benchmarks.detection.truth import Truth
from benchmarks.detection.world import World
from netwatch.arrays import Floats

__all__ = ["DomainSize", "make_domain_world"]

_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = 1440


@dataclass(frozen=True, slots=True)
class DomainSize:
    """How large a world of domains is; `sites` are measured in each country."""

    countries: int = 10
    sites: int = 12
    training_weeks: int = 4
    scored_weeks: int = 8


def make_domain_world(seed: int, size: DomainSize | None = None) -> World:
    """Return hourly reachability of sites in countries, with blocks of some of them.

    Measurements an hour follow a Poisson law (1 to 25, fewer at night, hours without any);
    1 to 8 % fail in ordinary times. A block leaves 0-35 % reachable for 6 hours to 20 days,
    some of several sites at once. Faults: hours in which the country's vantages fail, for all
    sites at the same time.
    """
    size = size or DomainSize()
    random = np.random.default_rng(seed)
    hours = (size.training_weeks + size.scored_weeks) * 168
    first = size.training_weeks * 168
    codes = [f"{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(size.countries)]
    homes = np.repeat(np.arange(size.countries), size.sites)
    names = tuple(
        f"domain:site{i % size.sites + 1:02d}.{codes[h].lower()}.example"
        for i, h in enumerate(homes.tolist())
    )
    shape = (homes.size, hours)
    hour = (np.arange(hours)[None, :] + random.integers(0, 24, size.countries)[homes][:, None]) % 24
    rate = np.exp(random.uniform(0, np.log(25), homes.size))[:, None]
    trials = random.poisson(rate * (1 - 0.5 * (hour < 7)))
    reached = np.ones(shape)
    truths = _block(random, reached, names, first=first, sites=size.sites)
    truths += _fail(random, reached, names, first=first, sites=size.sites)
    ordinary = (1 - random.uniform(0.01, 0.08, homes.size))[:, None]
    value = random.binomial(trials, ordinary * reached).astype(float)
    total = trials.astype(float)
    value[trials == 0] = np.nan
    total[trials == 0] = np.nan
    true = np.ones(shape)
    rows: list[Truth] = []
    for number, (row, start, end, left, fault) in enumerate(truths):
        if not fault:
            true[row, start:end] = left
        kind = "vantages_failed" if fault else "domain_block"
        rows.append(
            Truth(
                event=number,
                kind=kind,
                fault=fault,
                entity=names[row],
                start=start * 60,
                end=end * 60,
                level=left,
                required=not fault,
                size=1,
            )
        )
    parents = tuple(f"country:{codes[home]}" for home in homes.tolist())
    panel = Panel(
        _MONDAY, 60, names, parents, np.ones(homes.size), {"reachability": value},
        {"reachability": total},
    )  # fmt: skip
    until = _MONDAY + timedelta(hours=first)
    ones = np.ones(homes.size, dtype=np.int64)
    return World(panel, until, tuple(rows), true, parents, ones, f"domains {seed}")


_Row = tuple[int, int, int, float, bool]


def _block(
    random: np.random.Generator, reached: Floats, names: tuple[str, ...], *, first: int, sites: int
) -> list[_Row]:
    rows: list[_Row] = []
    hours = reached.shape[1]
    for country in range(len(names) // sites):
        at = first + int(random.integers(24, 120))
        while at < hours - 72:
            length = round(float(np.exp(random.uniform(np.log(6), np.log(480)))))
            chosen = random.choice(sites, int(random.integers(1, 5)), replace=False)
            left = float(random.uniform(0, 0.35))
            end = min(at + length, hours - 24)
            for site in chosen.tolist():
                row = country * sites + site
                reached[row, at:end] = left
                rows.append((row, at, end, left, False))
            at = end + int(random.integers(72, 240))
    return rows


def _fail(
    random: np.random.Generator, reached: Floats, names: tuple[str, ...], *, first: int, sites: int
) -> list[_Row]:
    rows: list[_Row] = []
    for country in range(len(names) // sites):
        for _ in range(3):
            at = int(random.integers(first + 24, reached.shape[1] - 24))
            end = at + int(random.integers(1, 4))
            for row in range(country * sites, (country + 1) * sites):
                reached[row, at:end] *= 0.1
                rows.append((row, at, end, 1.0, True))
    return rows
