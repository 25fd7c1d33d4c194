"""What is so in a cell, and what honest agents measure of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np

from benchmarks.poisoning.cells import Cell
from benchmarks.poisoning.world import HERE, SITES, START, WIDTH, Member, World
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target, Vantage

__all__ = [
    "CLEAN_BINS",
    "LIE_BINS",
    "TIMEOUT",
    "Truth",
    "honest_rows",
    "is_subject",
    "measurement",
    "subject_of",
    "truth_of",
]

CLEAN_BINS = 3
"""Ordinary intervals before the lie."""
LIE_BINS = 18
"""Intervals of the lie, and of the event where there is one."""
_AWAY_SHARE = 0.04
"""Share of the time for which an honest agent is off."""
TIMEOUT, _RESET = "generic_timeout_error", "connection_reset"
_SCOPES = {TIMEOUT: FailureScope.TIMEOUT, _RESET: FailureScope.RESET}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is so from `start` on.

    Attributes:
        down: targets that answer nobody outside their network.
        silent: networks whose agents cannot send.
        blocked: sites that agents in the country do not reach.
    """

    start: datetime
    down: frozenset[str] = frozenset()
    silent: frozenset[int] = frozenset()
    blocked: frozenset[str] = frozenset()


def subject_of(cell: Cell, world: World) -> Entity:
    """Return the entity that a cell's lie is about."""
    if cell.about == "country":
        return Entity(EntityKind.COUNTRY, HERE)
    if cell.about == "network":
        return Entity(EntityKind.ASN, str(world.victim))
    return Entity(EntityKind.DOMAIN, SITES[0])


def is_subject(cell: Cell, world: World, target: Target) -> bool:
    """Return whether a target belongs to what the lie is about."""
    if cell.about == "country":
        return target.country == HERE
    return target.asn == world.victim if cell.about == "network" else target.domain == SITES[0]


def truth_of(cell: Cell, world: World) -> Truth:
    """Return what is so during the lie of a cell."""
    if cell.time == "ordinary":
        return Truth(START)
    if cell.about == "site":
        return Truth(START, blocked=frozenset({SITES[0]}))
    lost = {world.victim} if cell.about == "network" else set(world.networks) - world.spared
    down = {target.id for target in world.targets.values() if target.asn in lost}
    return Truth(START, down=frozenset(down), silent=frozenset(lost))


def honest_rows(
    world: World, truth: Truth, *, bins: range, seed: int
) -> Iterator[tuple[int, list[tuple[Vantage, Measurement]]]]:
    """Yield the honest rows of each interval; those with a negative number are ordinary.

    An agent measures controls and sites in every interval, and half of the other targets.
    """
    targets = list(world.targets.values())
    always = np.array([target.group == "control" or bool(target.domain) for target in targets])
    frail = np.array([world.frail[target.id] for target in targets])
    for number in bins:
        random = np.random.default_rng([seed, world.seed, len(world.honest), number + 10_000])
        now = truth if number >= 0 else Truth(truth.start)
        shape = len(world.honest), len(targets)
        chosen = always | (random.random(shape) < 0.5)
        chosen &= (random.random(len(world.honest)) >= _AWAY_SHARE)[:, None]
        failing = np.array([[member.failing] for member in world.honest])
        failed = random.random(shape) < 1 - (1 - failing) * (1 - frail)
        time = truth.start + number * WIDTH
        rows = []
        for place, member in enumerate(world.honest):
            if not _is_silent(now, member):
                for column in np.flatnonzero(chosen[place]).tolist():
                    target = targets[column]
                    word = _word(now, member.vantage, target, failed=bool(failed[place, column]))
                    rows.append((member.vantage, measurement(target, time, word)))
        yield number, rows


def _is_silent(truth: Truth, member: Member) -> bool:
    return member.vantage.country == HERE and member.vantage.asn in truth.silent


def _word(truth: Truth, vantage: Vantage, target: Target, *, failed: bool) -> str:
    if target.domain in truth.blocked and vantage.country == HERE:
        return _RESET
    return TIMEOUT if failed or target.id in truth.down else ""


@lru_cache(maxsize=100_000)
def measurement(target: Target, time: datetime, word: str) -> Measurement:
    """Return a measurement that failed with `word`, or succeeded if it is empty."""
    return Measurement(
        target=target.id,
        probe=target.probe,
        time=time,
        failure=word or None,
        scope=_SCOPES[word] if word else "",
        host_responded=not word or _SCOPES[word] is FailureScope.RESET,
        seconds=0.1,
    )
