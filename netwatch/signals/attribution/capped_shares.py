"""Capped shares: no vantage, network or owner holds more than its part of a sum of weights.

This is the capped weighting of stock indices: the largest holders are lowered to one bound c,
which is the permitted share s of the sum that is left. With k holders above it, and R the sum of
the others,

    c = s (k c + R)  =  s R / (1 - s k)

so a sort finds k, without iteration. A holder is never raised.
"""

from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray, divide

MAX_OWNER_SHARE = 0.2
"""Largest share of one owner: five who agree, not one with many keys, make a whole."""
_MAX_VANTAGE_SHARE = 0.2
"""Largest share of one vantage."""
_MAX_NETWORK_SHARE = 1 / 3
"""Largest share of one network of vantages: what a single one claims never decides a level."""
_ROUNDS = 2
"""Rounds over vantages, networks and owners: a cap of one lowers the sum that the others are
a share of. The cap of owners comes last and holds exactly."""
_MIN_HELD = 0.05
"""Weight, in vantages or measurements of full trust, below which a holder is not one of the n:
the others would be lowered to what it is worth."""
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Holders:
    """Who answers for each vantage: its network and its owner, by number, (v,) each."""

    networks: RowArray
    owners: RowArray


def cap_factors(
    mass: Floats, series: RowArray, holder: RowArray, share: float, *, spare: int = 0
) -> Floats:
    """Return the factor, 0 to 1, that lowers each entry so that no holder exceeds its share.

    The entries of a holder in a series are lowered alike, to at most `share` of what is left of
    the series. With n holders, too few for that share, each may hold 1 / (n - spare): an equal
    share without `spare`, and with one a little more, so that one with few measurements does
    not take the weight of all others.

    Args:
        mass: at least 0, (n,).
        series: number of each entry's series, from 0, (n,).
        holder: number of each entry's holder, from 0, (n,).
        share: largest share of one holder.
        spare: number of holders that need not reach an equal share.
    """
    size = int(holder.max(initial=0)) + 1
    keys, entry = np.unique(series * size + holder, return_inverse=True)
    held = np.bincount(entry, mass, len(keys)).astype(float)
    bound = _bounds(held, keys // size, share, spare)
    return np.asarray(np.minimum(divide(bound, held, empty=1.0), 1.0)[entry])


def _bounds(held: Floats, series: RowArray, share: float, spare: int) -> Floats:
    """Return the bound c of each holder's series; `series` is sorted."""
    order = np.lexsort((-held, series))
    sizes, group = _runs(series)
    largest_first = held[order]
    first = (np.cumsum(sizes) - sizes)[group]
    rank = np.arange(len(held)) - first
    sums = np.cumsum(largest_first)
    total = np.bincount(group, held, len(sizes))[group]
    before_first = (sums - largest_first)[first] if len(first) else sums
    rest = total - (sums - largest_first - before_first)
    holders = np.bincount(group, held >= _MIN_HELD, len(sizes))[group]
    permitted = np.maximum(share, 1 / np.maximum(holders - spare, 1))
    bound = divide(permitted * rest, np.maximum(1 - permitted * rank, 0))
    is_last = rank == sizes[group] - 1
    found = is_last | (largest_first <= bound * (1 + _TOLERANCE))
    bound = np.where(is_last, np.fmax(bound, largest_first), bound)
    places = np.flatnonzero(found)
    _, chosen = np.unique(group[places], return_index=True)
    return np.asarray(bound[places[chosen]][group])


def _runs(series: RowArray) -> tuple[RowArray, RowArray]:
    """Return the lengths of the runs of equal numbers, and the run of each entry."""
    starts: Bools = np.append(True, series[1:] != series[:-1])[: len(series)]
    group = np.cumsum(starts) - 1
    return np.bincount(group), group


def capped(mass: Floats, series: RowArray, vantage: RowArray, holders: Holders) -> Floats:
    """Return `mass` with the shares of each series capped by vantage, network and owner, (n,).

    With five owners or more, one holds a fifth at most; with fewer, all hold the same.
    """
    network, owner = holders.networks[vantage], holders.owners[vantage]
    for _ in range(_ROUNDS):
        mass = mass * cap_factors(mass, series, vantage, _MAX_VANTAGE_SHARE, spare=1)
        mass = mass * cap_factors(mass, series, network, _MAX_NETWORK_SHARE, spare=1)
        mass = mass * cap_factors(mass, series, owner, MAX_OWNER_SHARE)
    return mass


def cap_weights(weights: Floats, owners: RowArray) -> Floats:
    """Return the weights of vantages, of which no vantage and no owner dominates the sum.

    None exceeds a fifth; with n < 6 vantages or owners one may hold 1 / (n - 1), so that two are
    not made equal, whatever they bring. A single one has no cap.
    """
    whole = np.zeros(len(weights), np.intp)
    for holder, share in ((np.arange(len(weights)), _MAX_VANTAGE_SHARE), (owners, MAX_OWNER_SHARE)):
        weights = weights * cap_factors(weights, whole, holder, share, spare=1)
    return weights
