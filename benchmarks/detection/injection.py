"""Real ordinary series with outages of known depth put into them.

A synthetic world shares its author's ideas about noise; real series do not. Here the ordinary
part of a recorded series is kept as it is, repeated by whole weeks where it is too short, and
thinned by theta(t) drawn with the durations and clock times of real shutdowns. Counts are
thinned binomially, so that few remain as noisy as few are; normalised values are scaled.

The data is not part of the repository (its licences differ). `data_folder` finds it through
the environment variable NETWATCH_DATA.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.detection.panel import Panel
from benchmarks.detection.truth import Truth
from benchmarks.detection.world import World, apply_piece
from netwatch.arrays import Floats

__all__ = [
    "InjectionSize",
    "data_folder",
    "inject",
    "make_injected_world",
    "ordinary_december",
    "repeat_weeks",
    "thin",
]

_SIGNALS = {
    "Google (Search)": "traffic",
    "Telescope (# Unique Source IPs)": "telescope",
    "BGP (#Visible /24s)": "bgp",
    "Active Probing (#/24s Up)": "probing",
}
_VISIBLE = {"bgp": 0.75, "probing": 0.98, "telescope": 0.85, "traffic": 0.9}
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_PERCENTAGES = (2, 13, 28, 35, 36, 37, 67, 67, 68, 69, 77, 79, 81, 83, 85, 87, 96)
"""Every percentage of ordinary in 150 archived NetBlocks posts on Ukraine
(conflict-investigations/netblocks-analysis @52e11f52)."""
_CLEAR = 0.9
"""Calling a shallower event is excused, missing it too."""
_HOURS = (0.83, 4.5, 5.5, 8.0, 49.8)
"""Durations of national shutdowns (Bischof et al. 2023, "Destination Unreachable")."""


@dataclass(frozen=True, slots=True)
class InjectionSize:
    """How much of the recorded series is used; `folder` is the data folder."""

    folder: str
    copies: int = 20
    training_weeks: int = 4
    scored_weeks: int = 6


def make_injected_world(seed: int, size: InjectionSize) -> World:
    """Return recorded ordinary weeks with shutdowns injected, the same for the same seed."""
    random = np.random.default_rng(seed)
    weeks = size.training_weeks + size.scored_weeks
    recorded = ordinary_december(Path(size.folder))
    panel = repeat_weeks(recorded, random, weeks=weeks, copies=size.copies)
    until = panel.start + timedelta(weeks=size.training_weeks)
    return inject(random, panel, until, counts=False)


def data_folder() -> Path | None:
    """Return the folder that NETWATCH_DATA names, None if unset or missing."""
    name = os.environ.get("NETWATCH_DATA", "")
    folder = Path(name)
    return folder if name and folder.is_dir() else None


def ordinary_december(folder: Path) -> Panel:
    """Return the weeks before the Iranian shutdown of January 2026: four signals, 30 minutes.

    `folder` is the data folder. Values are shares of each signal's own maximum, in percent.
    """
    table = pd.read_csv(folder / "iran-2026-01" / "ioda-IR-2026-01-normalized.csv")
    table["Time (UTC)"] = pd.to_datetime(table["Time (UTC)"], utc=True)
    ordinary = table[table["Time (UTC)"] < datetime(2025, 12, 29, tzinfo=UTC)]
    values = {
        name: ordinary[column].to_numpy(dtype=float)[None, :] for column, name in _SIGNALS.items()
    }
    start = ordinary["Time (UTC)"].iloc[0].to_pydatetime()
    return Panel(start, 30, ("country:IR",), ("",), np.ones(1), values, {})


def repeat_weeks(panel: Panel, random: np.random.Generator, *, weeks: int, copies: int) -> Panel:
    """Return `copies` entities of `weeks` weeks, each week a random recorded one.

    Every copy gets an order of its own, all signals of a week together, so that real noise and
    its correlation among signals stay while no two copies are alike.

    Raises:
        ValueError: the panel holds less than one whole week.
    """
    week = 7 * panel.per_day
    recorded = panel.bins // week
    if recorded < 1:
        raise ValueError(f"{panel.bins} bins are less than a week")
    first = {name: rows[:1, : recorded * week] for name, rows in panel.values.items()}
    order = random.integers(0, recorded, (copies, weeks))
    columns = (order[:, :, None] * week + np.arange(week)).reshape(copies, weeks * week)
    letters = [f"{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(copies)]
    return Panel(
        panel.start,
        panel.width,
        tuple(f"country:{code}" for code in letters),
        ("",) * copies,
        np.ones(copies),
        {name: rows[0][columns] for name, rows in first.items()},
        {},
    )


def thin(random: np.random.Generator, values: Floats, level: Floats, *, counts: bool) -> Floats:
    """Return what `level` leaves of `values`: binomial thinning of counts, else scaling."""
    if not counts:
        return np.asarray(values * level)
    known = np.isfinite(values)
    trials = np.where(known, values, 0).astype(np.int64)
    left = random.binomial(trials, np.clip(level, 0, 1)).astype(float)
    return np.where(known, left, np.nan)


def inject(
    random: np.random.Generator, panel: Panel, training_until: datetime, *, counts: bool
) -> World:
    """Return a world of `panel` with shutdowns in every entity after `training_until`.

    Durations follow the quantiles of real national shutdowns, two thirds start on the hour,
    levels are those that an observatory published, and gaps last 2 to 6 days. Each signal shows an
    event with the probability that it did in the field.
    """
    shape = (len(panel.entities), panel.bins)
    true = np.ones(shape)
    seen = {name: np.ones(shape) for name in panel.values}
    truths: list[Truth] = []
    first = round((training_until - panel.start) / timedelta(minutes=1))
    end = panel.bins * panel.width
    for row, entity in enumerate(panel.entities):
        for start, stop in _spans(random, first, end):
            level = float(random.choice(_PERCENTAGES)) / 100
            apply_piece(true[row], start, stop, level, width=panel.width)
            for name in panel.values:
                if random.random() < _VISIBLE.get(name, 0.9):
                    apply_piece(seen[name][row], start, stop, level, width=panel.width)
            truths.append(
                Truth(
                    event=len(truths),
                    kind="injected",
                    fault=False,
                    entity=entity,
                    start=start,
                    end=stop,
                    level=level,
                    required=level <= _CLEAR,
                    size=10_000,
                )
            )
    values = {
        name: thin(random, rows, seen[name], counts=counts) for name, rows in panel.values.items()
    }
    sizes: npt.NDArray[np.int64] = np.full(len(panel.entities), 10_000, dtype=np.int64)
    return World(
        replace(panel, values=values),
        training_until,
        tuple(truths),
        true,
        panel.entities,
        sizes,
        "injected into real series",
    )


def _spans(random: np.random.Generator, first: int, end: int) -> Sequence[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    at = first + int(random.integers(720, 4320))
    while True:
        grain = 60 if random.random() < 0.65 else 5
        start = at // grain * grain
        hours = float(np.interp(random.random(), _QUANTILES, _HOURS))
        stop = start + max(30, round(hours * 60))
        if stop > end - 1440:
            return spans
        spans.append((start, stop))
        at = stop + int(random.integers(2 * 1440, 6 * 1440))
