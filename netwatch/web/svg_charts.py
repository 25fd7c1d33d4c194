"""Sparklines and charts in SVG coordinates, which `templates/charts.html` draws."""

from dataclasses import dataclass
from datetime import datetime

from netwatch.publish.language import Language
from netwatch.publish.plot_series import Trace, gaps, ordinary_band, round_marks, runs

_MOST_ZEROS = 60


@dataclass(frozen=True, slots=True)
class PlotArea:
    """Edges of the area that a line is drawn in; `top` is the percentage at its upper edge."""

    left: float
    right: float
    above: float
    below: float
    top: float

    def y(self, percent: float | None) -> float:
        """Return the height of a percentage, inside the area."""
        share = min(max(percent or 0.0, 0.0), self.top) / self.top
        return self.below - share * (self.below - self.above)


SPARKLINE = PlotArea(1.0, 119.0, 2.0, 22.0, top=100.0)
CHART = PlotArea(50.0, 712.0, 14.0, 270.0, top=108.0)


class SvgChart:
    """A line in SVG coordinates, on a fixed scale; missing data is a gap.

    Attributes:
        area, label: where it is drawn, and its text alternative.
        is_empty: whether there is nothing to draw.
        gaps: left and right edge of each stretch without data.
        levels: polyline of each unbroken stretch.
        intervals: polygon of the 95 % interval of each unbroken stretch.
        lone: coordinates of values between gaps.
        zeros: x of measured zeros.
        band: lower and upper percentage of ordinary levels.
        onset: x of the onset, if there is one.
    """

    def __init__(
        self, line: Trace, area: PlotArea, label: str, onset: datetime | None = None
    ) -> None:
        self._line, self.area, self.label, self.is_empty = line, area, label, not line.times
        self.gaps = [(self._x(start), self._x(end)) for start, end in gaps(line)]
        self.levels: list[str] = []
        self.lone: list[tuple[float, float]] = []
        self.intervals: list[str] = []
        self.zeros = [
            self._x(time) for time, value in zip(line.times, line.values, strict=True) if value == 0
        ]
        self.zeros = self.zeros[:: max(1, len(self.zeros) // _MOST_ZEROS)]
        self.band = ordinary_band(line, onset)
        self.onset = None if onset is None else self._x(onset)
        for known, first, stop in runs(value is not None for value in line.values):
            if known:
                self._add_stretch(range(first, stop))

    def ticks(self, language: Language) -> list[tuple[float, str]]:
        """Return x and text of round UTC instants, with the day where it changes."""
        day, found = None, []
        clock = "HH:mm:ss" if self._line.step.total_seconds() < 60 else "HH:mm"
        for time in round_marks(self._line, most=6):
            pattern = clock if time.date() == day else f"d MMM {clock}"
            found.append((self._x(time), language.clock(time, pattern)))
            day = time.date()
        return found

    def _add_stretch(self, stretch: range) -> None:
        line = self._line
        if len(stretch) == 1:
            [at] = stretch
            self.lone.append((self._x(line.times[at]), self.area.y(line.values[at])))
        else:
            self.levels.append(" ".join(self._point(at, line.values) for at in stretch))
        known = [at for at in stretch if line.low[at] is not None]
        if len(known) > 1:
            outline = [self._point(at, line.high) for at in known]
            outline += [self._point(at, line.low) for at in reversed(known)]
            self.intervals.append(" ".join(outline))

    def _x(self, time: datetime) -> float:
        line = self._line
        share = (time - line.times[0]) / line.span if line.times else 0.0
        return self.area.left + min(max(share, 0.0), 1.0) * (self.area.right - self.area.left)

    def _point(self, at: int, values: tuple[float | None, ...]) -> str:
        return f"{self._x(self._line.times[at]):.1f},{self.area.y(values[at]):.1f}"
