"""Who is to blame: the area under the curve of a blamer on synthetic fleets.

A blamer reads one bin's table and says how suspicious each vantage, target and path is. The
plain one below compares means and is the baseline for others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.fleet import Fleet, FleetSize, area_under_curve, make_fleet
from netwatch.arrays import Bools, Floats, Ints

__all__ = ["Blame", "BlameScores", "Blamer", "Table", "blame_plainly", "score_blame"]


@dataclass(frozen=True, slots=True)
class Table:
    """One bin of a fleet, as a blamer sees it.

    Attributes:
        trials, successes: vantages x targets.
        network: of each vantage.
        controls: targets that nobody blocks.
    """

    trials: Ints
    successes: Ints
    network: Ints
    controls: Bools


@dataclass(frozen=True, slots=True)
class Blame:
    """How suspicious everything is; more is worse, any unit, NaN for no idea.

    Attributes:
        vantage: a value a vantage; target: a value a target.
        path: networks x targets: blocked.
    """

    vantage: Floats
    target: Floats
    path: Floats


Blamer = Callable[[Table], Blame]


@dataclass(frozen=True, slots=True)
class BlameScores:
    """Areas under the ROC curve for the three questions."""

    vantage: float
    target: float
    path: float


def score_blame(
    blamer: Blamer, *, seeds: Sequence[int] = (1, 2, 3), size: FleetSize | None = None
) -> BlameScores:
    """Return the areas over all bins of the fleets of `seeds`.

    Broken vantages and liars report alike, so liars are left out of the score of vantages; they
    stay in the tables that are judged.
    """
    scores: dict[str, list[Floats]] = {"vantage": [], "target": [], "path": []}
    truths: dict[str, list[Bools]] = {"vantage": [], "target": [], "path": []}
    for seed in seeds:
        fleet = make_fleet(seed, size)
        networks = np.unique(fleet.network).size
        for index in range(fleet.trials.shape[0]):
            blame = blamer(_table(fleet, index))
            honest = ~fleet.lying
            scores["vantage"].append(blame.vantage[honest])
            truths["vantage"].append(fleet.broken[index][honest])
            scores["target"].append(blame.target[~fleet.controls])
            truths["target"].append(fleet.dead[index][~fleet.controls])
            judged = np.broadcast_to(~fleet.controls, (networks, fleet.controls.size))
            scores["path"].append(blame.path[judged])
            truths["path"].append(fleet.blocked[index][judged])
    areas = {
        name: area_under_curve(np.concatenate(scores[name]), np.concatenate(truths[name]))
        for name in scores
    }
    return BlameScores(areas["vantage"], areas["target"], areas["path"])


def _table(fleet: Fleet, index: int) -> Table:
    return Table(
        fleet.trials[index],
        fleet.successes[index],
        fleet.network,
        fleet.controls,
    )


def blame_plainly(table: Table) -> Blame:
    """Return the blame that plain means give: failures by row, by column, and what remains."""
    failures = (table.trials - table.successes).astype(float)
    vantage = _share(failures.sum(axis=1), table.trials.sum(axis=1))
    target = _share(failures.sum(axis=0), table.trials.sum(axis=0))
    networks = np.unique(table.network)
    path = np.empty((networks.size, table.controls.size))
    for row, network in enumerate(networks.tolist()):
        here = table.network == network
        mean = _share(failures[here].sum(axis=0), table.trials[here].sum(axis=0))
        path[row] = mean - target
    return Blame(vantage, target, path)


def _share(part: Floats, whole: Ints) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
