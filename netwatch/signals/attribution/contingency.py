"""Counts of one bin by vantage and target: how often each pair was measured and succeeded."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.measurement import Target, Vantage
from netwatch.signals.attribution.capped_shares import Holders

CONTROL_GROUP = "control"
"""Group of targets that nobody has a reason to cut; they show whether a vantage works."""


@dataclass(frozen=True, slots=True)
class VantageTargetTable:
    """Vantages by targets in one interval, of which n pairs, the cells, were measured.

    It is sparse, since a vantage measures few of many targets. A pair without a cell is no data,
    not a failure.

    Attributes:
        vantage, target: row and column of each cell, every pair once, (n,).
        trials: more than 0, bounded by what a probe can do in the interval, (n,).
        successes: 0 to trials, (n,).
        abroad: whether vantage and target are known to be in different countries, (n,).
        networks: number of each vantage's network, 0 to g - 1, (v,).
        owners: number of each vantage's owner, from 0, (v,).
        prior_trust: trust in each vantage from its past, 0 to 1, (v,).
        controls: targets that nobody has a reason to cut, (t,).
        target_asn: number of each target's network, -1 if unknown, (t,).
        target_country: number of each target's country, (t,).
    """

    vantage: RowArray
    target: RowArray
    trials: Floats
    successes: Floats
    abroad: Bools
    networks: RowArray
    owners: RowArray
    prior_trust: Floats
    controls: Bools
    target_asn: RowArray
    target_country: RowArray

    @property
    def cell_network(self) -> RowArray:
        """Network of each cell's vantage, (n,)."""
        return np.asarray(self.networks[self.vantage])

    @property
    def holders(self) -> Holders:
        """Networks and owners of the vantages."""
        return Holders(self.networks, self.owners)

    @property
    def network_count(self) -> int:
        """Number of vantage networks, g."""
        return int(self.networks.max(initial=-1)) + 1

    def weigh_networks(self, weights: Floats) -> Floats:
        """Return the weight of each network that measures a target, at most 1, (g, t).

        A network is one voice; with `weights` of vantages that are capped by owner, the many
        networks that one owner claims are no more than the owner is.
        """
        return np.minimum(self.sum_by_path(weights[self.vantage]), 1.0)

    def sum_by_vantage(self, values: npt.NDArray[np.generic]) -> Floats:
        """Return the sums of cell values over each vantage, (v,)."""
        return np.bincount(self.vantage, values, len(self.networks)).astype(float)

    def sum_by_target(self, values: npt.NDArray[np.generic]) -> Floats:
        """Return the sums of cell values over each target, (t,)."""
        return np.bincount(self.target, values, len(self.controls)).astype(float)

    def sum_by_path(self, values: npt.NDArray[np.generic]) -> Floats:
        """Return the sums of cell values over each vantage network and target, (g, t)."""
        shape = self.network_count, len(self.controls)
        paths = self.cell_network * shape[1] + self.target
        return np.bincount(paths, values, shape[0] * shape[1]).astype(float).reshape(shape)


@dataclass(frozen=True, slots=True)
class TargetCounts:
    """The tables of a bin, and the vantages and targets behind their rows and columns.

    Attributes:
        responded: successes are answers of any kind.
        succeeded: successes are full successes.
        vantages: one per row; a vantage that moved to another network has a row for each.
        targets: one per column.
        one_owner: whether all vantages of the fleet, here or not, have one owner.
    """

    responded: VantageTargetTable
    succeeded: VantageTargetTable
    vantages: list[Vantage]
    targets: list[Target]
    one_owner: bool = False

    def number_places(self, kind: EntityKind) -> tuple[list[Entity], RowArray]:
        """Return the places of a kind, in order, and the number of each cell's, -1 for none."""
        found = [
            next((one for one in target.entities() if one.kind is kind), None)
            for target in self.targets
        ]
        places = sorted({one for one in found if one is not None})
        numbers = {place: number for number, place in enumerate(places)}
        columns = np.array([-1 if one is None else numbers[one] for one in found], np.intp)
        return places, columns[self.responded.target]


def split_by_side(table: VantageTargetTable) -> VantageTargetTable:
    """Return the table with domestic and foreign views of a target in separate columns.

    Vantages inside a country that is cut off reach its targets while those abroad do not;
    neither side may count as evidence against the other. Foreign views are appended as new
    columns, for targets measured from both sides.
    """
    foreign, domestic = table.sum_by_target(table.abroad), table.sum_by_target(~table.abroad)
    both = np.flatnonzero((foreign > 0) & (domestic > 0) & ~table.controls)
    size = len(table.controls)
    columns = np.concatenate([np.arange(size), both]).astype(np.intp)
    foreign_column = np.arange(size)
    foreign_column[both] = size + np.arange(len(both))
    return replace(
        table,
        target=np.where(table.abroad, foreign_column[table.target], table.target),
        controls=table.controls[columns],
        target_asn=table.target_asn[columns],
        target_country=table.target_country[columns],
    )
