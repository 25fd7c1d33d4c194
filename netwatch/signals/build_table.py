"""From the measurements of a bin to its tables."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.signals.attribution.contingency import (
    UNKNOWN,
    Bools,
    Floats,
    Integers,
    VantageTargetCells,
    VantageTargetLabels,
    VantageTargetTable,
    make_table,
)

CONTROL = "control"
"""The group of targets that nobody has a reason to cut: they bear witness for the vantage."""


@dataclass(frozen=True, slots=True)
class TargetCounts:
    """The tables of a bin, and what their rows and columns stand for.

    Attributes:
        heard: the counts of any answer.
        served: the counts of full success.
        vantages: one a row; a vantage that moved to another network has a row in each.
        targets: one a column.
    """

    heard: VantageTargetTable
    served: VantageTargetTable
    vantages: list[Vantage]
    targets: list[Target]


def build_table(
    rows: Iterable[tuple[Vantage, Measurement]],
    targets: Mapping[str, Target],
    *,
    weights: Mapping[tuple[str, str], float] | None = None,
) -> TargetCounts | None:
    """Return the tables of one bin's `rows`, None where none counts.

    Local failures and targets that nobody knows are left out. Vantages of one country whose
    network is unknown are taken to be in one network: who cannot show that he stands apart
    is no second witness. Of `weights`, by name and country, only the ratios matter: where all
    are new, all are believed.
    """
    counts: dict[tuple[tuple[str, str, int], str], list[int]] = {}
    known: dict[tuple[str, str, int], Vantage] = {}
    for vantage, measurement in rows:
        if measurement.scope == FailureScope.LOCAL or measurement.target not in targets:
            continue
        key = (vantage.id, vantage.country, vantage.asn)
        known.setdefault(key, vantage)
        count = counts.setdefault((key, measurement.target), [0, 0, 0])
        count[0] += 1
        count[1] += measurement.host_responded
        count[2] += measurement.failure is None
    if not counts:
        return None
    keys, names = sorted(known), sorted({name for _, name in counts})
    row = {key: number for number, key in enumerate(keys)}
    column = {name: number for number, name in enumerate(names)}
    vantage_rows = np.array([row[key] for key, _ in counts], np.intp)
    target_rows = np.array([column[name] for _, name in counts], np.intp)
    trials, alive, served = np.array(list(counts.values()), float).T
    vantages, found = [known[key] for key in keys], [targets[name] for name in names]
    cells = VantageTargetCells(
        vantage=vantage_rows,
        target=target_rows,
        trials=trials,
        successes=alive,
        abroad=_abroad(vantages, found, vantage_rows, target_rows),
        usual=np.full(len(trials), np.nan),
    )
    heard = make_table(
        cells,
        _number([(one.country, one.asn) for one in vantages]),
        replace(_labels(found), prior_trust=_trust(vantages, weights or {})),
        targets=len(found),
    )
    by_service = replace(heard, cells=replace(cells, successes=served))
    return TargetCounts(heard, by_service, vantages, found)


def _labels(targets: Sequence[Target]) -> VantageTargetLabels:
    """Return what is known of the columns."""
    return VantageTargetLabels(
        controls=[target.group == CONTROL for target in targets],
        homes=_number([target.asn or None for target in targets]),
        places=_number([_place(target) for target in targets]),
    )


def _trust(vantages: Sequence[Vantage], weights: Mapping[tuple[str, str], float]) -> Floats:
    """Return how far each row is believed before anything was looked at, shape (v,)."""
    found = np.array([weights.get((one.id, one.country), 1.0) for one in vantages])
    return np.asarray(found / found.max()) if found.max() > 0 else np.ones_like(found)


def _place(target: Target) -> str:
    """Return the widest place that the target is known to lie in."""
    country = target.country or target.region[:2]
    return country or (f"AS{target.asn}" if target.asn else target.domain or target.id)


def _abroad(
    vantages: Sequence[Vantage], targets: Sequence[Target], rows: Integers, columns: Integers
) -> Bools:
    """Return which cells are known to span two countries, shape (n,)."""
    ours = np.array([vantage.country for vantage in vantages])[rows]
    theirs = np.array([target.country for target in targets])[columns]
    return np.asarray((ours != "") & (theirs != "") & (ours != theirs))


def _number(keys: Sequence[Hashable]) -> Integers:
    """Return the number of each key in order of appearance, -1 for None."""
    places: dict[Hashable, int] = {}
    return np.array(
        [UNKNOWN if key is None else places.setdefault(key, len(places)) for key in keys], np.intp
    )
