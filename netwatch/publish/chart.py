"""The standard chart: one entity's level, a strip for its networks, and all that it stands on.

The same data give the same bytes, so that a picture's hash can be evidence.
"""

import textwrap
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.percent import depth_words
from netwatch.model.series import Level
from netwatch.publish.display_names import full_name, place_name
from netwatch.publish.plot_series import Trace, gaps, ordinary_band, phases, round_marks, trace
from netwatch.publish.posts import alternative_text, sentence
from netwatch.publish.time_format import clock_text, interval_is_wide, load_zone, moment_text

LINE, LOSS, TEXT = "#0072B2", "#D55E00", "#595959"
"""Colours that keep 3:1 against white, 4.5:1 for text."""

_BAND, _HATCH, _GRID = "#D9D9D9", "#9A9A9A", "#E8E8E8"
_STRIP = LinearSegmentedColormap.from_list("loss", ["#9C3F00", LOSS, "#F6C9A8", "#E6F0F7"])
_MOST_ROWS = 12
_TOP = 108.0
_TITLE_WIDTH = 88


@dataclass(frozen=True, slots=True)
class ChartRequest:
    """What a chart shows.

    Attributes:
        entity: whose level is the line.
        levels: levels by entity, each in order of time: the line's and those of its networks.
        places: names, zones and weights.
        incident: the revision that the chart belongs to, None for a plain view.
        source: who measured, printed in the picture.
        link: where the record is, printed in the picture.
        test: whether this is a drill; the picture then says so.
    """

    entity: Entity
    levels: Mapping[Entity, Sequence[Level]]
    places: EntityTree
    incident: Incident | None = None
    source: str = "netwatch"
    link: str = ""
    test: bool = False


def draw_chart(request: ChartRequest, stem: Path) -> str:
    """Write `stem` with `.png` (1200 x 675) and `.svg`; return the picture in words.

    Raises:
        OSError: the files cannot be written.
    """
    line = trace(request.levels.get(request.entity, ()))
    alternative = _alternative(request, line)
    stem.parent.mkdir(parents=True, exist_ok=True)
    with (
        warnings.catch_warnings(),
        mpl.rc_context(
            {
                "font.family": "DejaVu Sans",
                "font.size": 11,
                "svg.hashsalt": "netwatch",
                "svg.fonttype": "path",
                "hatch.linewidth": 0.6,
                "text.parse_math": False,
                "axes.edgecolor": TEXT,
                "text.color": "#1b1b1b",
                "xtick.color": TEXT,
                "ytick.color": TEXT,
            }
        ),
    ):
        # A script that the font lacks shows as boxes; words and table carry the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = _compose(request, line)
        png = {"Software": None, "Description": alternative}
        figure.savefig(stem.with_suffix(".png"), dpi=100, metadata=png)
        svg = {"Date": None, "Creator": None, "Title": "netwatch", "Description": alternative}
        figure.savefig(stem.with_suffix(".svg"), metadata=svg)
    return alternative


def _compose(request: ChartRequest, line: Trace) -> Figure:
    """Return the whole picture."""
    rows = _rows(request)
    figure = Figure(figsize=(12, 6.75), facecolor="white")
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
    """Draw level, interval, ordinary band, gaps, phases and onset."""
    axes.set_ylim(0, _TOP)
    axes.set_yticks(range(0, 101, 25), [f"{share}%" for share in range(0, 101, 25)])
    axes.set_ylabel("percent of ordinary levels", color=TEXT)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if not line.times:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=TEXT)
        return
    onset = request.incident.started_at if request.incident else None
    low, high = ordinary_band(line, onset)
    axes.axhspan(low, min(high, _TOP), color=_BAND, linewidth=0, zorder=0.5)
    times = [_number(time) for time in line.times]
    values = [float("nan") if value is None else value for value in line.values]
    lows = [float("nan") if value is None else value for value in line.low]
    highs = [float("nan") if value is None else value for value in line.high]
    axes.fill_between(times, lows, highs, color=LINE, alpha=0.18, linewidth=0, zorder=2)
    axes.plot(times, values, color=LINE, linewidth=2.2, zorder=3, solid_joinstyle="round")
    _draw_lone_points(axes, line)
    _draw_gaps(axes, line)
    axes.set_xlim(times[0], _number(line.times[-1] + line.step))
    if request.incident is not None:
        _draw_phases(axes, line, request.incident.started_at)
        _draw_onset(axes, request.incident, request.places)


def _draw_lone_points(axes: Axes, line: Trace) -> None:
    """Mark points between gaps, which no line would show, and measured zeros on the axis."""
    values = (None, *line.values, None)
    lone = [
        (_number(time), value)
        for time, before, value, after in zip(
            line.times, values, line.values, values[2:], strict=False
        )
        if value is not None and before is None and after is None
    ]
    zeros = [_number(t) for t, v in zip(line.times, line.values, strict=True) if v == 0]
    axes.plot(
        [time for time, _ in lone], [value for _, value in lone], ".", color=LINE, markersize=5
    )
    axes.plot(zeros, [0.0] * len(zeros), "o", color=LOSS, markersize=4, clip_on=False, zorder=5)


def _draw_gaps(axes: Axes, line: Trace) -> None:
    """Hatch what is missing, and say so where there is room."""
    whole = (len(line.times) or 1) * line.step
    for start, end in gaps(line):
        axes.axvspan(
            _number(start),
            _number(end),
            facecolor="white",
            edgecolor=_HATCH,
            hatch="////",
            linewidth=0,
            zorder=1.5,
        )
        narrow = (end - start) / whole < 0.07
        axes.text(
            _number(start + (end - start) / 2),
            50,
            "no data",
            ha="center",
            va="center",
            rotation=90 if narrow else 0,
            fontsize=9 if narrow else 11,
            color=TEXT,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
            zorder=4,
        )


def _draw_phases(axes: Axes, line: Trace, since: datetime) -> None:
    """Name the depths along the top, where a run is wide enough for its words."""
    whole = len(line.times) * line.step
    for words, start, end in phases(line):
        # Before the onset every depth is ordinary variation, whatever its number.
        if start < since or (end - start) / whole < 0.011 * len(words):
            continue
        axes.text(
            _number(start + (end - start) / 2),
            _TOP * 1.025,
            words,
            ha="center",
            fontsize=10,
            color=TEXT,
        )


def _draw_onset(axes: Axes, incident: Incident, places: EntityTree) -> None:
    """Draw the line at which it began."""
    at = _number(incident.started_at)
    about = "about " if interval_is_wide(incident.started_low, incident.started_high) else ""
    axes.axvline(at, color=LOSS, linewidth=1.4, linestyle=(0, (5, 3)), zorder=2.5)
    left, right = axes.get_xlim()
    on_left = (at - left) / (right - left) > 0.3
    axes.annotate(
        f"began {about}\n{moment_text(incident.started_at, places.timezone(incident.entity))}",
        (at, 62),
        xytext=(-8 if on_left else 36, 0),
        textcoords="offset points",
        ha="right" if on_left else "left",
        fontsize=10,
        color="#A84A00",
        linespacing=1.3,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2, "alpha": 0.85},
        zorder=4,
    )


def _rows(request: ChartRequest) -> list[tuple[str, Trace]]:
    """Return the heaviest networks that have levels, with their names."""
    weights = request.places.leaf_weights(request.entity) or {
        entity: request.places.info(entity).weight
        for entity in request.levels
        if entity != request.entity
    }
    found = [entity for entity in weights if request.levels.get(entity)]
    found.sort(key=lambda entity: (-weights[entity], entity))
    return [
        (place_name(entity, request.places), trace(request.levels[entity]))
        for entity in found[:_MOST_ROWS]
    ]


def _draw_rows(axes: Axes, request: ChartRequest, rows: list[tuple[str, Trace]]) -> None:
    """Draw one thin row a network: pale is ordinary, dark is lost, hatched is no data."""
    for number, (_, line) in enumerate(rows):
        edges = [*line.times, line.times[-1] + line.step]
        shades = [[float("nan") if v is None else min(v, 100.0) for v in line.values]]
        axes.axhspan(
            number + 0.06,
            number + 0.94,
            facecolor="white",
            edgecolor=_HATCH,
            hatch="////",
            linewidth=0,
        )
        axes.pcolormesh(
            [_number(edge) for edge in edges],
            [number + 0.06, number + 0.94],
            shades,
            cmap=_STRIP,
            vmin=0,
            vmax=100,
            rasterized=False,
            zorder=2,
        )
    names = [textwrap.shorten(name, 20, placeholder="…") for name, _ in rows]
    axes.set_ylim(len(rows), 0)
    axes.set_yticks([number + 0.5 for number in range(len(rows))], names, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    whole = len(request.places.leaf_weights(request.entity))
    if whole > len(rows):
        note = f"the {len(rows)} largest of {whole}; darker is lower"
    else:
        note = "darker is lower"
    axes.text(
        1.0, 1.02, note, transform=axes.transAxes, ha="right", va="bottom", fontsize=8.5, color=TEXT
    )


def _draw_time_axis(axes: Axes, request: ChartRequest, line: Trace) -> None:
    """Write UTC and, below it, the local hour."""
    zone = load_zone(request.places.timezone(request.entity))
    whole = len(line.times) * line.step

    def label(time: datetime) -> str:
        here = time.astimezone(zone)
        form = "%H:%M:%S" if whole < timedelta(minutes=10) else "%H:%M"
        day = "" if whole < timedelta(hours=12) else f"{time.day} {time:%b} "
        utc = f"{day}{time.strftime(form)} UTC"
        return utc if here.utcoffset() == timedelta(0) else f"{utc}\n{here.strftime(form)} local"

    marks = round_marks(line)
    axes.set_xticks([_number(mark) for mark in marks], [label(mark) for mark in marks])
    axes.tick_params(axis="x", labelsize=9.5)


def _title(request: ChartRequest) -> str:
    """Return the title sentence, in lines that fit."""
    if request.incident is not None:
        text = sentence(request.incident, request.places)
    else:
        text = f"{full_name(request.entity, request.places)}: internet connectivity"
    text = f"TEST · {text}" if request.test else text
    lines = -(-len(text) // _TITLE_WIDTH)
    return textwrap.fill(text, min(_TITLE_WIDTH, len(text) // lines + 12))


def _footer(request: ChartRequest, line: Trace) -> str:
    """Return what the picture stands on, and where its record is."""
    networks = request.places.leaf_weights(request.entity)
    parts = [
        full_name(request.entity, request.places),
        f"{_utc(line.times[0])} to {_utc(line.times[-1] + line.step)}" if line.times else "no data",
        f"{len(networks)} {_unit(networks)}" if networks else "",
        "grey band: ordinary levels; light band: 95% interval",
    ]
    incident = request.incident
    record = [
        f"Source: {request.source}",
        f"{incident.id} revision {incident.revision}" if incident else "",
        request.link,
        "CC BY 4.0",
    ]
    lines = (" · ".join(part for part in row if part) for row in (parts, record))
    return "\n".join(lines)


def _unit(networks: Collection[Entity]) -> str:
    """Return what the parts are: networks, or regions where nothing narrower is known."""
    regions = {entity.kind for entity in networks} == {EntityKind.REGION}
    return "regions" if regions else "networks"


def _alternative(request: ChartRequest, line: Trace) -> str:
    """Return the picture in words."""
    if request.incident is not None:
        return alternative_text(request.incident, request.places)
    name = full_name(request.entity, request.places)
    known = [value for value in line.values if value is not None]
    if not known:
        return f"Line chart: internet connectivity in {name}. There is no data."
    return (
        f"Line chart: internet connectivity in {name}, {_utc(line.times[0])} to "
        f"{_utc(line.times[-1])}. Lowest: {depth_words(min(known))}; at the end: "
        f"{depth_words(known[-1])}. Gaps are missing data. Data table: at the link."
    )


def _utc(time: datetime) -> str:
    return f"{clock_text(time.astimezone(UTC))} UTC"


def _number(time: datetime) -> float:
    """Return `time` as a place on the axis: seconds since 1970."""
    return time.timestamp()
