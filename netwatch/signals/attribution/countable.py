"""Selects the vantages and cells that count in a bin.

Rules, in order of certainty:

1. A vantage that loses 60 % or more of its control measurements does not count.
2. A vantage whose targets were mostly measured from other networks too does not count if it is
   more likely broken or a source of noise than healthy. If that excludes most of the vantages
   that still reach something, it is ignored.
3. A vantage without such peers counts if its controls work, or, without controls, if it reaches
   one target in ten. Otherwise it is no data, not an outage.
4. If all remaining vantages reach less than one target in ten and none of their controls, either
   they or their targets lost the Internet: the vantages, if they share one network or their
   targets lie in several countries; the targets, if several networks fail to reach one country.
5. A path that fails from one network with near certainty while the target answers most other
   networks is blocking, not a loss of the target. Vantages abroad are outvoted only by others
   abroad, so a country cut off from the world still counts as lost to the world.
"""

import numpy as np

from netwatch.arrays import Bools
from netwatch.signals.attribution.contingency import VantageTargetTable, split_by_side
from netwatch.signals.attribution.model import LIKELY, Attribution, controls_fail

_MIN_REACHED = 0.1
"""Share of successful measurements that shows that a vantage is online."""
_ALMOST_SURE = 0.9
_MAJORITY = 3
"""Networks that reach a target per network that does not, for a path to count as blocked."""


def trust_vantages(table: VantageTargetTable, attribution: Attribution) -> Bools:
    """Return which vantages count in this bin, (v,); see rules 1 to 4."""
    is_control = table.controls[table.target]
    has_peers = _has_peers(split_by_side(table))
    trials = table.sum_by_vantage(np.where(is_control, 0, table.trials))
    successes = table.sum_by_vantage(np.where(is_control, 0, table.successes))
    online = successes / np.maximum(trials, 1) >= _MIN_REACHED
    has_controls = table.sum_by_vantage(is_control) > 0
    controls_answer = table.sum_by_vantage(is_control & (table.successes > 0)) > 0
    suspect = attribution.broken + attribution.noise > LIKELY
    if 2 * (suspect & has_peers & online).sum() > (has_peers & online).sum():
        has_peers = np.zeros_like(has_peers)
    trusted = np.where(has_peers, ~suspect, has_controls | online) & ~controls_fail(table)
    trusted &= np.bincount(table.vantage, minlength=len(trusted)) > 0
    if not (trusted & (online | controls_answer)).any():
        trusted &= _targets_are_cut(table, trusted)
    return np.asarray(trusted)


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


def _targets_are_cut(table: VantageTargetTable, trusted: Bools) -> bool:
    """Return whether the targets rather than the vantages lost the Internet: rule 4."""
    counted = trusted[table.vantage] & ~table.controls[table.target]
    countries = np.unique(table.target_country[table.target[counted]])
    return len(np.unique(table.networks[trusted])) > 1 and len(countries) == 1


def _blocked_paths(table: VantageTargetTable, attribution: Attribution, trusted: Bools) -> Bools:
    """Return which paths fail while most other networks reach the target, (g, t): rule 5."""
    counted = trusted[table.vantage]
    abroad = table.sum_by_path(counted & table.abroad) > 0
    measured = table.sum_by_path(counted) > 0
    failing = attribution.blocked > _ALMOST_SURE
    working = measured & (attribution.evidence < 0)
    outvoted = working.sum(axis=0) >= _MAJORITY * (failing & measured).sum(axis=0)
    outvoted_abroad = (working & abroad).sum(axis=0) >= _MAJORITY * (failing & abroad).sum(axis=0)
    return np.asarray(failing & np.where(abroad, outvoted_abroad, outvoted))
