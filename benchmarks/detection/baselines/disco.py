"""Disco: bursts of agents that vanish, by Kleinberg's automaton.

Source: Shah et al., "Disco: Fast, Good, and Cheap Outage Detection" (TMA 2017) and its public
settings: base rate one disconnection an agent and day, level i is 2^i times as fast, going up
costs 0.5 ln n a level, an event is a level of 7 (128 times), units of at least 8 agents. The
automaton is Kleinberg's ("Bursty and hierarchical structure in streams", KDD 2002), decoded
forwards only. An event is over once half of the burst's agents are back. A series holds no
single instants: a bin's losses are put into its last five minutes, which favours the method.
"""

from datetime import datetime

import numpy as np

from benchmarks.detection.baselines.common import filled
from benchmarks.detection.panel import Panel, Verdict, detections_of_flags
from netwatch.arrays import Bools, Floats

__all__ = ["bursts", "judge_disco"]

_LEVELS = 12
_ALARM = 7
_CLIMB = 0.5
_LEAST = 8
_MOST_EVENTS = 400
_BURST_MINUTES = 5


def judge_disco(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return the detector on connected agents; nothing where the panel has none."""
    shape = (len(panel.entities), panel.bins)
    flags = np.zeros(shape, dtype=bool)
    if "agents" in panel.values:
        for row, values in enumerate(panel.values["agents"]):
            if np.isfinite(values).any() and np.nanmedian(values) >= _LEAST:
                flags[row] = bursts(filled(values[None, :])[0], width=panel.width)
    return {"Disco (agents)": Verdict(detections_of_flags(panel, flags, training_until))}


def bursts(connected: Floats, *, width: int) -> Bools:
    """Return the bins of a burst: from its alarm until half of the lost are back."""
    agents = max(1.0, float(np.median(connected)))
    base = agents / 1440
    speeds = np.array([base * 2.0**level for level in range(_LEVELS)])
    climb: Floats = _CLIMB * np.log(max(2.0, agents)) * np.arange(_LEVELS)
    costs: Floats = np.where(np.arange(_LEVELS) == 0, 0.0, np.inf)
    lost = np.maximum(0, -np.diff(connected, prepend=connected[0]))
    flags = np.zeros(connected.size, dtype=bool)
    before, silence = 0.0, 0.0
    for index, count in enumerate(lost.tolist()):
        if before > 0 and connected[index] >= before:
            before = 0.0
        events = min(int(count), _MOST_EVENTS)
        if events == 0:
            silence += width
        span = min(width, _BURST_MINUTES)
        for number in range(events):
            gap = silence + width - span if number == 0 else span / events
            costs = _decode(costs, gap, speeds, climb)
            silence = 0.0
        if events and before == 0 and int(np.argmin(costs)) >= _ALARM:
            before = connected[index] + count / 2
        flags[index] = before > 0
    return flags


def _decode(costs: Floats, gap: float, speeds: Floats, climb: Floats) -> Floats:
    """Return the cheapest cost of every level after a gap: going down is free."""
    size = costs.size
    step = np.arange(size)
    rise = np.where(step[None, :] > step[:, None], climb[np.abs(step[None, :] - step[:, None])], 0)
    best = (costs[:, None] + rise).min(axis=0)
    best = best - np.log(speeds) + speeds * gap
    return np.asarray(best - best.min())
