"""The standard chart: the level of one entity, a strip per network, and the record it shows.

The same data give the same bytes, so that the hash of a chart can be evidence.
"""

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.percent import depth_form
from netwatch.model.series import Level
from netwatch.publish.display_names import full_name, place_name
from netwatch.publish.language import ENGLISH, Language
from netwatch.publish.plot_series import Trace, gaps, ordinary_band, phases, round_marks, trace
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
        entity: the entity whose level is the line.
        levels: levels by entity, each in order of time: the entity's and its networks'.
        tree: names, time zones and weights.
        incident: the revision that the chart belongs to, None for a chart without an incident.
        source: origin of the data, printed in the chart.
        link: address of the record, printed in the chart.
        drill: whether this is a drill, which the title then says.
        language: language of every text.
    """

    entity: Entity
    levels: Mapping[Entity, Sequence[Level]]
    tree: EntityTree
    incident: Incident | None = None
    source: str = "netwatch"
    link: str = ""
    drill: bool = False
    language: Language = ENGLISH


def draw_chart(request: ChartRequest, stem: Path) -> str:
    """Write `stem` with `.png` (1200 x 675) and `.svg`; return the chart in words.

    Raises:
        OSError: the files cannot be written.
    """
    line = trace(request.levels.get(request.entity, ()))
    alternative = _alternative(request, line)
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
    onset = request.incident.started_at if request.incident else None
    low, high = ordinary_band(line, onset)
    axes.axhspan(low, min(high, _TOP), color=_BAND, linewidth=0, zorder=0.5)
    times = [time.timestamp() for time in line.times]
    low_ends, high_ends = _nan(line.low), _nan(line.high)
    axes.fill_between(times, low_ends, high_ends, color=LINE, alpha=0.18, linewidth=0, zorder=2)
    axes.plot(
        times, _nan(line.values), color=LINE, linewidth=2.2, zorder=3, solid_joinstyle="round"
    )
    _draw_lone_points(axes, line)
    _draw_gaps(axes, line, text("no_data"))
    axes.set_xlim(times[0], (line.times[-1] + line.step).timestamp())
    if request.incident is not None:
        _draw_phases(axes, line, request.incident.started_at, request.language)
        _draw_onset(axes, request.incident, request)


def _draw_lone_points(axes: Axes, line: Trace) -> None:
    """Mark points between gaps, which a line does not show, and measured zeros on the axis."""
    around = zip((None, *line.values), line.values, (*line.values[1:], None), strict=False)
    lone = [
        (time.timestamp(), value)
        for time, (before, value, after) in zip(line.times, around, strict=True)
        if value is not None and before is None and after is None
    ]
    zeros = [t.timestamp() for t, v in zip(line.times, line.values, strict=True) if v == 0]
    lone_times, lone_values = [time for time, _ in lone], [value for _, value in lone]
    axes.plot(lone_times, lone_values, ".", color=LINE, markersize=5)
    axes.plot(zeros, [0.0] * len(zeros), "o", color=LOSS, markersize=4, clip_on=False, zorder=5)


def _draw_gaps(axes: Axes, line: Trace, no_data: str) -> None:
    whole = len(line.times) * line.step
    for start, end in gaps(line):
        left, right = start.timestamp(), end.timestamp()
        axes.axvspan(left, right, facecolor="white", hatch="////", linewidth=0, zorder=1.5)
        narrow = (end - start) / whole < 0.07
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


def _draw_phases(axes: Axes, line: Trace, onset: datetime, language: Language) -> None:
    """Name the depths along the top, where a phase is wide enough for its name."""
    whole = len(line.times) * line.step
    for depth, start, end in phases(line):
        name = language.text("depth", depth)
        # Before the onset every depth is ordinary variation.
        if start < onset or (end - start) / whole < 0.011 * len(name):
            continue
        middle = (start + (end - start) / 2).timestamp()
        axes.text(middle, _TOP * 1.025, name, ha="center", fontsize=10, color=TEXT)


def _draw_onset(axes: Axes, incident: Incident, request: ChartRequest) -> None:
    at = incident.started_at.timestamp()
    axes.axvline(at, color=LOSS, linewidth=1.4, linestyle=(0, (5, 3)), zorder=2.5)
    left, right = axes.get_xlim()
    on_left = (at - left) / (right - left) > 0.3
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
    weights = request.tree.leaf_weights(request.entity) or {
        entity: request.tree.info(entity).weight
        for entity in request.levels
        if entity != request.entity
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
        edges = [time.timestamp() for time in (*line.times, line.times[-1] + line.step)]
        shades = [[min(value, 100.0) for value in _nan(line.values)]]
        axes.axhspan(low, high, facecolor="white", hatch="////", linewidth=0)
        axes.pcolormesh(edges, [low, high], shades, cmap=_STRIP, vmin=0, vmax=100, zorder=2)
    names = [textwrap.shorten(name, 20, placeholder="…") for name, _ in rows]
    axes.set_ylim(len(rows), 0)
    axes.set_yticks([number + 0.5 for number in range(len(rows))], names, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    whole = len(request.tree.leaf_weights(request.entity))
    note = request.language.text("chart_rows", len(rows), whole)
    axes.text(
        1.0, 1.02, note, transform=axes.transAxes, ha="right", va="bottom", fontsize=8.5, color=TEXT
    )


def _draw_time_axis(axes: Axes, request: ChartRequest, line: Trace) -> None:
    zone = load_zone(request.tree.timezone(request.entity))
    whole = len(line.times) * line.step
    clock = "HH:mm:ss" if whole < timedelta(minutes=10) else "HH:mm"
    dated = clock if whole < timedelta(hours=12) else f"d MMM {clock}"

    def label(time: datetime) -> str:
        local = time.astimezone(zone)
        text = request.language.clock(local, clock) if local.utcoffset() else ""
        return request.language.text("chart_time", request.language.clock(time, dated), text)

    marks = round_marks(line)
    axes.set_xticks([mark.timestamp() for mark in marks], [label(mark) for mark in marks])


def _title(request: ChartRequest) -> str:
    language = request.language
    if request.incident is not None:
        text = sentence(request.incident, request.tree, language)
    else:
        text = language.text("chart_title", full_name(request.entity, request.tree, language))
    text = language.text("labelled", "test", text) if request.drill else text
    lines = -(-len(text) // _TITLE_WIDTH)
    return textwrap.fill(text, min(_TITLE_WIDTH, len(text) // lines + 12))


def _footer(request: ChartRequest, line: Trace) -> str:
    language, incident = request.language, request.incident
    text = language.text
    networks = request.tree.leaf_weights(request.entity)
    regions = {entity.kind for entity in networks} == {EntityKind.REGION}
    unit = "region" if regions else "network"
    parts = [
        full_name(request.entity, request.tree, language),
        text("span", *_span(line, language)) if line.times else text("no_data"),
        text("plural", len(networks), unit) if networks else "",
        text("bands"),
    ]
    record = [
        text("source", request.source),
        text("revision_of", incident.id, incident.revision) if incident else "",
        request.link,
        "CC BY 4.0",
    ]
    return "\n".join(" · ".join(part for part in row if part) for row in (parts, record))


def _alternative(request: ChartRequest, line: Trace) -> str:
    language = request.language
    if request.incident is not None:
        return alternative_text(request.incident, request.tree, language)
    name = full_name(request.entity, request.tree, language)
    known = [value for value in line.values if value is not None]
    if not known:
        return language.text("alt_empty", name)
    depths = (depth_form(min(known)), depth_form(known[-1]))
    start, end = utc_text(line.times[0], language), utc_text(line.times[-1], language)
    return language.text("alt_plain", name, start, end, *depths)


def _span(line: Trace, language: Language) -> tuple[str, str]:
    return utc_text(line.times[0], language), utc_text(line.times[-1] + line.step, language)


def _nan(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
