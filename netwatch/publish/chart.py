"""The standard chart: the level of one entity, a strip per network, and the record it shows.

The same data give the same bytes, so that the hash of a chart can be evidence.
"""

import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.series import Level
from netwatch.publish.display_names import full_name, place_name
from netwatch.publish.language import ENGLISH, Language
from netwatch.publish.plot_series import (
    Trace,
    gaps,
    ordinary_band,
    phases,
    round_marks,
    runs,
    trace,
)
from netwatch.publish.posts import alternative_text, sentence
from netwatch.publish.time_format import interval_is_wide, load_zone, moment, utc_text

LINE, LOSS, TEXT = "#0072B2", "#D55E00", "#595959"
"""Colours with a contrast of 3:1 or more on white, 4.5:1 for text (WCAG 2.1, 1.4.3 and 1.4.11)."""

_BAND, _ONSET = "#D9D9D9", "#A84A00"
_STRIP = LinearSegmentedColormap.from_list("loss", ["#9C3F00", LOSS, "#F6C9A8", "#E6F0F7"])
_STYLE = Path(__file__).with_name("chart.mplstyle")
_MOST_ROWS = 12
_TOP = 108.0
"""Upper end of the y axis, percent of ordinary."""

_TITLE_WIDTH = 88
"""Characters of the title that fit in one line."""


@dataclass(frozen=True, slots=True)
class ChartRequest:
    """What a chart shows.

    Attributes:
        incident: the revision that the chart belongs to; the line is the level of its scope.
        levels: levels by entity, each in order of time: the scope's and its networks'.
        tree: names, time zones and weights.
        source: origin of the data, printed in the chart.
        link: address of the record, printed in the chart.
        drill: whether this is a drill, which the title then says.
        language: language of every text.
    """

    incident: Incident
    levels: Mapping[Entity, Sequence[Level]]
    tree: EntityTree
    source: str = "netwatch"
    link: str = ""
    drill: bool = False
    language: Language = ENGLISH


def draw_chart(request: ChartRequest, stem: Path) -> str:
    """Write `stem` with `.png` (1200 x 675) and `.svg`; return the chart in words.

    Raises:
        OSError: the files cannot be written.
    """
    line = trace(request.levels.get(request.incident.entity, ()))
    alternative = alternative_text(request.incident, request.tree, request.language)
    stem.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), mpl.rc_context(fname=_STYLE):
        # A script that the font lacks shows as boxes; words and table carry the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = _compose(request, line)
        png = {"Software": None, "Description": alternative}
        figure.savefig(stem.with_suffix(".png"), dpi=100, metadata=png)
        svg = {"Date": None, "Creator": None, "Title": "netwatch", "Description": alternative}
        figure.savefig(stem.with_suffix(".svg"), metadata=svg)
    return alternative


def _compose(request: ChartRequest, line: Trace) -> Figure:
    rows = _rows(request)
    figure = Figure(figsize=(12, 6.75))
    FigureCanvasAgg(figure)
    strip_height = 0.024 * len(rows)
    bottom = 0.155
    title = _title(request)
    figure.text(0.035, 0.955, title, fontsize=16, fontweight="bold", va="top", linespacing=1.25)
    top = 0.90 - 0.05 * title.count("\n")
    base = bottom + (strip_height + 0.025 if rows else 0.0)
    main = figure.add_axes((0.155, base, 0.815, top - base - 0.055))
    _draw_line(main, request, line)
    last = main
    if rows:
        last = figure.add_axes((0.155, bottom, 0.815, strip_height), sharex=main)
        _draw_rows(last, request, rows)
        main.tick_params(axis="x", labelbottom=False, length=0)
    _draw_time_axis(last, request, line)
    figure.text(0.035, 0.022, _footer(request, line), fontsize=9, color=TEXT, linespacing=1.4)
    return figure


def _draw_line(axes: Axes, request: ChartRequest, line: Trace) -> None:
    text = request.language.text
    axes.set_ylim(0, _TOP)
    axes.set_yticks(range(0, 101, 25), [f"{share}%" for share in range(0, 101, 25)])
    axes.set_ylabel(text("percent_of_ordinary_levels"))
    axes.grid(axis="y")
    if not line.times:
        axes.text(0.5, 0.5, text("no_data"), transform=axes.transAxes, ha="center", color=TEXT)
        return
    low, high = ordinary_band(line, request.incident.started_at)
    axes.axhspan(low, min(high, _TOP), color=_BAND, linewidth=0, zorder=0.5)
    times = _timestamps(line.times)
    low_ends, high_ends = _with_nan(line.low), _with_nan(line.high)
    axes.fill_between(times, low_ends, high_ends, color=LINE, alpha=0.18, linewidth=0, zorder=2)
    axes.plot(
        times, _with_nan(line.values), color=LINE, linewidth=2.2, zorder=3, solid_joinstyle="round"
    )
    _draw_lone_points(axes, line)
    _draw_gaps(axes, line, text("no_data"))
    axes.set_xlim(times[0], line.end.timestamp())
    _draw_phases(axes, line, request)
    _draw_onset(axes, line, request)


def _draw_lone_points(axes: Axes, line: Trace) -> None:
    """Mark points between gaps, which a line does not show, and measured zeros on the axis."""
    times, values = _timestamps(line.times), _with_nan(line.values)
    known = runs(value is not None for value in line.values)
    lone = [first for is_known, first, stop in known if is_known and stop - first == 1]
    axes.plot(times[lone], values[lone], ".", color=LINE, markersize=5)
    zero = values == 0
    axes.plot(times[zero], values[zero], "o", color=LOSS, markersize=4, clip_on=False, zorder=5)


def _draw_gaps(axes: Axes, line: Trace, no_data: str) -> None:
    for start, end in gaps(line):
        left, right = start.timestamp(), end.timestamp()
        axes.axvspan(left, right, facecolor="white", hatch="////", linewidth=0, zorder=1.5)
        narrow = (end - start) / line.span < 0.07
        axes.text(
            (left + right) / 2,
            50,
            no_data,
            ha="center",
            va="center",
            rotation=90 if narrow else 0,
            fontsize=9 if narrow else 11,
            color=TEXT,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
            zorder=4,
        )


def _draw_phases(axes: Axes, line: Trace, request: ChartRequest) -> None:
    """Name the depths along the top, where a phase is wide enough for its name."""
    for depth, start, end in phases(line):
        name = request.language.text("depth", depth)
        # Before the onset every depth is ordinary variation.
        is_wide = (end - start) / line.span >= 0.011 * len(name)
        if start >= request.incident.started_at and is_wide:
            middle = (start + (end - start) / 2).timestamp()
            axes.text(middle, _TOP * 1.025, name, ha="center", fontsize=10, color=TEXT)


def _draw_onset(axes: Axes, line: Trace, request: ChartRequest) -> None:
    incident = request.incident
    at = incident.started_at.timestamp()
    axes.axvline(at, color=LOSS, linewidth=1.4, linestyle=(0, (5, 3)), zorder=2.5)
    on_left = (incident.started_at - line.times[0]) / line.span > 0.3
    zone = request.tree.timezone(incident.entity)
    axes.annotate(
        request.language.text(
            "chart_onset",
            moment(incident.started_at, zone, request.language),
            interval_is_wide(incident.started_low, incident.started_high),
        ),
        (at, 62),
        xytext=(-8 if on_left else 36, 0),
        textcoords="offset points",
        ha="right" if on_left else "left",
        fontsize=10,
        color=_ONSET,
        linespacing=1.3,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2, "alpha": 0.85},
        zorder=4,
    )


def _rows(request: ChartRequest) -> list[tuple[str, Trace]]:
    scope = request.incident.entity
    weights = request.tree.leaf_weights(scope) or {
        entity: request.tree.info(entity).weight for entity in request.levels if entity != scope
    }
    measured = [entity for entity in weights if request.levels.get(entity)]
    measured.sort(key=lambda entity: (-weights[entity], entity))
    return [
        (place_name(entity, request.tree, request.language), trace(request.levels[entity]))
        for entity in measured[:_MOST_ROWS]
    ]


def _draw_rows(axes: Axes, request: ChartRequest, rows: list[tuple[str, Trace]]) -> None:
    """Draw one thin row per network: pale is ordinary, dark is lost, hatched is no data."""
    for number, (_, line) in enumerate(rows):
        low, high = number + 0.06, number + 0.94
        edges = _timestamps([*line.times, line.end])
        shades = [_with_nan(line.values)]
        axes.axhspan(low, high, facecolor="white", hatch="////", linewidth=0)
        axes.pcolormesh(edges, [low, high], shades, cmap=_STRIP, vmin=0, vmax=100, zorder=2)
    names = [textwrap.shorten(name, 20, placeholder="…") for name, _ in rows]
    axes.set_ylim(len(rows), 0)
    axes.set_yticks([number + 0.5 for number in range(len(rows))], names, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    whole = len(request.tree.leaf_weights(request.incident.entity))
    note = request.language.text("chart_rows", len(rows), whole)
    axes.text(
        1.0, 1.02, note, transform=axes.transAxes, ha="right", va="bottom", fontsize=8.5, color=TEXT
    )


def _draw_time_axis(axes: Axes, request: ChartRequest, line: Trace) -> None:
    zone = load_zone(request.tree.timezone(request.incident.entity))
    clock = "HH:mm:ss" if line.span < timedelta(minutes=10) else "HH:mm"
    dated = clock if line.span < timedelta(hours=12) else f"d MMM {clock}"

    def label(time: datetime) -> str:
        local = time.astimezone(zone)
        text = request.language.clock(local, clock) if local.utcoffset() else ""
        return request.language.text("chart_time", request.language.clock(time, dated), text)

    marks = round_marks(line)
    axes.set_xticks(_timestamps(marks), [label(mark) for mark in marks])


def _title(request: ChartRequest) -> str:
    text = sentence(request.incident, request.tree, request.language)
    text = request.language.text("labelled", "test", text) if request.drill else text
    lines = -(-len(text) // _TITLE_WIDTH)
    return textwrap.fill(text, min(_TITLE_WIDTH, len(text) // lines + 12))


def _footer(request: ChartRequest, line: Trace) -> str:
    language, incident = request.language, request.incident
    text = language.text
    networks = request.tree.leaf_weights(incident.entity)
    regions = {entity.kind for entity in networks} == {EntityKind.REGION}
    unit = "region" if regions else "network"
    span = text("no_data")
    if line.times:
        span = text("span", utc_text(line.times[0], language), utc_text(line.end, language))
    parts = [
        full_name(incident.entity, request.tree, language),
        span,
        text("plural", len(networks), unit) if networks else "",
        text("bands"),
    ]
    record = [
        text("source", request.source),
        text("revision_of", incident.id, incident.revision),
        request.link,
        "CC BY 4.0",
    ]
    return "\n".join(" · ".join(part for part in row if part) for row in (parts, record))


def _with_nan(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """Return `values` with NaN for no data."""
    return np.array(values, dtype=float)


def _timestamps(times: Iterable[datetime]) -> npt.NDArray[np.float64]:
    return np.array([time.timestamp() for time in times])
