"""The frozen numbers of the benchmark, from `parameters.toml`."""

import hashlib
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.detection.domains import DomainSize
from benchmarks.detection.signals import Noise
from benchmarks.detection.world import WorldSize

__all__ = ["Parameters", "read_parameters"]

_FILE = Path(__file__).with_name("parameters.toml")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a run is made of.

    Attributes:
        worlds: seed and size of every world.
        noise: how noisy they are.
        domains: seed of the world of domains, and its size.
        draws, bootstrap_seed: of the cluster bootstrap.
        digest: SHA-256 of the file, which goes into the results.
    """

    worlds: tuple[tuple[int, WorldSize], ...]
    noise: Noise
    domains: tuple[int, DomainSize]
    draws: int
    bootstrap_seed: int
    digest: str


def read_parameters(seeds: str, *, quick: bool = False) -> Parameters:
    """Return the parameters for `seeds`, `tuning` or `held-out`; `quick` takes one small world."""
    text = _FILE.read_bytes()
    data = tomllib.loads(text.decode())
    size = WorldSize(**data["size"]["quick" if quick else "full"])
    pairs = data["seeds"][seeds]["worlds"]
    if quick:
        pairs = [pair for pair in pairs if pair[1] == 30][:1]
    return Parameters(
        tuple((seed, replace(size, width=width)) for seed, width in pairs),
        Noise(**data["noise"]),
        (pairs[0][0], DomainSize(**data["domains"])),
        200 if quick else data["bootstrap"]["draws"],
        data["bootstrap"]["seed"],
        hashlib.sha256(text).hexdigest(),
    )
