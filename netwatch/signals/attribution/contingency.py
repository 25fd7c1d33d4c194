"""The table of a bin: who asked whom, how often, and how often an answer came."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.intp]

UNKNOWN = -1
"""The home of whatever has no known home."""


@dataclass(frozen=True, slots=True)
class VantageTargetCells:
    """The pairs that were measured, n of them; an agent of many asks a few targets of many.

    Attributes:
        vantage, target: row and column of each pair, every pair once, (n,).
        trials: more than 0, (n,).
        successes: 0 to trials, (n,).
        abroad: whether the vantage is known to be in another country than the target, (n,).
        usual: share of measurements that ordinarily fails, strictly between 0 and 1, NaN where
            the past is unknown, (n,).
    """

    vantage: Integers
    target: Integers
    trials: Floats
    successes: Floats
    abroad: Bools
    usual: Floats


@dataclass(frozen=True, slots=True)
class VantageTargetLabels:
    """What may be known of vantages and targets; None takes the plainest.

    Attributes:
        owners: number of each vantage's owner, (v,); else each has an owner of its own.
        prior_trust: what is known of each vantage from its past, 0 to 1, (v,); else 1.
        controls: targets that nobody has a reason to cut, (t,); else none.
        homes: number of each target's own network, -1 where unknown, (t,); else unknown.
        places: number of the place that each target lies in, a country where it is known,
            (t,); else all lie in one.
    """

    owners: npt.ArrayLike | None = None
    prior_trust: npt.ArrayLike | None = None
    controls: npt.ArrayLike | None = None
    homes: npt.ArrayLike | None = None
    places: npt.ArrayLike | None = None


@dataclass(frozen=True, slots=True)
class VantageTargetTable:
    """Vantages by targets in one interval; a pair without a cell is no data, never a failure.

    Attributes:
        cells: what was measured.
        networks: number of each vantage's network, 0 to g - 1, (v,).
        owners, prior_trust: see `VantageTargetLabels`, (v,).
        controls, homes, places: see `VantageTargetLabels`, (t,).
    """

    cells: VantageTargetCells
    networks: Integers
    owners: Integers
    prior_trust: Floats
    controls: Bools
    homes: Integers
    places: Integers
    network: Integers = field(init=False)
    """Network of each cell's vantage, (n,)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", self.networks[self.cells.vantage])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of vantages v, of vantage networks g, and of targets t."""
        return len(self.networks), int(self.networks.max(initial=-1)) + 1, len(self.controls)

    def by_vantage(self, values: npt.NDArray[np.generic]) -> Floats:
        """Return the sums of a value a cell over each vantage, (v,)."""
        return np.bincount(self.cells.vantage, values, self.shape[0]).astype(float)

    def by_target(self, values: npt.NDArray[np.generic]) -> Floats:
        """Return the sums of a value a cell over each target, (t,)."""
        return np.bincount(self.cells.target, values, self.shape[2]).astype(float)

    def by_network(self, values: npt.NDArray[np.generic]) -> Floats:
        """Return the sums of a value a cell over each vantage network and target, (g, t)."""
        _, networks, targets = self.shape
        places = self.network * targets + self.cells.target
        total = np.bincount(places, values, networks * targets)
        return total.astype(float).reshape(networks, targets)

    def matrix(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return a value a cell as a matrix, zero where nobody asked, (v, t)."""
        found = np.zeros((self.shape[0], self.shape[2]), values.dtype)
        found[self.cells.vantage, self.cells.target] = values
        return found


def make_table(
    cells: VantageTargetCells, networks: npt.ArrayLike, labels: VantageTargetLabels, *, targets: int
) -> VantageTargetTable:
    """Return the table of `cells` with what `labels` leaves out filled in.

    Raises:
        ValueError: labels are not as many as vantages or targets, or counts cannot be.
    """
    if not ((cells.trials > 0) & (cells.successes >= 0)).all():
        raise ValueError("trials: want more than 0, and successes 0 or more")
    if not (cells.successes <= cells.trials).all():
        raise ValueError("successes: more than trials")
    vantages = len(np.asarray(networks))
    owners = np.arange(vantages) if labels.owners is None else labels.owners
    return VantageTargetTable(
        cells=cells,
        networks=np.asarray(networks).astype(np.intp),
        owners=_column(owners, 0, vantages).astype(np.intp),
        prior_trust=_column(labels.prior_trust, 1.0, vantages).astype(float),
        controls=_column(labels.controls, 0, targets).astype(bool),
        homes=_column(labels.homes, UNKNOWN, targets).astype(np.intp),
        places=_column(labels.places, 0, targets).astype(np.intp),
    )


def table_from_matrix(
    trials: npt.ArrayLike,
    successes: npt.ArrayLike,
    networks: npt.ArrayLike,
    labels: VantageTargetLabels | None = None,
    *,
    abroad: npt.ArrayLike = False,
) -> VantageTargetTable:
    """Return the table of counts given as matrices, (v, t).

    Raises:
        ValueError: shapes do not fit, or counts cannot be.
    """
    tried, got = np.asarray(trials, float), np.asarray(successes, float)
    if got.shape != tried.shape or len(np.asarray(networks)) != len(tried):
        raise ValueError("networks: want one a row of trials, and successes of the same shape")
    vantage, target = np.nonzero(tried)
    cells = VantageTargetCells(
        vantage=vantage,
        target=target,
        trials=tried[vantage, target],
        successes=got[vantage, target],
        abroad=np.broadcast_to(np.asarray(abroad, bool), tried.shape)[vantage, target],
        usual=np.full(len(vantage), np.nan),
    )
    return make_table(cells, networks, labels or VantageTargetLabels(), targets=tried.shape[1])


def by_side(table: VantageTargetTable) -> tuple[VantageTargetTable, Integers]:
    """Return the table with targets seen from home and from abroad in columns of their own.

    A country cut off from the world is well in the eyes of those inside: neither side may
    call the other a liar. The second value is, for each column, which target it came from;
    the columns from abroad stand behind the others, and only where both sides asked.
    """
    cells, size = table.cells, table.shape[2]
    far, near = table.by_target(cells.abroad), table.by_target(~cells.abroad)
    both = np.flatnonzero((far > 0) & (near > 0) & ~table.controls)
    columns = np.concatenate([np.arange(size), both]).astype(np.intp)
    if not len(both):
        return table, columns
    place = np.full(size, UNKNOWN, np.intp)
    place[both] = size + np.arange(len(both))
    moves = cells.abroad & (place[cells.target] >= 0)
    target = np.where(moves, place[cells.target], cells.target)
    sides = VantageTargetTable(
        cells=replace(cells, target=target),
        networks=table.networks,
        owners=table.owners,
        prior_trust=table.prior_trust,
        controls=table.controls[columns],
        homes=table.homes[columns],
        places=table.places[columns],
    )
    return sides, columns


def _column(values: npt.ArrayLike | None, plainest: float, size: int) -> npt.NDArray[np.generic]:
    """Return `values`, or the plainest, `size` of them."""
    found = np.full(size, plainest) if values is None else np.asarray(values)
    if found.shape != (size,):
        raise ValueError(f"labels: want {size} values, got shape {found.shape}")
    return found
