"""Blame: is it the vantage, the target, the path between them, or a whole network?

A target fails from a vantage when any of four things is so, each with a chance of its own:

    the vantage is broken                     u_v
    the target is dead                        d_t    (or its whole network is cut)
    the path of v's network to it is blocked  b_gt
    nothing, it just failed                   3.5 %

After a failed probe each cause is believed in as far as the others do not explain it
(`detection.md` 5.1: two-way EM of a noisy or). Given how far each vantage is believed, the
posterior of targets and paths is exact. With S_gt the trusted evidence of network g that t
fails, p_b and p_d the chances beforehand, and either(S, p) = log(1 - p + p e^S):

    D_t    = sum_g S_gt - sum_g either(S_gt, p_b)      dead, against blocked here and there
    C_h    = sum_t either(D_t, .9) - sum_t either(D_t, p_d)   cut, against dead one by one

Given those, each vantage is one of: well, broken, or a source of noise that answers whatever
it likes (at random, always well, all is down but the controls). What the others know of a
target is computed without the vantage itself, so that nobody vouches for himself. Peers do,
so no control is needed (those on the same side of a border, for a country may be cut off
from the world and well inside); controls have smaller chances of being cut, so they weigh more.
"""

from dataclasses import dataclass

import numpy as np

from netwatch.signals.attribution.contingency import Bools, Floats, VantageTargetTable, by_side
from netwatch.signals.attribution.likelihoods import (
    cell_evidence,
    coin_evidence,
    flawless_evidence,
    log_mixture,
    logistic,
    logit,
    owner_weights,
)

_SWEEPS = 3
_DEAD, _DEAD_CONTROL = 0.02, 1e-3
_BLOCKED, _BLOCKED_CONTROL = 0.02, 1e-4
_CUT = 0.01
_CUT_REACHES = 0.9
"""Share of its targets that the cut of a network takes along."""
_BLOCK_REACHES = 0.5
"""A block is not at every line of a network: who sees the site all the same is no liar."""
_MOST_OF_NETWORK = 12.0
"""However many vantages stand in one network, it is one witness."""
_VANTAGE = np.log([0.93, 0.04, 0.01, 0.01, 0.01])
"""Well, broken, at random, always well, all but the controls is down."""
_WELL, _BROKEN = np.eye(len(_VANTAGE))[:2]
_CONTROLS_GONE = 0.6
_ORDINARY_FAILURE = 0.035
"""How often a probe of a healthy pair fails all the same."""
_SHRINK = 8
_USUAL_BOUNDS = (0.01, 0.4)
_LEAST_WEIGHT = 0.2
_TOLERATED = 0.1


@dataclass(frozen=True, slots=True)
class Attribution:
    """Probabilities of one bin, each 0 to 1.

    Attributes:
        broken: that the vantage reaches nothing, shape (v,).
        noise: that its answers have nothing to do with the targets, shape (v,).
        trust: weight of the vantage as a witness, shape (v,).
        dead: that the target is down, by itself or with its network, shape (t,).
        with_network: whether the target is more likely down with its network than alone, (t,).
        blocked: that the vantage network's path to a target that lives is cut, shape (g, t).
        cut: that the target's network is cut as a whole, shape (h,).
        disconnected: that the target is down for vantages abroad, yet up for those in its own
            country, shape (t,); 0 where not both sides asked.
        isolated: that the vantages of a network are broken all together, shape (g,); NaN
            where there is but one.
        evidence: log likelihood ratio behind `blocked` before any prior, shape (g, t), 0
            where no trusted vantage asked.
    """

    broken: Floats
    noise: Floats
    trust: Floats
    dead: Floats
    with_network: Bools
    blocked: Floats
    cut: Floats
    disconnected: Floats
    isolated: Floats
    evidence: Floats


@dataclass(frozen=True, slots=True)
class _Chances:
    """What is likely beforehand, shape (t,) each."""

    dead: Floats
    blocked: Floats


def attribute(table: VantageTargetTable) -> Attribution:
    """Decompose one bin; see the module for the model."""
    states = _judge_vantages(by_side(table)[0])
    weight = owner_weights(states[:, 0] * table.prior_trust, table.owners)
    chances = _chances(table)
    evidence = _weigh(table, weight)
    dead, cut = _judge_targets(table, evidence, chances)
    blocked = logistic(evidence + np.log(chances.blocked) - np.log1p(-chances.blocked))
    return Attribution(
        broken=states[:, 1],
        noise=states[:, 2:].sum(axis=1),
        trust=weight,
        dead=dead,
        with_network=_by_home(table, cut) > 0.5,
        blocked=np.where(evidence != 0, (1 - dead) * blocked, 0.0),
        cut=cut,
        disconnected=_judge_sides(table, weight),
        isolated=_network_down(table, states),
        evidence=evidence,
    )


def _judge_vantages(table: VantageTargetTable) -> Floats:
    """Return the probabilities of the five states of every vantage, shape (v, 5)."""
    gone = controls_fail(table)
    trust = np.where(gone, 0.0, _first_trust(table))
    states: Floats = np.where(gone[:, None], _BROKEN, _WELL)
    for _ in range(_SWEEPS):
        weight = owner_weights(trust * table.prior_trust, table.owners)
        states = _vantage_states(table, weight)
        states[gone] = _BROKEN
        trust = states[:, 0]
    return states


def _chances(table: VantageTargetTable) -> _Chances:
    """Return what is likely of the targets beforehand."""
    return _Chances(
        dead=np.where(table.controls, _DEAD_CONTROL, _DEAD),
        blocked=np.where(table.controls, _BLOCKED_CONTROL, _BLOCKED),
    )


def _weigh(table: VantageTargetTable, weight: Floats) -> Floats:
    """Return the evidence S_gt of vantages believed as far as `weight`, shape (g, t)."""
    cells = table.cells
    cut = cell_evidence(cells.trials, cells.successes, usual_failure(table, weight))
    return _bounded(table.by_network(cut * weight[cells.vantage]))


def _judge_sides(table: VantageTargetTable, weight: Floats) -> Floats:
    """Return the chance that a target is down for those abroad and up at home, shape (t,)."""
    sides, columns = by_side(table)
    size = table.shape[2]
    found = np.zeros(size)
    if len(columns) > size:
        dead, _ = _judge_targets(sides, _weigh(sides, weight), _chances(sides))
        both = columns[size:]
        found[both] = dead[size:] * (1 - dead[both])
    return found


def _first_trust(table: VantageTargetTable) -> Floats:
    """Return how far to believe each vantage before any sweep, shape (v,).

    By how much more or less of its measurements fails than of a vantage in the middle at the
    same targets: a difference of a tenth costs nothing, each further tenth a factor e.
    """
    cells = table.cells
    failed = cells.trials - cells.successes
    share = failed / cells.trials
    order = np.lexsort((share, cells.target))
    count = np.bincount(cells.target, minlength=table.shape[2])
    first = np.cumsum(count) - count
    middle = np.zeros(table.shape[2])
    some = count > 0
    middle[some] = share[order][(first + (count - 1) // 2)[some]]
    away = np.abs(table.by_vantage(failed - cells.trials * middle[cells.target]))
    away /= np.maximum(table.by_vantage(cells.trials), 1)
    return np.asarray(np.exp(-np.maximum(away - _TOLERATED, 0) / _TOLERATED))


def controls_fail(table: VantageTargetTable) -> Bools:
    """Return which vantages lost at least 60 % of their control measurements (5.1).

    A control that fails for most of the vantages that reach another one is at fault itself
    and is left out; where nobody reaches any, nothing excuses the vantages.
    """
    cells = table.cells
    mine = table.controls[cells.target]
    got = np.where(mine, cells.successes, 0)
    elsewhere = mine & (table.by_vantage(got)[cells.vantage] - got > 0)
    failed = table.by_target(elsewhere & (got == 0))
    faulty = failed * 2 > table.by_target(elsewhere)
    counts = mine & ~faulty[cells.target]
    whole = table.by_vantage(np.where(counts, cells.trials, 0))
    lost = whole - table.by_vantage(np.where(counts, got, 0))
    return np.asarray((whole > 0) & (lost >= _CONTROLS_GONE * whole))


def usual_failure(table: VantageTargetTable, weight: Floats) -> Floats:
    """Return the share of each cell's measurements that fails in ordinary times, (n,).

    Where the past is unknown, the other networks stand in for it: with m the lower median
    over networks of the share f of the target's measurements that failed, min(m, 1 - m),
    shrunk towards 3.5 % by the weight of eight measurements. A target that fails for half of
    the world at 30 % is frail; one that fails for everybody is no frail target but a dead one.

    Args:
        table: the bin.
        weight: how far each vantage is believed, (v,).
    """
    cells = table.cells
    tried = table.by_network(cells.trials * weight[cells.vantage])
    failed = table.by_network((cells.trials - cells.successes) * weight[cells.vantage])
    known = tried > _LEAST_WEIGHT
    share = np.divide(failed, tried, out=np.full_like(tried, np.inf), where=known)
    asked = known.sum(axis=0)
    middle = np.sort(share, axis=0)[np.maximum(asked - 1, 0) // 2, np.arange(share.shape[1])]
    middle = np.where(asked > 0, middle, 0)
    count = tried.sum(axis=0)
    mean = np.minimum(middle, 1 - middle) * count + _ORDINARY_FAILURE * _SHRINK
    found = np.clip(mean / (count + _SHRINK), *_USUAL_BOUNDS)
    return np.where(np.isfinite(cells.usual), cells.usual, found[cells.target])


def _bounded(evidence: Floats) -> Floats:
    """Return evidence of networks, none of which is more than one witness."""
    return np.clip(evidence, -_MOST_OF_NETWORK, _MOST_OF_NETWORK)


def _vantage_states(table: VantageTargetTable, weight: Floats) -> Floats:
    """Return the states of every vantage after one more sweep, shape (v, 5)."""
    cells = table.cells
    usual = usual_failure(table, weight)
    cut = cell_evidence(cells.trials, cells.successes, usual)
    dead, blocked = _known_to_others(table, cut * weight[cells.vantage])
    parts = (
        log_mixture(cut, dead + (1 - dead) * _BLOCK_REACHES * blocked),
        cut,
        cut + coin_evidence(cells.trials, cells.successes),
        flawless_evidence(cells.trials, cells.successes, usual),
        np.where(table.controls[cells.target], 0.0, cut),
    )
    odds = np.stack([table.by_vantage(part) for part in parts], axis=1) + _VANTAGE
    if not table.controls.any():
        odds[:, 4] = -np.inf
    # On a good day nobody sees a failure: only who does better than his peers is suspect.
    better = odds[:, 3] - odds[:, 0]
    odds[:, 3] -= max(float(np.median(better)) - _VANTAGE[3] + _VANTAGE[0], 0.0)
    shares = np.exp(odds - odds.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _known_to_others(table: VantageTargetTable, own: Floats) -> tuple[Floats, Floats]:
    """Return what a vantage's peers know: P(dead) and P(path blocked | alive), (n,) each.

    `own` is the weighted evidence of each cell, which is taken out of the sums, (n,).
    """
    target, chances = table.cells.target, _chances(table)
    likely = chances.blocked[target]
    total = table.by_network(own)
    with_me = _bounded(total)
    others = _bounded(total[table.network, target] - own)
    each = with_me - log_mixture(with_me, chances.blocked)
    without = each.sum(axis=0)[target] - each[table.network, target]
    without += others - log_mixture(others, likely)
    prior = chances.dead[target]
    dead = logistic(without + np.log(prior) - np.log1p(-prior))
    blocked = logistic(others + np.log(likely) - np.log1p(-likely))
    return dead, blocked


def _judge_targets(
    table: VantageTargetTable, evidence: Floats, chances: _Chances
) -> tuple[Floats, Floats]:
    """Return the chances that each target is down, (t,), and each target network cut, (h,)."""
    down = (evidence - log_mixture(evidence, chances.blocked)).sum(axis=0)
    known = table.homes >= 0
    together = log_mixture(down, _CUT_REACHES) - log_mixture(down, chances.dead)
    size = int(table.homes.max(initial=-1)) + 1
    total = np.bincount(table.homes[known], together[known], size).astype(float)
    cut = logistic(total + logit(_CUT))
    in_cut = _by_home(table, cut)
    alone = logistic(down + np.log(chances.dead) - np.log1p(-chances.dead))
    return in_cut * logistic(down + logit(_CUT_REACHES)) + (1 - in_cut) * alone, cut


def _by_home(table: VantageTargetTable, cut: Floats) -> Floats:
    """Return the value of each target's own network, 0 where that is unknown, shape (t,)."""
    return np.append(cut, 0.0)[table.homes]


def _network_down(table: VantageTargetTable, states: Floats) -> Floats:
    """Return the probability that all vantages of a network are broken, shape (g,)."""
    size = table.shape[1]
    broken = np.ones(size)
    np.minimum.at(broken, table.networks, states[:, 1])
    return np.where(np.bincount(table.networks, minlength=size) > 1, broken, np.nan)
