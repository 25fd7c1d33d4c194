"""The table of a bin: who asked whom, how often, and how often an answer came."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = [
    "UNKNOWN",
    "Bools",
    "Floats",
    "Integers",
    "Labels",
    "Table",
    "by_side",
    "make_table",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.intp]

UNKNOWN = -1
"""The place of whatever has no known place."""


@dataclass(frozen=True, slots=True)
class Table:
    """Vantages (v rows) by targets (t columns) in one interval.

    Attributes:
        trials, successes: shape (v, t); no trials is no data, never a failure.
        networks: number of each vantage's network, 0 to g - 1, shape (v,).
        owners: number of each vantage's owner, shape (v,).
        controls: targets that nobody has a reason to cut, shape (t,).
        homes: number of each target's own network, 0 to h - 1, -1 where unknown, shape (t,).
        abroad: whether the vantage is known to be in another country than the target, (v, t).
        places: number of the place that each target lies in, a country where it is known,
            shape (t,).
        prior_trust: what is known of each vantage from its past, 0 to 1, shape (v,).
        usual: share of measurements that ordinarily fails, strictly between 0 and 1, shape
            (v, t); NaN where the past is unknown.
    """

    trials: Floats
    successes: Floats
    networks: Integers
    owners: Integers
    controls: Bools
    homes: Integers
    abroad: Bools
    places: Integers
    prior_trust: Floats
    usual: Floats


@dataclass(frozen=True, slots=True)
class Labels:
    """What `make_table` may be told besides counts and networks; None takes the plainest.

    Attributes:
        owners: else every vantage has an owner of its own.
        controls: else there are none.
        homes: else every target's network is unknown.
        abroad: else everything is at home.
        places: else all targets lie in one place.
        prior_trust: else everybody is trusted fully.
        usual: else unknown.
    """

    owners: npt.ArrayLike | None = None
    controls: npt.ArrayLike | None = None
    homes: npt.ArrayLike | None = None
    abroad: npt.ArrayLike | None = None
    places: npt.ArrayLike | None = None
    prior_trust: npt.ArrayLike | None = None
    usual: npt.ArrayLike | None = None


def make_table(
    trials: npt.ArrayLike,
    successes: npt.ArrayLike,
    networks: npt.ArrayLike,
    labels: Labels | None = None,
) -> Table:
    """Return the table of counts of shape (v, t), with what `labels` leaves out filled in.

    Raises:
        ValueError: shapes do not fit, or a pair has more successes than trials.
    """
    labels = labels or Labels()
    tried, got = np.asarray(trials, float), np.asarray(successes, float)
    vantages, targets = tried.shape
    if got.shape != tried.shape or not ((got >= 0) & (got <= tried)).all():
        raise ValueError("successes: want 0 to trials, in the shape of trials")
    return Table(
        trials=tried,
        successes=got,
        networks=_shaped(networks, np.arange(vantages)),
        owners=_shaped(labels.owners, np.arange(vantages)),
        controls=_shaped(labels.controls, np.zeros(targets)).astype(bool),
        homes=_shaped(labels.homes, np.full(targets, UNKNOWN)),
        abroad=np.broadcast_to(
            np.asarray(False if labels.abroad is None else labels.abroad, bool), tried.shape
        ),
        places=_shaped(labels.places, np.zeros(targets)),
        prior_trust=np.broadcast_to(
            np.asarray(1.0 if labels.prior_trust is None else labels.prior_trust, float), vantages
        ),
        usual=np.broadcast_to(
            np.asarray(np.nan if labels.usual is None else labels.usual, float), tried.shape
        ),
    )


def by_side(table: Table) -> tuple[Table, Integers]:
    """Return the table with targets seen from home and from abroad in columns of their own.

    A country cut off from the world is well in the eyes of those inside: neither side may
    call the other a liar. The second value is, for each column, which target it came from;
    the columns from abroad stand behind the others, and only where both sides asked.
    """
    asked = table.trials > 0
    far, near = (asked & table.abroad).any(axis=0), (asked & ~table.abroad).any(axis=0)
    both = np.flatnonzero(far & near & ~table.controls)
    size = table.trials.shape[1]
    columns = np.concatenate([np.arange(size), both]).astype(np.intp)
    if not len(both):
        return table, columns
    keep = np.ones((len(table.trials), len(columns)), bool)
    keep[:, both] = ~table.abroad[:, both]
    keep[:, size:] = table.abroad[:, both]
    sides = replace(
        table,
        trials=np.where(keep, table.trials[:, columns], 0),
        successes=np.where(keep, table.successes[:, columns], 0),
        controls=table.controls[columns],
        homes=table.homes[columns],
        abroad=table.abroad[:, columns],
        places=table.places[columns],
        usual=table.usual[:, columns],
    )
    return sides, columns


def _shaped(values: npt.ArrayLike | None, plainest: npt.NDArray[np.generic]) -> Integers:
    """Return `values`, or the plainest, as numbers of the plainest's shape."""
    found = np.asarray(plainest if values is None else values).astype(np.intp)
    if found.shape != plainest.shape:
        raise ValueError(f"labels: want {plainest.size} values, got shape {found.shape}")
    return found
