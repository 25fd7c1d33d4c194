"""Throttling: it still comes through, only slower than it ever was.

For a pair of vantage v and target t, y_vt = log(slowness / its own ordinary slowness), where
slowness is seconds of a handshake or round trip, or the reciprocal of a transfer rate. A slow
line slows everything that its vantage asks for, so that is taken off first:

    x_vt = y_vt - c_v         c_v = median of y_v over all targets, or over the controls, where
                              all targets are surely slower than those
    s_vt = s_v / sqrt(n_vt)   s_v = 1.4826 MAD of x_vt sqrt(n_vt) over targets, n measurements
    z_vt = x_vt / s_vt

A network's path to a target is judged by its vantages together, weighted by 1 / s^2, each
within two deviations of their median (Huber's location). A target that is slow for everybody
is a slow target and no throttling: what the other networks' median shows beyond chance is taken
off. (Location and scale: Huber, Robust Statistics, 1981; 1.4826 MAD is the standard deviation
of normal noise.)
"""

from dataclasses import dataclass

import numpy as np

from netwatch.signals.attribution.contingency import Bools, Floats, Integers

_DEVIATION = 1.4826
_LEAST_NOISE = 0.1
"""Logarithms: nothing about speed is known to better than a tenth."""
_LEAST_CONTROLS = 3
_SURE = 3.0
_CHANCE = 2.0
_MEDIAN = 1.2533
"""A median's standard error over that of a mean, sqrt(pi / 2)."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """How slow the pairs of a bin were, vantages (v rows) by targets (t columns).

    Attributes:
        slowness: seconds, or the reciprocal of a rate, positive; NaN for no data, (v, t).
        usual: the pair's ordinary slowness, positive; NaN where unknown, (v, t).
        counts: measurements behind each, (v, t).
        networks: number of each vantage's network, (v,).
        controls: which targets nobody has a reason to slow, (t,).
        trusted: which vantages bear witness, (v,).
    """

    slowness: Floats
    usual: Floats
    counts: Floats
    networks: Integers
    controls: Bools
    trusted: Bools


@dataclass(frozen=True, slots=True)
class Throttling:
    """How slow each pair and path is; NaN where nothing is known.

    Attributes:
        slowness: x_vt, the logarithm; log 2 is half the rate or twice the time, (v, t).
        score: z_vt, in standard deviations, (v, t).
        network_slowness: of vantage networks, what the target itself is slower taken off, (g, t).
        network_score: in standard deviations, (g, t).
    """

    slowness: Floats
    score: Floats
    network_slowness: Floats
    network_score: Floats


def judge_speed(speeds: Speeds) -> Throttling:
    """Return how much slower than ordinary every pair and path is."""
    known = (speeds.slowness > 0) & (speeds.usual > 0) & (speeds.counts > 0)
    known &= speeds.trusted[:, None] & np.isfinite(speeds.slowness)
    ratio = np.where(known, speeds.slowness, 1) / np.where(known, speeds.usual, 1)
    away = np.where(known, np.log(ratio), np.nan)
    counts = np.where(known, speeds.counts, np.nan)
    noise = _noise(away, counts)
    away = away - _own_pace(away, noise, speeds.controls)[:, None]
    path, error = _by_network(away, noise, speeds.networks)
    path = path - _slow_for_others(path, error)
    return Throttling(away, away / noise, path, path / error)


def _noise(away: Floats, counts: Floats) -> Floats:
    """Return s_vt, from the spread over the targets, most of which are ordinary; (v, t)."""
    centre = _median(away, axis=1)[:, None]
    spread = _DEVIATION * _median(np.abs(away - centre) * np.sqrt(counts), axis=1)[:, None]
    return np.asarray(np.maximum(np.nan_to_num(spread), _LEAST_NOISE) / np.sqrt(counts))


def _own_pace(away: Floats, noise: Floats, controls: Bools) -> Floats:
    """Return c_v, how slow each vantage's line is by itself, (v,); 0 without data."""
    everything, witnesses = _median(away, axis=1), _median(away[:, controls], axis=1)
    count = np.isfinite(away[:, controls]).sum(axis=1)
    error = _MEDIAN * _median(noise, axis=1) / np.sqrt(np.maximum(count, 1))
    with np.errstate(invalid="ignore"):
        surely = (count >= _LEAST_CONTROLS) & (everything - witnesses > _SURE * error)
    return np.nan_to_num(np.where(surely, witnesses, everything))


def _by_network(away: Floats, noise: Floats, networks: Integers) -> tuple[Floats, Floats]:
    """Return each network's robust weighted mean over its vantages, and its error, (g, t)."""
    size = int(networks.max(initial=-1)) + 1
    path, error = np.full((2, size, away.shape[1]), np.nan)
    for number in range(size):
        mine, own = away[networks == number], noise[networks == number]
        middle = _median(mine, axis=0)[None, :]
        bounded = np.clip(mine, middle - _CHANCE * own, middle + _CHANCE * own)
        weight = np.where(np.isfinite(mine), 1 / own**2, 0)
        whole = weight.sum(axis=0)
        some = whole > 0
        total = np.where(weight > 0, bounded * weight, 0).sum(axis=0)
        path[number, some] = total[some] / whole[some]
        error[number, some] = 1 / np.sqrt(whole[some])
    return path, error


def _slow_for_others(path: Floats, error: Floats) -> Floats:
    """Return what all but each network see of the target, beyond two errors of it, (g, t)."""
    found = np.zeros_like(path)
    for number in range(len(path)):
        others = np.delete(path, number, axis=0)
        middle = np.nan_to_num(_median(others, axis=0))
        count = np.maximum(np.isfinite(others).sum(axis=0), 1)
        typical = np.nan_to_num(_median(np.delete(error, number, axis=0), axis=0))
        chance = _CHANCE * _MEDIAN * typical / np.sqrt(count)
        found[number] = np.sign(middle) * np.maximum(np.abs(middle) - chance, 0)
    return found


def _median(values: Floats, *, axis: int) -> Floats:
    """Return the median without NaN along an axis, NaN where nothing is left, and no warning."""
    found = np.full(values.shape[1 - axis], np.nan)
    some = np.isfinite(values).any(axis=axis)
    kept = values[:, some] if axis == 0 else values[some]
    if kept.size:
        found[some] = np.nanmedian(kept, axis=axis)
    return found
