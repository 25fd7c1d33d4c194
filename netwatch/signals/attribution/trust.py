"""Witnesses: whose measurements of a bin count, and whose failures are their own.

The rule, from the surest to the least sure (`detection.md` 5.1):

1. A vantage that loses 60 % or more of its control measurements counts for nothing.
2. A vantage whose targets were mostly measured from other networks too is judged by them: it
   counts for nothing when it is more likely broken, or a source of noise, than well. A
   verdict against most of those who still reach something is no verdict, and is dropped.
3. A vantage for which nobody else can vouch is judged by hard rules alone, not by how much it
   sees fail: with working controls, it counts; without, one answer in ten is witness enough
   that it is on the Internet. When it reaches less it says nothing: no data, not an outage.
4. When all who are left reach less than one in ten, and no control of theirs answers, somebody
   lost the Internet: they or their targets. They did, when they stand in a single network, or
   when their targets lie in more than one place; nobody cuts the world. A single country gone
   dark in the eyes of several networks is a cut, and counts in full.
5. Of a path that fails from a network for surely more than chance, while the target answers to
   most other networks, the failures are no loss of the target, but blocking. A vantage abroad
   is outvoted only by others abroad, so that a country cut off from the world, yet fine at
   home, is still lost to the world.
"""

import numpy as np

from netwatch.signals.attribution.contingency import Bools, Floats, VantageTargetTable, by_side
from netwatch.signals.attribution.model import Attribution, controls_fail

_LIKELY = 0.5
_ONLINE = 0.1
_SURE = 0.9
_MINORITY = 3
"""A path is outvoted when three times as many networks as fail have an answer to give."""


def trust_vantages(table: VantageTargetTable, blame: Attribution) -> Bools:
    """Return which vantages bear witness in this bin, shape (v,); see rules 1 to 4."""
    judged = _is_vouched(by_side(table)[0])
    online = _share(table) >= _ONLINE
    controls = table.controls[table.cells.target]
    controlled = table.by_vantage(controls) > 0
    answered = table.by_vantage(controls & (table.cells.successes > 0)) > 0
    suspect = blame.broken + blame.noise > _LIKELY
    if 2 * (suspect & judged & online).sum() > (judged & online).sum():
        judged = np.zeros_like(judged)
    trusted = np.where(judged, ~suspect, controlled | online) & ~controls_fail(table)
    trusted &= np.bincount(table.cells.vantage, minlength=len(trusted)) > 0
    if not (trusted & (online | answered)).any():
        trusted &= _is_real_cut(table, trusted)
    return np.asarray(trusted)


def countable_cells(table: VantageTargetTable, blame: Attribution) -> Bools:
    """Return which cells count towards the reachability of targets, shape (n,)."""
    trusted = trust_vantages(table, blame)
    lost = _outvoted(table, blame, trusted)[table.network, table.cells.target]
    return np.asarray(trusted[table.cells.vantage] & ~lost)


def _share(table: VantageTargetTable) -> Floats:
    """Return the share of each vantage's measurements, controls aside, that succeeded."""
    cells = table.cells
    plain = ~table.controls[cells.target]
    whole = table.by_vantage(np.where(plain, cells.trials, 0))
    got = table.by_vantage(np.where(plain, cells.successes, 0))
    return np.asarray(got / np.maximum(whole, 1))


def _is_vouched(table: VantageTargetTable) -> Bools:
    """Return which vantages had most of their targets measured from other networks too."""
    networks = table.by_network(np.ones(len(table.cells.target))) > 0
    shared = table.by_vantage((networks.sum(axis=0) > 1)[table.cells.target])
    return np.asarray(shared * 2 > np.bincount(table.cells.vantage, minlength=len(shared)))


def _is_real_cut(table: VantageTargetTable, trusted: Bools) -> bool:
    """Return whether what all of `trusted` fail at is their targets' loss: rule 4."""
    heard = trusted[table.cells.vantage] & ~table.controls[table.cells.target]
    places = np.unique(table.places[table.cells.target[heard]])
    return len(np.unique(table.networks[trusted])) > 1 and len(places) == 1


def _outvoted(table: VantageTargetTable, blame: Attribution, trusted: Bools) -> Bools:
    """Return which paths fail against the vote of others, shape (g, t): rule 5."""
    heard = trusted[table.cells.vantage]
    abroad = table.by_network(heard & table.cells.abroad) > 0
    voters = table.by_network(heard) > 0
    fails = blame.blocked > _SURE
    fine = voters & (blame.evidence < 0)
    all_fail, all_fine = (fails & voters).sum(axis=0), fine.sum(axis=0)
    far_fail, far_fine = (fails & abroad).sum(axis=0), (fine & abroad).sum(axis=0)
    lost_at_home = all_fine >= _MINORITY * all_fail
    lost_abroad = far_fine >= _MINORITY * far_fail
    return np.asarray(fails & np.where(abroad, lost_abroad, lost_at_home))
