"""Plot of a scored backtest: levels with true and called losses, entity by entity."""

import io
import textwrap
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from netwatch.lab.backtest.runner import Backtest
from netwatch.lab.backtest.score import EntityScore, Score
from netwatch.model.time import EPOCH

_LINE, _TRUE, _CALLED, _TEXT = "#0072B2", "#D55E00", "#009E73", "#595959"
_MAX_ROWS = 24
"""Entities in a plot: more would be too small to read."""
_TOP = 1.3
"""Share of ordinary at the top of a row: room for the bars of calls."""
_DAY = timedelta(days=1)


def draw_score(found: Backtest, score: Score) -> bytes:
    """Return a PNG of the entities with an event or a call, 24 at most."""
    entities = _shown(score)
    figure = Figure(figsize=(12, 1.2 + 0.9 * max(1, len(entities))), dpi=100)
    FigureCanvasAgg(figure)
    grid = figure.subplots(max(1, len(entities)), 1, sharex=True, squeeze=False)
    levels = dict(zip(map(str, found.entities), found.levels.level, strict=True))
    times = _days(found.grid.start) + np.arange(found.grid.bins) * (found.grid.width / _DAY)
    no_levels = np.full(found.grid.bins, np.nan)
    for axes, entity in zip(grid[:, 0], entities, strict=False):
        _set_axes(axes, entity)
        level = levels.get(entity, no_levels)
        known = np.isfinite(level)
        if known.any():
            axes.plot(times[known], level[known], color=_LINE, linewidth=0.7)
            _draw_losses(axes, entity, float(times[known][-1]), score)
    last = grid[-1, 0]
    last.xaxis_date()
    last.tick_params(axis="x", labelsize=8, labelrotation=20)
    height = figure.get_figheight()
    figure.subplots_adjust(top=1 - 0.6 / height, bottom=0.7 / height)
    figure.text(
        0.5, 1 - 0.35 / height,
        "level (blue), true losses (orange, hatched), called ones (green bar above); time in UTC",
        ha="center", color=_TEXT, fontsize=9,
    )  # fmt: skip
    with (
        warnings.catch_warnings(),
        mpl.rc_context({"savefig.bbox": "tight", "text.parse_math": False}),
    ):
        # A backtest of one instant has no span to scale by.
        warnings.simplefilter("ignore", UserWarning)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": ""})
    return picture.getvalue()


def describe_plot(score: Score) -> str:
    """Return the text alternative of the plot."""
    shown = _shown(score)
    parts = [f"Levels of {len(shown)} entities."]
    parts += [
        f"{event.entity} from {event.started_at:%Y-%m-%d %H:%M}: {event.verdict}."
        for event in score.events
        if event.entity in shown
    ]
    false = sum(call.verdict == "false" for call in score.calls)
    return textwrap.shorten(" ".join(parts) + f" False alarms: {false}.", 1500, placeholder=" …")


def _shown(score: Score) -> list[str]:
    """Return the entities to draw: those with missed events and false calls first."""
    rank = {"missed": 0, "false": 1, "found": 2, "fragment": 3}
    found: dict[str, int] = {}
    for one in (*score.events, *score.calls):
        if one.verdict in rank:
            found[one.entity] = min(rank[one.verdict], found.get(one.entity, 9))
    return sorted(sorted(found, key=lambda entity: (found[entity], entity))[:_MAX_ROWS])


def _set_axes(axes: Axes, entity: str) -> None:
    axes.set_ylim(0, _TOP)
    axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"], fontsize=7)
    axes.set_ylabel(entity, rotation=0, ha="right", va="center", fontsize=8)
    axes.grid(visible=True, color="#E8E8E8", linewidth=0.6)


def _draw_losses(axes: Axes, entity: str, end: float, score: Score) -> None:
    for event in score.events:
        if event.entity == entity:
            _draw_event(axes, event, end)
    called = [one for one in (*score.events, *score.calls) if one.entity == entity]
    _draw_calls(axes, called, end)


def _draw_event(axes: Axes, event: EntityScore, end: float) -> None:
    start, until = _days(event.started_at), end
    if event.ended_at is not None:
        until = _days(event.ended_at)
    axes.axvspan(start, until, facecolor="none", edgecolor=_TRUE, hatch="///", linewidth=0.4)
    if event.verdict == "missed":
        axes.text(start, 0.08, "missed", color=_TRUE, fontsize=7)


def _draw_calls(axes: Axes, called: Sequence[EntityScore], end: float) -> None:
    for one in called:
        start = one.called_at if one.verdict == "found" else one.started_at
        until = one.called_until if one.verdict == "found" else one.ended_at
        if one.verdict in {"missed", "not judged"} or start is None:
            continue
        last = end if until is None else _days(until)
        first = _days(start)
        axes.plot([first, last], [1.22, 1.22], color=_CALLED, linewidth=3, solid_capstyle="butt")
        if one.verdict == "false":
            axes.text(first, 1.06, "false", color=_TRUE, fontsize=7, va="top")


def _days(time: datetime) -> float:
    """Return days since 1970, matplotlib's unit of time."""
    return (time - EPOCH) / _DAY
