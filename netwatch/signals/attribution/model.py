"""Attributes failures to the vantage, the target, the path between them, or a whole network.

A target fails from a vantage when any of four causes holds, each with its own probability:

    the vantage is broken                     u_v
    the target is dead                        d_t    (or its whole network is cut)
    the path of v's network to it is blocked  b_gt
    ordinary failure                          3.5 %

This is a noisy-or model, fitted by two-way EM: each cause explains a
failure as far as the others do not. Given the trust in each vantage, the posterior of targets
and paths is exact. With S_gt the trusted evidence of network g that t fails, p_b and p_d the
priors, and mix(S, p) = log(1 - p + p e^S):

    D_t    = sum_g max(S_gt - mix(S_gt, p_b), 2 log p_b)   dead, against blocked on some paths
    C_h    = sum_t mix(D_t, .9) - sum_t mix(D_t, p_d)      network cut, against single dead targets

A network that fails adds at most -log p_b to D_t, since its path may be blocked. One that answers
subtracts at most twice that, since it may lie, so that a third cannot outweigh the others.
Wherever the model takes a median or a sum of vantages or networks, they are weighted by trust,
and no vantage and no owner has more than a fifth (`capped_shares.py`).

Given those, each vantage is healthy, broken, or a source of noise (random answers, always
success, everything down except the controls). The state of a target is computed without the
vantage itself, so that no vantage vouches for itself. Peers on the same side of a border act as
references, so controls are optional; their prior of being cut is smaller, so they weigh more.
"""

from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, Floats
from netwatch.signals.attribution.capped_shares import cap_weights
from netwatch.signals.attribution.contingency import VantageTargetTable, split_by_side
from netwatch.signals.attribution.likelihoods import (
    CellEvidence,
    log_mixture,
    lower_median,
    middle_median,
    posterior,
)

LIKELY = 0.5
"""Probability above which a cause counts as present."""
_SWEEPS = 3
"""EM iterations; a fixed number bounds the cost of a bin."""
_DEAD, _DEAD_CONTROL = 0.02, 1e-3
"""Prior probabilities that a target is dead."""
_BLOCKED, _BLOCKED_CONTROL = 0.02, 1e-4
"""Prior probabilities that a path is blocked."""
_CUT = 0.01
"""Prior probability that a target network is cut."""
_CUT_REACH = 0.9
"""Share of a network's targets that fail when it is cut."""
_BLOCK_REACH = 0.5
"""Share of a network's vantages behind a block; the others still reach the site."""
_MAX_PER_NETWORK = 12.0
"""Bound on the evidence of one network, however many vantages it has."""
_STATE_PRIORS = np.log([0.93, 0.04, 0.01, 0.01, 0.01])
"""Log priors of vantage states: healthy, broken, random, always success, all but controls down."""
_HEALTHY, _BROKEN = np.eye(len(_STATE_PRIORS))[:2]
_CONTROLS_LOST = 0.6
"""Share of failed control measurements that marks a vantage as broken."""
_ORDINARY_FAILURE = 0.035
"""Share of measurements of a healthy pair that fails."""
_SHRINKAGE = 8
"""Weight of the ordinary failure rate, in measurements."""
_FAILURE_BOUNDS = (0.01, 0.4)
_MIN_TRIALS = 0.2
"""Weighted trials below which a network says nothing about a target's failure rate."""
_TOLERATED_DIFFERENCE = 0.1
"""Difference in failure share from the median vantage that costs no trust."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Probabilities of one bin, each 0 to 1.

    Attributes:
        broken: the vantage reaches nothing, (v,).
        noise: the vantage's answers do not depend on the targets, (v,).
        trust: weight of the vantage as a witness, (v,).
        dead: the target is down, by itself or with its network, (t,).
        with_network: whether the target is more likely down with its network than alone, (t,).
        cut: the target network is cut as a whole, (h,).
        blocked: the vantage network's path to a live target is cut, (g, t).
        evidence: log likelihood ratio behind `blocked` before the prior, (g, t); 0 where no
            trusted vantage measured.
    """

    broken: Floats
    noise: Floats
    trust: Floats
    dead: Floats
    with_network: Bools
    cut: Floats
    blocked: Floats
    evidence: Floats


def attribute(table: VantageTargetTable) -> Attribution:
    """Attribute the failures of one bin; see the module for the model."""
    counts = CellEvidence(table.trials, table.successes)
    states = _vantage_states(split_by_side(table), counts)
    weights = cap_weights(states[:, 0] * table.prior_trust, table.owners)
    cut_evidence = counts.cut_vs_healthy(failure_rates(table, weights))
    evidence = _bounded(table.sum_by_path(cut_evidence * weights[table.vantage]))
    dead_prior, blocked_prior = _target_priors(table)
    down = _against_blocked(evidence, blocked_prior).sum(axis=0)
    cut = _networks_cut(table, down, dead_prior)
    in_cut = np.append(cut, 0.0)[table.target_asn]
    dead = in_cut * posterior(down, _CUT_REACH) + (1 - in_cut) * posterior(down, dead_prior)
    blocked = (1 - dead) * posterior(evidence, blocked_prior)
    return Attribution(
        broken=states[:, 1],
        noise=states[:, 2:].sum(axis=1),
        trust=weights,
        dead=dead,
        with_network=in_cut > LIKELY,
        cut=cut,
        blocked=np.where(evidence != 0, blocked, 0.0),
        evidence=evidence,
    )


def controls_fail(table: VantageTargetTable) -> Bools:
    """Return which vantages lost at least 60 % of their control measurements (5.1).

    A control that fails for most of the vantages that reach another control, by weight, is faulty
    and does not count. If nobody reaches any control, all vantages fail.
    """
    weight = cap_weights(table.prior_trust, table.owners)[table.vantage]
    is_control = table.controls[table.target]
    successes = np.where(is_control, table.successes, 0)
    reaches_other = is_control & (table.sum_by_vantage(successes)[table.vantage] - successes > 0)
    failures = table.sum_by_target(weight * (reaches_other & (successes == 0)))
    faulty = failures * 2 > table.sum_by_target(weight * reaches_other)
    counts = is_control & ~faulty[table.target]
    trials = table.sum_by_vantage(np.where(counts, table.trials, 0))
    lost = trials - table.sum_by_vantage(np.where(counts, successes, 0))
    return np.asarray((trials > 0) & (lost >= _CONTROLS_LOST * trials))


def failure_rates(table: VantageTargetTable, weights: Floats) -> Floats:
    """Return the share of each cell's measurements that fails in ordinary times, (n,).

    Estimated from the other networks in the same bin: with m the lower weighted median over
    networks of the share of the target's measurements that failed, min(m, 1 - m), shrunk towards
    3.5 % with the weight of eight measurements. A target that fails at 30 % for half of the
    networks is unreliable; if it fails for all of them, it is dead. `weights` is the trust in
    each vantage.
    """
    weight = weights[table.vantage]
    trials = table.sum_by_path(table.trials * weight)
    failures = table.sum_by_path((table.trials - table.successes) * weight)
    known = trials > _MIN_TRIALS
    network, target = np.nonzero(known)
    middle = lower_median(
        failures[known] / trials[known],
        table.weigh_networks(weights)[network, target],
        target,
        trials.shape[1],
    )
    middle = np.nan_to_num(middle)
    count = trials.sum(axis=0)
    mean = np.minimum(middle, 1 - middle) * count + _ORDINARY_FAILURE * _SHRINKAGE
    rates = np.clip(mean / (count + _SHRINKAGE), *_FAILURE_BOUNDS)
    return np.asarray(rates[table.target])


def _vantage_states(table: VantageTargetTable, counts: CellEvidence) -> Floats:
    """Return the probabilities of the five states of every vantage, (v, 5)."""
    broken = controls_fail(table)
    trust = np.where(broken, 0.0, _initial_trust(table))
    states: Floats = np.where(broken[:, None], _BROKEN, _HEALTHY)
    for _ in range(_SWEEPS):
        states = _sweep(table, counts, cap_weights(trust * table.prior_trust, table.owners))
        states[broken] = _BROKEN
        trust = states[:, 0]
    return states


def _initial_trust(table: VantageTargetTable) -> Floats:
    """Return the trust in each vantage before the first sweep, (v,).

    Compares its failure share with the weighted median of those at the same targets: a difference
    of a tenth costs nothing, each further tenth a factor e.
    """
    failures = table.trials - table.successes
    share = failures / table.trials
    weights = cap_weights(table.prior_trust, table.owners)[table.vantage]
    median = np.nan_to_num(lower_median(share, weights, table.target, len(table.controls)))
    excess = np.abs(table.sum_by_vantage(failures - table.trials * median[table.target]))
    excess /= np.maximum(table.sum_by_vantage(table.trials), 1)
    tolerated = _TOLERATED_DIFFERENCE
    return np.asarray(np.exp(-np.maximum(excess - tolerated, 0) / tolerated))


def _sweep(table: VantageTargetTable, counts: CellEvidence, weights: Floats) -> Floats:
    rates = failure_rates(table, weights)
    cut = counts.cut_vs_healthy(rates)
    dead, blocked = _known_from_peers(table, cut * weights[table.vantage])
    by_state = (
        log_mixture(cut, dead + (1 - dead) * _BLOCK_REACH * blocked),
        cut,
        cut + counts.random_vs_cut,
        counts.flawless_vs_healthy(rates),
        np.where(table.controls[table.target], 0.0, cut),
    )
    odds = np.stack([table.sum_by_vantage(part) for part in by_state], axis=1) + _STATE_PRIORS
    if not table.controls.any():
        odds[:, 4] = -np.inf
    # On a day without failures every vantage looks flawless: compare with the median vantage.
    everyone = np.zeros(len(odds), np.intp)
    better = middle_median(odds[:, 3] - odds[:, 0], weights, everyone, 1)[0]
    odds[:, 3] -= max(np.nan_to_num(better) - _STATE_PRIORS[3] + _STATE_PRIORS[0], 0.0)
    shares = np.exp(odds - odds.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _known_from_peers(table: VantageTargetTable, own: Floats) -> tuple[Floats, Floats]:
    """Return P(dead) and P(path blocked | alive) as known without the cell itself, (n,) each.

    `own` is the weighted evidence of each cell, (n,), which is taken out of the sums.
    """
    path = table.cell_network, table.target
    dead_prior, blocked_prior = _target_priors(table)
    prior = blocked_prior[table.target]
    total = table.sum_by_path(own)
    evidence = _bounded(total)
    others = _bounded(total[path] - own)
    down = _against_blocked(evidence, blocked_prior)
    without = down.sum(axis=0)[table.target] - down[path]
    without += _against_blocked(others, prior)
    return posterior(without, dead_prior[table.target]), posterior(others, prior)


def _against_blocked(evidence: Floats, blocked: Floats) -> Floats:
    """Return what the evidence of networks says for a dead target, given the prior of a block."""
    return np.asarray(np.maximum(evidence - log_mixture(evidence, blocked), 2 * np.log(blocked)))


def _target_priors(table: VantageTargetTable) -> tuple[Floats, Floats]:
    """Return the priors that a target is dead and that a path to it is blocked, (t,) each."""
    return (
        np.where(table.controls, _DEAD_CONTROL, _DEAD),
        np.where(table.controls, _BLOCKED_CONTROL, _BLOCKED),
    )


def _networks_cut(table: VantageTargetTable, down: Floats, dead_prior: Floats) -> Floats:
    """Return the probability that each target network is cut, (h,)."""
    known = table.target_asn >= 0
    together = log_mixture(down, _CUT_REACH) - log_mixture(down, dead_prior)
    size = int(table.target_asn.max(initial=-1)) + 1
    total = np.bincount(table.target_asn[known], together[known], size).astype(float)
    return posterior(total, _CUT)


def _bounded(evidence: Floats) -> Floats:
    return np.clip(evidence, -_MAX_PER_NETWORK, _MAX_PER_NETWORK)
