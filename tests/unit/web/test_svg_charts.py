from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hourly_levels import hourly_levels

from netwatch.publish.language import ENGLISH
from netwatch.publish.plot_series import Trace, trace
from netwatch.web.server import make_environment
from netwatch.web.svg_charts import CHART, SPARKLINE, SvgChart

START = datetime(2019, 11, 16, 0, 0, tzinfo=UTC)


def _line(*values: float | None) -> Trace:
    return trace(hourly_levels("country:IR", START, values), step=timedelta(hours=1))


_CHARTS = make_environment(ENGLISH).get_template("charts.html").module


def chart_svg(line: Trace, *, label: str, onset: datetime | None = None) -> str:
    return str(_CHARTS.chart(SvgChart(line, CHART, label, onset)))


def sparkline_svg(line: Trace, *, label: str) -> str:
    return str(_CHARTS.sparkline(SvgChart(line, SPARKLINE, label)))


def _parts(svg: str, kind: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(svg).iter() if element.get("class") == kind]


def test_a_line_breaks_at_a_gap() -> None:
    svg = sparkline_svg(_line(1.0, 0.9, None, None, 0.5, 0.5), label="x")
    assert len(_parts(svg, "level")) == 2
    assert len(_parts(svg, "gap")) == 1


def test_a_point_between_gaps_still_shows() -> None:
    svg = sparkline_svg(_line(None, 0.5, None), label="x")
    assert len(_parts(svg, "lone")) == 1
    assert not _parts(svg, "level")


def test_a_measured_zero_is_marked_and_no_data_is_not() -> None:
    assert len(_parts(chart_svg(_line(1.0, 0.0, 0.0), label="x"), "zero")) == 2
    assert not _parts(chart_svg(_line(1.0, None, None), label="x"), "zero")
    assert not _parts(chart_svg(_line(1.0, 0.001, 0.0001), label="x"), "zero")


def test_the_scale_is_fixed() -> None:
    def height(value: float) -> float:
        points = _parts(sparkline_svg(_line(value, value), label="x"), "level")[0].get("points")
        assert points is not None
        return float(points.split(" ")[0].split(",")[1])

    assert height(1.0) == 2.0
    assert height(0.5) == pytest.approx(12.0)
    assert height(0.0) == 22.0
    assert height(7.0) == height(1.0), "more than ordinary stays inside"


def test_a_wide_gap_is_labelled_no_data() -> None:
    assert "no data" in chart_svg(_line(*[1.0] * 5, *[None] * 5), label="x")
    assert "no data" not in chart_svg(_line(*[1.0] * 10), label="x")


def test_the_onset_is_at_its_time() -> None:
    svg = chart_svg(_line(*[1.0] * 10), label="x", onset=START + timedelta(hours=5))
    onset = _parts(svg, "onset")[0]
    assert float(onset.get("x1") or 0) == pytest.approx((50 + 712) / 2)


@pytest.mark.parametrize("values", [(), (None,), (1.0,), (None, None)])
def test_any_data_can_be_drawn_and_labelled(values: tuple[float | None, ...]) -> None:
    label = 'Iran <b> & "so" ایران'
    for svg in (
        chart_svg(_line(*values), label=label),
        sparkline_svg(_line(*values), label=label),
    ):
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == label
        assert root.findtext("title") == label
