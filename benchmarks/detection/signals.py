"""Counts of the four signals in the absence of faults: seasons, noise, and what events take.

    probing    binomial: /24 blocks that answer, out of those asked; a small nightly dip
    bgp        /24 blocks seen in routing: steady, with slow churn
    telescope  Poisson: sources of unsolicited traffic; strong day and week
    agents     connected volunteers out of those enrolled: a birth and death process

Noise is autoregressive with heavy-tailed innovations, shared in part within a country; levels
drift. So it is not the noise that a Gaussian or an independent model would expect.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.detection.population import Population
from netwatch.arrays import Floats

__all__ = ["SIGNALS", "Counts", "Noise", "autoregressive", "make_counts"]

SIGNALS = ("probing", "bgp", "telescope", "agents")


@dataclass(frozen=True, slots=True)
class Noise:
    """How noisy the world is; all values are relative standard deviations unless said.

    Attributes:
        probing, telescope: of each network; national: shared by a country's networks.
        drift: of a slow random walk, after a week.
        blips: single-bin dips of one signal of one network, a week.
    """

    probing: float = 0.012
    telescope: float = 0.12
    national: float = 0.004
    drift: float = 0.01
    blips: float = 0.05


@dataclass(frozen=True, slots=True)
class Counts:
    """Networks x bins for every signal, and the trials behind those that have them."""

    values: dict[str, Floats]
    totals: dict[str, Floats]


def autoregressive(random: np.random.Generator, rows: int, bins: int, *, memory: float) -> Floats:
    """Return unit-variance AR(1) noise whose correlation falls to 1/e in `memory` bins.

    Innovations are Student's t with 5 degrees of freedom.
    """
    keep = float(np.exp(-1 / memory))
    scale = np.sqrt((1 - keep**2) * 3 / 5)
    noise = random.standard_t(5, (bins, rows)) * scale
    for index in range(1, bins):
        noise[index] += keep * noise[index - 1]
    return np.ascontiguousarray(noise.T)


def make_counts(
    random: np.random.Generator,
    population: Population,
    levels: dict[str, Floats],
    *,
    width: int,
    noise: Noise,
) -> Counts:
    """Return counts given `levels`, what events leave of each network in each signal."""
    bins = levels["probing"].shape[1]
    clock = _Clock(population, bins, width)
    sources = {
        "probing": _probing(random, population, clock, noise),
        "telescope": _telescope(random, population, clock, noise),
    }
    asked = np.maximum(1, (0.85 * population.size).astype(np.int64))
    chance = np.clip(sources["probing"], 0, 0.995) * levels["probing"]
    chance *= _blips(random, chance.shape, width=width, noise=noise)
    values = {"probing": random.binomial(asked[:, None], chance).astype(float)}
    values["bgp"] = _routes(random, population, levels["bgp"], width=width)
    values["bgp"] = np.round(values["bgp"] * _blips(random, chance.shape, width=width, noise=noise))
    values["telescope"] = random.poisson(sources["telescope"] * levels["telescope"]).astype(float)
    enrolled = random.poisson(0.8 * population.size**0.4).clip(0, 60)
    values["agents"] = _agents(random, enrolled, levels["agents"], clock)
    shape = (population.networks, bins)
    totals = {
        "probing": np.broadcast_to(asked[:, None].astype(float), shape).copy(),
        "agents": np.broadcast_to(enrolled[:, None].astype(float), shape).copy(),
    }
    totals["agents"][enrolled == 0] = np.nan
    return Counts(values, totals)


class _Clock:
    """Local hour of every country and bin, and the seasons that follow from it."""

    def __init__(self, population: Population, bins: int, width: int) -> None:
        minutes = np.arange(bins) * width
        local = minutes[None, :] / 60 + population.offset[:, None]
        self.hour = local % 24
        self.weekend = (local // 24) % 7 >= 5
        self.country = population.country
        self.width = width

    def night(self) -> Floats:
        """Return 1 at four in the morning and 0 at four in the afternoon, countries x bins."""
        return 0.5 * (1 + np.cos((self.hour - 4) * np.pi / 12))


def _probing(
    random: np.random.Generator, population: Population, clock: _Clock, noise: Noise
) -> Floats:
    base = random.uniform(0.85, 0.97, population.networks)[:, None]
    dip = random.uniform(0.01, 0.07, population.networks)[:, None]
    shape = 1 - dip * clock.night()[clock.country]
    return (
        base * shape * np.exp(_wander(random, population, clock, scale=noise.probing, noise=noise))
    )


def _telescope(
    random: np.random.Generator, population: Population, clock: _Clock, noise: Noise
) -> Floats:
    rate = population.size * 0.4 * np.exp(random.normal(0, 0.7, population.networks))
    swing = random.uniform(0.3, 1.2, population.networks)[:, None]
    rest = random.uniform(0.0, 0.2, population.networks)[:, None]
    shape = np.exp(-swing * clock.night()[clock.country])
    shape = shape * (1 - rest * clock.weekend[clock.country])
    rate = rate * clock.width / 5
    return (
        rate[:, None]
        * shape
        * np.exp(_wander(random, population, clock, scale=noise.telescope, noise=noise))
    )


def _wander(
    random: np.random.Generator,
    population: Population,
    clock: _Clock,
    *,
    scale: float,
    noise: Noise,
) -> Floats:
    """Return log noise of networks: their own, their country's, and a slow drift."""
    bins = clock.hour.shape[1]
    memory = max(0.5, 60 / clock.width)
    own = autoregressive(random, population.networks, bins, memory=memory)
    shared = autoregressive(random, population.offset.size, bins, memory=memory)
    steps = random.normal(0, 1, (population.networks, bins))
    drift = noise.drift * np.sqrt(clock.width / 10_080) * np.cumsum(steps, axis=1)
    factor = noise.national * (1 if scale < 0.05 else 6)
    return np.asarray(scale * own + factor * shared[clock.country] + drift)


def _routes(
    random: np.random.Generator, population: Population, level: Floats, *, width: int
) -> Floats:
    bins = level.shape[1]
    churn = autoregressive(random, population.networks, bins, memory=720 / width)
    share = np.minimum(1, 0.992 * np.exp(0.0015 * churn))
    return np.round(population.size[:, None] * share * level)


def _blips(
    random: np.random.Generator, shape: tuple[int, int], *, width: int, noise: Noise
) -> Floats:
    """Return factors of 1 with rare dips of 20-60 % that last five minutes of one bin."""
    chance = noise.blips * width / 10_080
    depth = random.uniform(0.2, 0.6, shape) * 5 / width
    return np.where(random.random(shape) < chance, 1 - depth, 1.0)


def _agents(
    random: np.random.Generator,
    enrolled: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]",
    level: Floats,
    clock: _Clock,
) -> Floats:
    """Connected agents: each leaves about twice a day, more at night, and comes back."""
    bins = level.shape[1]
    leave = 1 - np.exp(-2 * clock.width / 1440 * (0.5 + clock.night()))[clock.country]
    back = 1 - np.exp(-clock.width / 60)
    now = random.binomial(enrolled, 0.95)
    connected = np.empty(level.shape)
    for index in range(bins):
        now = now - random.binomial(now, leave[:, index]) + random.binomial(enrolled - now, back)
        connected[:, index] = now
    luck = random.random((enrolled.size, 1))
    connected = np.where(level >= 1, connected, np.floor(connected * level + luck * (level > 0)))
    connected = np.minimum(connected, enrolled[:, None]).astype(float)
    connected[enrolled == 0] = np.nan
    return connected
