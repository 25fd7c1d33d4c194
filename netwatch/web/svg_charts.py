"""Inline SVG: sparklines and charts on a fixed scale, in which missing data is a visible gap.

The page defines the hatching of gaps, its style sheet the colours.
"""

from datetime import datetime
from xml.etree import ElementTree as ET

from markupsafe import Markup

from netwatch.publish.language import Language
from netwatch.publish.plot_series import Trace, gaps, ordinary_band, round_marks, runs

_WIDTH, _HEIGHT = 720.0, 300.0
_BOX = (50.0, _WIDTH - 8.0, 14.0, _HEIGHT - 30.0)
"""Left, right, upper and lower edge of a chart's plot area."""

_TOP = 108.0
"""Upper end of the y axis, percent of ordinary."""

_MOST_ZEROS = 60
_NAMED_GAP = 50
"""Width of a gap that has room for the words "no data"."""


class _Scale:
    """Coordinates of instants and percentages."""

    def __init__(self, line: Trace, box: tuple[float, float, float, float], top: float) -> None:
        self.left, self.right, self.above, self.below = box
        self._start = line.times[0]
        self._span = (line.times[-1] + line.step) - self._start
        self._top = top

    def x(self, time: datetime) -> float:
        share = (time - self._start) / self._span
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def y(self, percent: float) -> float:
        share = min(max(percent, 0.0), self._top) / self._top
        return self.below - share * (self.below - self.above)

    def point(self, time: datetime, percent: float | None) -> str:
        return f"{self.x(time):.1f},{self.y(percent or 0.0):.1f}"


def sparkline_svg(line: Trace, *, label: str) -> Markup:
    """Return a small line from 0 to 100 % with hatched gaps; `label` is its text alternative."""
    root = _root("spark", (120.0, 24.0), label)
    if line.times:
        scale = _Scale(line, (1.0, 119.0, 2.0, 22.0), 100.0)
        _add(root, "line", "axis", x1=0, x2=120, y1=22, y2=22)
        _draw_gaps(root, scale, line)
        _draw_values(root, scale, line)
    return _markup(root)


def chart_svg(
    line: Trace, language: Language, *, label: str, onset: datetime | None = None
) -> Markup:
    """Return the chart of a page; `label` is its text alternative.

    Zeros are marked on the axis; gaps are hatched and named.
    """
    root = _root("chart", (_WIDTH, _HEIGHT), label)
    if not line.times:
        _add_text(root, (_WIDTH / 2, _HEIGHT / 2), language.text("no_data"), "middle")
        return _markup(root)
    scale = _Scale(line, _BOX, _TOP)
    low, high = ordinary_band(line, onset)
    _add_box(root, "ordinary", (scale.left, scale.y(high)), (scale.right, scale.y(low)))
    for percent in range(0, 101, 25):
        height = scale.y(percent)
        kind = "axis" if percent == 0 else "grid"
        _add(root, "line", kind, x1=scale.left, x2=scale.right, y1=height, y2=height)
        _add_text(root, (scale.left - 6, height + 4), f"{percent}%", "end")
    _draw_gaps(root, scale, line, name=language.text("no_data"))
    _draw_interval(root, scale, line)
    if onset is not None:
        x = scale.x(onset)
        _add(root, "line", "onset", x1=x, x2=x, y1=scale.above - 8, y2=scale.below)
    _draw_values(root, scale, line)
    _draw_ticks(root, scale, line, language)
    return _markup(root)


def _root(kind: str, size: tuple[float, float], label: str) -> ET.Element:
    box = f"0 0 {size[0]:g} {size[1]:g}"
    root = ET.Element("svg", {"class": kind, "viewBox": box, "role": "img", "aria-label": label})
    ET.SubElement(root, "title").text = label
    return root


def _markup(root: ET.Element) -> Markup:
    # ElementTree has escaped every text and attribute.
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704


def _draw_values(root: ET.Element, scale: _Scale, line: Trace) -> None:
    """Draw each unbroken stretch as a line, single points and zeros as dots."""
    for start, stop in _stretches(line):
        points = [scale.point(line.times[at], line.values[at]) for at in range(start, stop)]
        if len(points) == 1:
            _add_dot(root, "lone", points[0])
        else:
            _add(root, "polyline", "level", points=" ".join(points))
    zeros = [time for time, value in zip(line.times, line.values, strict=True) if value == 0]
    for time in zeros[:: max(1, len(zeros) // _MOST_ZEROS)]:
        _add_dot(root, "zero", scale.point(time, 0.0))


def _draw_interval(root: ET.Element, scale: _Scale, line: Trace) -> None:
    """Shade the 95 % interval of each unbroken stretch."""
    for start, stop in _stretches(line):
        known = [at for at in range(start, stop) if line.low[at] is not None]
        points = [scale.point(line.times[at], line.high[at]) for at in known]
        points += [scale.point(line.times[at], line.low[at]) for at in reversed(known)]
        if len(known) > 1:
            _add(root, "polygon", "interval", points=" ".join(points))


def _draw_gaps(root: ET.Element, scale: _Scale, line: Trace, *, name: str = "") -> None:
    """Hatch missing data, and name it if there is room."""
    for start, end in gaps(line):
        left, right = scale.x(start), scale.x(end)
        _add_box(root, "gap", (left, scale.above), (right, scale.below))
        if name and right - left > _NAMED_GAP:
            x, y = (left + right) / 2, (scale.above + scale.below) / 2
            _add_box(root, "paper", (x - 24, y - 12), (x + 24, y + 5))
            _add_text(root, (x, y), name, "middle")


def _draw_ticks(root: ET.Element, scale: _Scale, line: Trace, language: Language) -> None:
    """Write round UTC instants below the axis, with the day where it changes."""
    day = None
    clock = "HH:mm:ss" if line.step.total_seconds() < 60 else "HH:mm"
    for time in round_marks(line, most=6):
        text = language.clock(time, clock if time.date() == day else f"d MMM {clock}")
        day = time.date()
        x = scale.x(time)
        _add(root, "line", "axis", x1=x, x2=x, y1=scale.below, y2=scale.below + 5)
        _add_text(root, (x, scale.below + 20), text, "middle")


def _stretches(line: Trace) -> list[tuple[int, int]]:
    """Return the runs of points with data, each as first and stop index."""
    found = runs(value is not None for value in line.values)
    return [(first, stop) for known, first, stop in found if known]


def _add(root: ET.Element, tag: str, kind: str, **values: object) -> None:
    numbers = {
        name: f"{value:.1f}" if isinstance(value, float) else str(value)
        for name, value in values.items()
    }
    ET.SubElement(root, tag, {"class": kind} | numbers)


def _add_box(
    root: ET.Element, kind: str, corner: tuple[float, float], other: tuple[float, float]
) -> None:
    width, height = max(other[0] - corner[0], 1.0), max(other[1] - corner[1], 1.0)
    _add(root, "rect", kind, x=corner[0], y=corner[1], width=width, height=height)


def _add_dot(root: ET.Element, kind: str, point: str) -> None:
    x, y = point.split(",")
    _add(root, "circle", kind, cx=x, cy=y, r="2")


def _add_text(root: ET.Element, at: tuple[float, float], text: str, anchor: str) -> None:
    position = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "text-anchor": anchor}
    ET.SubElement(root, "text", position).text = text
