"""The liars of a cell: who they claim to be, since when, and what they report."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from benchmarks.poisoning.cells import Cell
from benchmarks.poisoning.truth import LIE_BINS, TIMEOUT, Truth, is_subject, measurement
from benchmarks.poisoning.world import AWAY, HERE, WIDTH, Member, World
from netwatch.model.measurement import Measurement, Target, Vantage

__all__ = ["Report", "make_liars", "reports_of"]

_PER_DAY = 8
_PATIENT_PER_DAY = 4
_TRUSTED = timedelta(days=44)
"""Time since the last of the patient liars came: a probation of two weeks, and thirty days."""
_MAX_COUNT = 2**31 - 1
_INVENTED = 4_200_000
"""First of the networks that only liars claim to be in."""
_CLAIMS = 5
"""Networks that a liar claims at once under the trick `elsewhere`."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a liar sends in one interval.

    Attributes:
        arrives: number of the interval in which it is received; later than its own if late.
    """

    vantage: Vantage
    rows: list[Measurement]
    arrives: int


def make_liars(cell: Cell, world: World) -> list[Member]:
    """Return the liars of a cell.

    In many networks, every other liar is in a real network of the country and the rest in networks
    that nobody else is in, in the country for a lie about a site, else abroad.
    """
    return [
        Member(
            _place(cell, world, number),
            _owner(cell, number),
            {
                "new": timedelta(0),
                "eight a day": timedelta(days=number // _PER_DAY),
                "30 days": _TRUSTED + timedelta(days=number / _PATIENT_PER_DAY),
                "vetted": _TRUSTED,
            }[cell.age],
            vetted=cell.age == "vetted",
        )
        for number in range(cell.liars)
    ]


def _place(cell: Cell, world: World, number: int) -> Vantage:
    if cell.networks == "one":
        return Vantage(f"liar{number}", HERE, min(world.spared, default=world.networks[0]))
    if number % 2 == 0:
        asn = world.networks[number // 2 % len(world.networks)]
        return Vantage(f"liar{number}", HERE, asn)
    country = HERE if cell.about == "site" else AWAY[number % len(AWAY)]
    return Vantage(f"liar{number}", country, _INVENTED + number)


def _owner(cell: Cell, number: int) -> str:
    if cell.age in {"30 days", "vetted"} or cell.owners == "many":
        return "mallory" if cell.owners == "one" else f"mallory{number}"
    return ""


def reports_of(cell: Cell, world: World, truth: Truth, members: list[Member]) -> Iterator[Report]:
    """Yield what the liars send from the first interval of the lie to its last."""
    random = np.random.default_rng([cell.seed, cell.liars, cell.honest])
    targets = list(world.targets.values())
    for number in range(LIE_BINS):
        measured = random.random((len(members), len(targets))) < 0.5
        fails = random.random((len(members), len(targets)))
        time = truth.start + number * WIDTH
        for place, member in enumerate(members):
            lies = _has_begun(cell, place, number)
            if not lies and _does(cell, "controls answer"):
                continue
            rows = [
                _lie(cell, target, time)
                if lies and is_subject(cell, world, target)
                # Of everything else, liars copy what honest agents abroad see.
                else measurement(
                    target,
                    time,
                    TIMEOUT if target.id in truth.down or luck < world.frail[target.id] else "",
                )
                for target, luck, chosen in zip(
                    targets, fails[place].tolist(), measured[place].tolist(), strict=True
                )
                if _is_measured(cell, world, target, chosen=chosen)
            ]
            late = LIE_BINS if _does(cell, "late") and lies else number
            for vantage in _claims(cell, member.vantage):
                yield Report(vantage, rows, late)


def _does(cell: Cell, trick: str) -> bool:
    return cell.trick in {trick, "everything"}


def _has_begun(cell: Cell, place: int, number: int) -> bool:
    """Return whether a liar lies yet; of those that drip, another joins every few intervals."""
    return cell.trick != "drip" or place * LIE_BINS <= (number + 1) * 2 * cell.liars


def _is_measured(cell: Cell, world: World, target: Target, *, chosen: bool) -> bool:
    if target.group == "control" or is_subject(cell, world, target):
        return True
    return chosen and cell.trick != "controls answer"


def _lie(cell: Cell, target: Target, time: datetime) -> Measurement:
    row = measurement(target, time, "" if cell.says == "up" else TIMEOUT)
    return replace(row, weight=_MAX_COUNT) if _does(cell, "counts") else row


def _claims(cell: Cell, vantage: Vantage) -> list[Vantage]:
    if not _does(cell, "elsewhere"):
        return [vantage]
    return [
        vantage,
        *(
            Vantage(vantage.id, (HERE, *AWAY)[claim], _INVENTED + 1000 + claim)
            for claim in range(_CLAIMS - 1)
        ),
    ]
