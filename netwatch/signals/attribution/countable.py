"""Selects the vantages and cells that count in a bin.

Rules, in order of certainty; all weights are by trust, capped by vantage and by owner:

1. A vantage that loses 60 % or more of its control measurements has no vote. Neither has one that
   is not known to reach anything: no control, and less than one target in ten.
2. If the vantages that reach nothing have a third of the weight of all others or more, either they
   or their targets lost the Internet: the vantages, if they share one network or their targets lie
   in several countries; the targets, if several networks fail to reach one country. Then they
   vote.
3. A vantage whose targets were mostly measured from other networks too does not count if it is
   more likely broken or a source of noise than healthy. If that excludes half of the votes, it
   is ignored.
4. A path that fails from one network with near certainty while the target answers most other
   networks is blocking, not a loss of the target. Vantages abroad are outvoted only by others
   abroad, so a country cut off from the world still counts as lost to the world.

Where vantages contradict each other about one place, `votes.py` decides.
"""

import numpy as np

from netwatch.arrays import Bools, Floats
from netwatch.signals.attribution.capped_shares import cap_weights
from netwatch.signals.attribution.contingency import VantageTargetTable, split_by_side
from netwatch.signals.attribution.model import LIKELY, Attribution, controls_fail

_MIN_REACHED = 0.1
"""Share of successful measurements that shows that a vantage is online."""
_ALMOST_SURE = 0.9
_MAJORITY = 3
"""Weight of the networks that reach a target, over that of those that do not, for a block."""

_ROUNDING = 1e-9


def answered_controls(table: VantageTargetTable) -> Bools:
    """Return which vantages reach a control, (v,)."""
    successes = np.where(table.controls[table.target], table.successes, 0)
    return np.asarray(table.sum_by_vantage(successes) > 0)


def voters(table: VantageTargetTable) -> Bools:
    """Return which vantages vote in this bin, (v,); see rules 1 and 2."""
    is_target = ~table.controls[table.target]
    trials = table.sum_by_vantage(table.trials * is_target)
    successes = table.sum_by_vantage(table.successes * is_target)
    measured = np.bincount(table.vantage, minlength=len(trials)) > 0
    works = measured & ~controls_fail(table)
    reaching = works & (
        (successes >= _MIN_REACHED * np.maximum(trials, 1)) | answered_controls(table)
    )
    stranded = works & ~reaching
    weights = cap_weights(table.prior_trust * works, table.owners)
    many = 3 * weights[stranded].sum() >= weights.sum()
    if stranded.any() and many and _targets_are_cut(table, stranded):
        return works
    return reaching


def trust_vantages(table: VantageTargetTable, attribution: Attribution) -> Bools:
    """Return which vantages count in this bin, (v,); see rules 1 to 3."""
    able = voters(table)
    weights = cap_weights(table.prior_trust * able, table.owners)
    suspect = (attribution.broken + attribution.noise > LIKELY) & _has_peers(split_by_side(table))
    if 2 * weights[suspect].sum() >= weights.sum() * (1 - _ROUNDING):
        return able
    return able & ~suspect


def countable_cells(table: VantageTargetTable, attribution: Attribution) -> Bools:
    """Return which cells count towards the reachability of targets, (n,)."""
    trusted = trust_vantages(table, attribution)
    blocked = _blocked_paths(table, attribution, trusted)
    on_blocked_path = blocked[table.cell_network, table.target]
    return np.asarray(trusted[table.vantage] & ~on_blocked_path)


def _has_peers(table: VantageTargetTable) -> Bools:
    """Return which vantages had most of their targets measured from other networks too, (v,)."""
    networks = table.sum_by_path(np.ones(len(table.target))) > 0
    shared = table.sum_by_vantage((networks.sum(axis=0) > 1)[table.target])
    return np.asarray(shared * 2 > np.bincount(table.vantage, minlength=len(shared)))


def _targets_are_cut(table: VantageTargetTable, stranded: Bools) -> bool:
    """Return whether the targets rather than the vantages lost the Internet: rule 2."""
    counted = stranded[table.vantage] & ~table.controls[table.target]
    countries = np.unique(table.target_country[table.target[counted]])
    return len(np.unique(table.networks[stranded])) > 1 and len(countries) == 1


def _blocked_paths(table: VantageTargetTable, attribution: Attribution, trusted: Bools) -> Bools:
    """Return which paths fail while most other networks reach the target, (g, t): rule 4."""
    voices = table.weigh_networks(cap_weights(table.prior_trust * trusted, table.owners))
    abroad = table.sum_by_path(trusted[table.vantage] & table.abroad) > 0
    failing = attribution.blocked > _ALMOST_SURE
    working = voices * (attribution.evidence < 0)
    outvoted = _outvotes(working, voices * failing)
    outvoted_abroad = _outvotes(working * abroad, voices * failing * abroad)
    return np.asarray(failing & np.where(abroad, outvoted_abroad, outvoted))


def _outvotes(working: Floats, failing: Floats) -> Bools:
    return np.asarray(working.sum(axis=0) >= _MAJORITY * failing.sum(axis=0))
