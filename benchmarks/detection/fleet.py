"""A fleet of agents and their targets, with every way to be wrong about who is to blame.

A bin of a fleet is a table, vantages x targets: trials, successes, and how fast what succeeded
was. Something may be wrong with a vantage, with a target, with the path of a whole network to a
site (a block), or with nothing but the speed (throttling); and an agent may lie.
"""

from dataclasses import dataclass, field

import numpy as np

from netwatch.arrays import Bools, Floats, Ints

__all__ = ["Fleet", "FleetSize", "area_under_curve", "make_fleet"]


@dataclass(frozen=True, slots=True)
class FleetSize:
    """How large a fleet is, and how much of it goes wrong in a bin.

    Attributes:
        vantages, targets, networks: agents, what they ask, the networks they sit in.
        trials: measurements of a pair in a bin, at most.
        bins: number of tables.
        broken, dead: share of vantages and of targets that fail in a bin.
        blocked, slowed: share of (network, target) pairs blocked and throttled in a bin.
        lying: share of vantages that report falsehoods in every bin.
    """

    vantages: int = 20
    targets: int = 50
    networks: int = 5
    trials: int = 3
    bins: int = 40
    broken: float = 0.1
    dead: float = 0.04
    blocked: float = 0.04
    slowed: float = 0.04
    lying: float = 0.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a fleet saw and what was so.

    Attributes:
        trials, successes: bins x vantages x targets.
        seconds: median time of what succeeded, NaN where nothing did.
        rate: median transfer rate of what succeeded, in units of the pair's usual, NaN where
            nothing did.
        usual_seconds: the pair's ordinary time, known from its past.
        network: network of each vantage.
        controls: targets outside the country, which nobody blocks.
        broken: bins x vantages; dead: bins x targets; blocked and slowed: bins x networks x
            targets; lying: vantages.
    """

    trials: Ints
    successes: Ints
    seconds: Floats
    rate: Floats
    usual_seconds: Floats
    network: Ints
    controls: Bools
    broken: Bools
    dead: Bools
    blocked: Bools
    slowed: Bools
    lying: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))


def make_fleet(seed: int, size: FleetSize | None = None) -> Fleet:
    """Return the fleet of a seed.

    A tenth of the targets are controls. A broken vantage loses 40 to 100 % of everything, its
    controls with it; a dead target fails from everywhere; a block fails from one network at 60
    to 100 %; a throttle halves the rate of one network to a site and doubles its time. In
    ordinary times vantages lose 1 to 10 % and targets 1 to 30 %, for good; agents skip a third
    of their measurements; a single transfer's rate varies by half. A liar reports
    failure for everything but the controls, or success for everything, as it likes.
    """
    size = size or FleetSize()
    random = np.random.default_rng(seed)
    network = np.arange(size.vantages) % size.networks
    controls = np.arange(size.targets) < max(5, size.targets // 10)
    shape = (size.bins, size.vantages, size.targets)
    broken = random.random(shape[:2]) < size.broken
    dead = (random.random((size.bins, size.targets)) < size.dead) & ~controls
    pairs = (size.bins, size.networks, size.targets)
    blocked = (random.random(pairs) < size.blocked) & ~controls & ~dead[:, None, :]
    slowed = (random.random(pairs) < size.slowed) & ~controls & ~dead[:, None, :] & ~blocked
    flaky = random.uniform(0.01, 0.1, (size.vantages, 1))
    frail = np.exp(random.uniform(np.log(0.01), np.log(0.3), (1, size.targets)))
    fail = np.broadcast_to(1 - (1 - flaky) * (1 - np.where(controls, 0.01, frail)), shape).copy()
    for state, low, high in (
        (np.broadcast_to(broken[:, :, None], shape), 0.4, 1.0),
        (np.broadcast_to(dead[:, None, :], shape), 0.9, 1.0),
        (blocked[:, network, :], 0.6, 1.0),
    ):
        worse = np.broadcast_to(random.uniform(low, high, shape[0:2])[:, :, None], shape)
        fail = np.where(state, 1 - (1 - fail) * (1 - worse), fail)
    lying = np.zeros(size.vantages, dtype=bool)
    lying[random.permutation(size.vantages)[: round(size.lying * size.vantages)]] = True
    fail = _lies(random, fail, lying, controls)
    trials = random.binomial(size.trials, 0.7, shape)
    successes = random.binomial(trials, 1 - fail)
    usual = np.exp(random.normal(-1.5, 0.5, shape[1:]))
    spread = 0.5 / np.sqrt(np.maximum(successes, 1))
    slow = slowed[:, network, :] & ~lying[None, :, None]
    wait = usual * np.where(slow, 2.0, 1.0) * np.exp(random.normal(0, 1, shape) * spread)
    rate = np.where(slow, 0.5, 1.0) * np.exp(random.normal(0, 1, shape) * spread)
    got = successes > 0
    return Fleet(
        trials=trials,
        successes=successes,
        seconds=np.where(got, wait, np.nan),
        rate=np.where(got, rate, np.nan),
        usual_seconds=usual,
        network=network,
        controls=controls,
        broken=broken,
        dead=dead,
        blocked=blocked,
        slowed=slowed,
        lying=lying,
    )


def _lies(random: np.random.Generator, fail: Floats, lying: Bools, controls: Bools) -> Floats:
    """Half of the liars claim an outage, and half that all is well."""
    alarmist = lying & (random.random(lying.size) < 0.5)
    fail = fail.copy()
    fail[:, lying & ~alarmist, :] = 0.0
    fail[:, alarmist, :] = np.where(controls, 0.0, 1.0)
    return fail


def area_under_curve(scores: Floats, truth: Bools) -> float:
    """Return the area under the ROC curve: P(score of a true one > score of a false one).

    Ties count half (Mann and Whitney 1947). Entries whose score is NaN are left out; NaN
    comes back where one of the classes is empty.
    """
    known = np.isfinite(scores)
    values, labels = scores[known], truth[known]
    positive = int(labels.sum())
    negative = labels.size - positive
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))
