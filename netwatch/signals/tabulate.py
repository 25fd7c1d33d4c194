"""From the measurements of a bin to its table."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from netwatch.model.failure import Scope
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.signals.table import UNKNOWN, Bools, Integers, Labels, Table, make_table

_Key = TypeVar("_Key", bound=Hashable)

__all__ = ["CONTROL", "Tabulated", "tabulate"]

CONTROL = "control"
"""The group of targets that nobody has a reason to cut: they bear witness for the vantage."""


@dataclass(frozen=True, slots=True)
class Tabulated:
    """A table, and what its rows and columns stand for.

    Attributes:
        table: the counts.
        vantages: one a row; a vantage that moved to another network has a row in each.
        targets: one a column.
        networks: country and ASN of each vantage network of the table.
    """

    table: Table
    vantages: list[Vantage]
    targets: list[Target]
    networks: list[tuple[str, int]]


def tabulate(
    rows: Iterable[tuple[Vantage, Measurement]],
    targets: Mapping[str, Target],
    *,
    succeeded: Callable[[Measurement], bool],
) -> Tabulated | None:
    """Return the table of one bin's `rows`, None where none counts.

    Local failures and targets that nobody knows are left out. Vantages of one country whose
    network is unknown are taken to be in one network: who cannot show that he stands apart
    is no second witness.
    """
    counts: dict[tuple[Vantage, str], list[int]] = {}
    for vantage, measurement in rows:
        if measurement.scope == Scope.LOCAL or measurement.target not in targets:
            continue
        count = counts.setdefault((vantage, measurement.target), [0, 0])
        count[0] += succeeded(measurement)
        count[1] += 1
    if not counts:
        return None
    vantages = sorted({vantage for vantage, _ in counts}, key=lambda one: (one.id, one.asn))
    names = sorted({name for _, name in counts})
    row = {vantage: number for number, vantage in enumerate(vantages)}
    column = {name: number for number, name in enumerate(names)}
    got, tried = np.zeros((2, len(vantages), len(names)))
    for (vantage, name), (successes, trials) in counts.items():
        got[row[vantage], column[name]] = successes
        tried[row[vantage], column[name]] = trials
    found = [targets[name] for name in names]
    networks, numbers = _number([(one.country, one.asn) for one in vantages])
    table = make_table(tried, got, numbers, _labels(vantages, found))
    return Tabulated(table, vantages, found, networks)


def _labels(vantages: Sequence[Vantage], targets: Sequence[Target]) -> Labels:
    """Return what is known of the rows and columns."""
    homes = [target.asn or None for target in targets]
    return Labels(
        controls=[target.group == CONTROL for target in targets],
        homes=_number(homes)[1],
        abroad=_abroad(vantages, targets),
        places=_number([_place(target) for target in targets])[1],
    )


def _place(target: Target) -> str:
    """Return the widest place that the target is known to lie in."""
    country = target.country or target.region[:2]
    return country or (f"AS{target.asn}" if target.asn else target.domain or target.id)


def _abroad(vantages: Sequence[Vantage], targets: Sequence[Target]) -> Bools:
    """Return which pairs are known to stand in two countries, shape (v, t)."""
    ours = np.array([vantage.country for vantage in vantages])[:, None]
    theirs = np.array([target.country for target in targets])[None, :]
    return np.asarray((ours != "") & (theirs != "") & (ours != theirs))


def _number(keys: Sequence[_Key | None]) -> tuple[list[_Key], Integers]:
    """Return the different keys in order of appearance, and the number of each; -1 for None."""
    known = list(dict.fromkeys(key for key in keys if key is not None))
    places = {key: number for number, key in enumerate(known)}
    numbers = [UNKNOWN if key is None else places[key] for key in keys]
    return known, np.array(numbers, np.intp)
