"""Inline SVG: a sparkline and a chart on a fixed scale, where no data is a gap that shows.

The page that holds them defines the hatching of gaps once, and its style sheet the colours.
"""

from datetime import datetime
from xml.etree import ElementTree as ET

from markupsafe import Markup

from netwatch.publish.plot_series import Trace, gaps, ordinary_band, round_marks

_WIDTH, _HEIGHT = 720.0, 300.0
_LEFT, _RIGHT, _ABOVE, _BELOW = 50.0, 8.0, 14.0, 30.0
_TOP = 108.0


class _Plane:
    """Where an instant and a percentage lie in a picture."""

    def __init__(self, line: Trace, box: tuple[float, float, float, float], top: float) -> None:
        self.left, self.right, self.above, self.below = box
        self._start = line.times[0]
        self._whole = (line.times[-1] + line.step) - self._start
        self._top = top

    def x(self, time: datetime) -> float:
        share = (time - self._start) / self._whole
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def y(self, percent: float) -> float:
        share = min(max(percent, 0.0), self._top) / self._top
        return self.below - share * (self.below - self.above)


def sparkline_svg(line: Trace, *, label: str) -> Markup:
    """Return a small line from 0 to 100 %, gaps shaded; `label` tells it in words."""
    root = _root("spark", (120.0, 24.0), label)
    if line.times:
        plane = _Plane(line, (1.0, 119.0, 2.0, 22.0), 100.0)
        _add(root, "line", "axis", x1=0, x2=120, y1=22, y2=22)
        _draw_gaps(root, plane, line)
        _draw_values(root, plane, line)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - built, not pasted


def chart_svg(line: Trace, *, label: str, onset: datetime | None = None) -> Markup:
    """Return the chart of a page; `label` is its whole content in words.

    Zero lies on the axis and is marked; a gap is shaded and says "no data".
    """
    root = _root("chart", (_WIDTH, _HEIGHT), label)
    if not line.times:
        _text(root, (_WIDTH / 2, _HEIGHT / 2), "no data", "middle")
        return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - built, not pasted
    plane = _Plane(line, (_LEFT, _WIDTH - _RIGHT, _ABOVE, _HEIGHT - _BELOW), _TOP)
    low, high = ordinary_band(line, onset)
    _add_box(root, "ordinary", (plane.left, plane.y(high)), (plane.right, plane.y(low)))
    for percent in range(0, 101, 25):
        height = plane.y(percent)
        kind = "axis" if percent == 0 else "grid"
        _add(root, "line", kind, x1=plane.left, x2=plane.right, y1=height, y2=height)
        _text(root, (plane.left - 6, height + 4), f"{percent}%", "end")
    _draw_gaps(root, plane, line, named=True)
    _draw_interval(root, plane, line)
    if onset is not None:
        place = plane.x(onset)
        _add(root, "line", "onset", x1=place, x2=place, y1=plane.above - 8, y2=plane.below)
    _draw_values(root, plane, line)
    _draw_marks(root, plane, line)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - built, not pasted


def _root(kind: str, size: tuple[float, float], label: str) -> ET.Element:
    root = ET.Element(
        "svg",
        {
            "class": kind,
            "viewBox": f"0 0 {size[0]:g} {size[1]:g}",
            "role": "img",
            "aria-label": label,
        },
    )
    ET.SubElement(root, "title").text = label
    return root


def _draw_values(root: ET.Element, plane: _Plane, line: Trace) -> None:
    """Draw each unbroken stretch as a line, single points and zeros as dots."""
    for start, stop in _stretches(line):
        points = [
            f"{plane.x(line.times[at]):.1f},{plane.y(line.values[at] or 0.0):.1f}"
            for at in range(start, stop)
        ]
        if len(points) == 1:
            _add_dot(root, "lone", points[0])
        else:
            _add(root, "polyline", "level", points=" ".join(points))
    zeros = [at for at, value in enumerate(line.values) if value == 0]
    for at in zeros[:: max(1, len(zeros) // 60)]:
        _add_dot(root, "zero", f"{plane.x(line.times[at]):.1f},{plane.y(0):.1f}")


def _draw_interval(root: ET.Element, plane: _Plane, line: Trace) -> None:
    """Shade the 95 % interval of each unbroken stretch."""
    for start, stop in _stretches(line):
        there = [at for at in range(start, stop) if line.low[at] is not None]
        upper = [(at, line.high[at] or 0.0) for at in there]
        lower = [(at, line.low[at] or 0.0) for at in reversed(there)]
        points = (f"{plane.x(line.times[at]):.1f},{plane.y(v):.1f}" for at, v in upper + lower)
        if len(there) > 1:
            _add(root, "polygon", "interval", points=" ".join(points))


def _draw_gaps(root: ET.Element, plane: _Plane, line: Trace, *, named: bool = False) -> None:
    """Hatch what is missing, and say so where there is room."""
    for start, end in gaps(line):
        left, right = plane.x(start), plane.x(end)
        _add_box(root, "gap", (left, plane.above), (right, plane.below))
        if named and right - left > 50:
            middle = ((left + right) / 2, (plane.above + plane.below) / 2)
            _add_box(
                root, "paper", (middle[0] - 24, middle[1] - 12), (middle[0] + 24, middle[1] + 5)
            )
            _text(root, middle, "no data", "middle")


def _draw_marks(root: ET.Element, plane: _Plane, line: Trace) -> None:
    """Write round UTC instants below the axis, the day where it changes."""
    day = None
    for mark in round_marks(line, most=6):
        place = plane.x(mark)
        form = "%H:%M:%S" if line.step.total_seconds() < 60 else "%H:%M"
        text = mark.strftime(form)
        if mark.date() != day:
            text = f"{mark.day} {mark:%b} {text}"
        day = mark.date()
        _add(root, "line", "axis", x1=place, x2=place, y1=plane.below, y2=plane.below + 5)
        _text(root, (place, plane.below + 20), text, "middle")


def _stretches(line: Trace) -> list[tuple[int, int]]:
    """Return the runs of points with data, each as start and stop index."""
    found: list[tuple[int, int]] = []
    for at, value in enumerate(line.values):
        if value is None:
            continue
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found


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


def _add_dot(root: ET.Element, kind: str, place: str) -> None:
    x, y = place.split(",")
    _add(root, "circle", kind, cx=x, cy=y, r="2")


def _text(root: ET.Element, at: tuple[float, float], text: str, anchor: str) -> None:
    place = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "text-anchor": anchor}
    ET.SubElement(root, "text", place).text = text
