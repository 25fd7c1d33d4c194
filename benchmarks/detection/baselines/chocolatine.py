"""Chocolatine-like: weekly differences, ARMA(1,1), and widths from past forecast errors.

Source: Guillot et al., "Chocolatine: Outage Detection for Internet Background Radiation"
(TMA 2019, arXiv 1906.04426) and the public code InetIntel/chocolatine @98ccad1: forecasts an
hour at a time, half-width 3 x 1.4826 x the median absolute error of that step, alert below it
(and by at least 1), recovery within a quarter of it, alarmed history nudged by a fifth towards
what was seen, mostly-zero series ignored. Ours fits the fallback order (1,1) once on the
training weeks by Hannan-Rissanen instead of choosing among orders.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from benchmarks.detection.baselines.common import filled
from benchmarks.detection.panel import Levels, Panel, Verdict, detections_of_flags
from netwatch.arrays import Bools, Floats

__all__ = ["Model", "fit", "forecast_flags", "judge_chocolatine"]

_WIDTH = 3 * 1.4826
_NUDGE = 0.2
_LONG = 5


@dataclass(frozen=True, slots=True)
class Model:
    """ARMA(1,1) of every row's weekly differences: x' = mean + keep (x - mean) + echo e.

    `week` is in bins, `step` is how many bins are forecast at once.
    """

    mean: Floats
    keep: Floats
    echo: Floats
    week: int
    step: int


def judge_chocolatine(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return two variants: the telescope alone, and two of three signals."""
    first = panel.index(training_until)
    week = 7 * panel.per_day
    step = max(1, 60 // panel.width)
    flags, shares = {}, {}
    for name in ("telescope", "probing", "bgp"):
        if name in panel.values:
            flags[name], shares[name] = forecast_flags(
                panel.values[name], first=first, week=week, step=step
            )
    found = {"Chocolatine-like 2 of 3": np.sum(list(flags.values()), axis=0) >= 2}
    if "telescope" in flags:
        found["Chocolatine-like telescope"] = flags["telescope"]
    level = shares.get("probing", next(iter(shares.values())))
    return {
        name: Verdict(detections_of_flags(panel, low, training_until, level=level), Levels(level))
        for name, low in found.items()
    }


def fit(rows: Floats, *, week: int, step: int) -> Model:
    """Fit ARMA(1,1) to weekly differences in two regressions (Hannan and Rissanen 1982)."""
    mean = rows.mean(axis=1)
    keep, echo = np.zeros(mean.size), np.zeros(mean.size)
    for index, row in enumerate(rows - mean[:, None]):
        if row.size < 4 * _LONG or not row.any():
            continue
        past = np.column_stack([row[_LONG - k - 1 : -k - 1] for k in range(_LONG)])
        error = row[_LONG:] - past @ np.linalg.lstsq(past, row[_LONG:], rcond=None)[0]
        pair = np.column_stack([row[_LONG:-1], error[:-1]])
        keep[index], echo[index] = np.linalg.lstsq(pair, row[_LONG + 1 :], rcond=None)[0]
    return Model(mean, np.clip(keep, -0.98, 0.98), np.clip(echo, -0.98, 0.98), week, step)


def forecast_flags(rows: Floats, *, first: int, week: int, step: int) -> tuple[Bools, Floats]:
    """Return alarms and value / forecast; bins before `first` teach.

    `week` is in bins; `step` bins are forecast at once.
    """
    history = filled(rows)
    if first < 2 * week:
        return np.zeros(rows.shape, dtype=bool), np.full(rows.shape, np.nan)
    model = fit(history[:, week:first] - history[:, : first - week], week=week, step=step)
    errors = _errors(history, model, first=first)
    zeros = (rows[:, :first] == 0).mean(axis=1) >= 0.5
    width = np.where(zeros[:, None], np.inf, _WIDTH * errors)
    flags = np.zeros(rows.shape, dtype=bool)
    shares = np.full(rows.shape, np.nan)
    low = np.zeros(rows.shape[0], dtype=bool)
    error = np.zeros(rows.shape[0])
    for start in range(first, rows.shape[1], step):
        guess = _forecast(history, model, error, start=start)
        for offset in range(guess.shape[1]):
            index = start + offset
            seen, want = rows[:, index], guess[:, offset]
            known = np.isfinite(seen)
            gap = np.where(known, want - seen, 0)
            enter = (gap > width[:, offset]) & (gap >= 1)
            low = np.where(known, np.where(low, gap > width[:, offset] / 4, enter), low)
            flags[:, index] = low
            odd = low | (np.abs(gap) > width[:, offset])
            nudge = np.minimum(_NUDGE * np.abs(gap), _NUDGE * np.abs(want))
            held = want - np.sign(gap) * nudge
            history[:, index] = np.where(known, np.where(odd, held, seen), want)
            with np.errstate(invalid="ignore", divide="ignore"):
                shares[:, index] = np.where(want > 0, seen / want, np.nan)
        error = _last_error(history, model, error, start=start)
    return flags, shares


def _forecast(history: Floats, model: Model, error: Floats, *, start: int) -> Floats:
    """Return forecasts of the model's step of bins from `start` on."""
    stop = min(start + model.step, history.shape[1])
    change = history[:, start - 1] - history[:, start - 1 - model.week]
    guess = np.empty((history.shape[0], stop - start))
    for offset in range(stop - start):
        change = model.mean + model.keep * (change - model.mean) + model.echo * error
        error = np.zeros_like(error)
        guess[:, offset] = history[:, start + offset - model.week] + change
    return guess


def _last_error(history: Floats, model: Model, error: Floats, *, start: int) -> Floats:
    """Return the one-step error at the end of a block, as the filter has it."""
    for index in range(start, min(start + model.step, history.shape[1])):
        before = history[:, index - 1] - history[:, index - 1 - model.week]
        change = history[:, index] - history[:, index - model.week]
        error = change - (model.mean + model.keep * (before - model.mean) + model.echo * error)
    return error


def _errors(history: Floats, model: Model, *, first: int) -> Floats:
    """Return the median absolute error of each step ahead over the training weeks."""
    error = np.zeros(history.shape[0])
    misses = []
    for start in range(model.week + 1, first - model.step, model.step):
        guess = _forecast(history, model, error, start=start)
        misses.append(np.abs(history[:, start : start + model.step] - guess))
        error = _last_error(history, model, error, start=start)
    return np.asarray(np.median(np.stack(misses), axis=0))
