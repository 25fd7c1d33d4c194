"""Who lives in the synthetic world: countries, their regions, and the networks in them."""

from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Floats, Ints

__all__ = ["Population", "make_population"]


@dataclass(frozen=True, slots=True)
class Population:
    """Networks and the places they belong to; a row a network.

    Attributes:
        size: /24 blocks of each network.
        region: index of its region, counted over the whole world.
        country: index of its country.
        region_country: country of each region.
        offset: hours that local time is ahead of UTC, a country.
    """

    size: Ints
    region: Ints
    country: Ints
    region_country: Ints
    offset: Floats

    @property
    def networks(self) -> int:
        """Number of networks."""
        return int(self.size.size)

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Return the entities' names: networks, regions, countries."""
        codes = [f"{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(self.offset.size)]
        first = {
            int(c): int(np.flatnonzero(self.region_country == c)[0]) for c in range(len(codes))
        }
        regions = tuple(
            f"region:{codes[country]}-{index - first[country] + 1:02d}"
            for index, country in enumerate(self.region_country.tolist())
        )
        networks = tuple(f"asn:{64512 + index}" for index in range(self.networks))
        return networks, regions, tuple(f"country:{code}" for code in codes)


def make_population(
    random: np.random.Generator, *, countries: int, regions: int, networks: int
) -> Population:
    """Return `countries` with `regions` each and `networks` each, of very different sizes.

    A quarter of the networks have 4 to 19 blocks, a quarter 20 to 100, the rest a
    lognormal tail up to 20,000: many small ones and a few that hold most of the users.
    """
    count = countries * networks
    small = random.integers(4, 20, count)
    middle = random.integers(20, 101, count)
    large = np.clip(100 * np.exp(random.normal(1.5, 1.1, count)), 101, 20_000).astype(np.int64)
    kind = np.tile(np.arange(networks) % 4, countries)
    size = np.select([kind == 0, kind == 1], [small, middle], large).astype(np.int64)
    country = np.repeat(np.arange(countries), networks)
    within = np.tile(np.arange(networks) * regions // networks, countries)
    return Population(
        size=size,
        region=(country * regions + within).astype(np.int64),
        country=country.astype(np.int64),
        region_country=np.repeat(np.arange(countries), regions).astype(np.int64),
        offset=random.integers(-10, 23, countries) / 2.0,
    )
