import hashlib
import struct
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hourly_levels import hourly_levels

from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import Incident
from netwatch.publish.chart import ChartRequest, draw_chart

IRAN, TEHRAN = Entity.parse("country:IR"), Entity.parse("region:IR-23")
NETWORK = Entity.parse("asn:44244")


@pytest.fixture
def request_for(
    make_incident: Callable[..., Incident], iran: EntityTree
) -> Callable[..., ChartRequest]:
    def make(values: list[float | None], **changes: object) -> ChartRequest:
        start = make_incident().started_at - timedelta(hours=24)
        levels = {
            entity: hourly_levels(str(entity), start, values, margin=0.03)
            for entity in (IRAN, NETWORK)
        }
        return ChartRequest(make_incident(), levels, **({"tree": iran} | changes))

    return make


FALL = [1.0] * 24 + [0.9, 0.6, 0.16] + [0.07] * 10


def _digests(stem: Path) -> list[str]:
    return [
        hashlib.sha256(stem.with_suffix(suffix).read_bytes()).hexdigest()
        for suffix in (".png", ".svg")
    ]


def _svg_text(stem: Path) -> str:
    """Return an SVG file: matplotlib writes each text as a comment next to its outline."""
    return stem.with_suffix(".svg").read_text("utf-8")


def test_the_same_data_give_the_same_bytes(
    tmp_path: Path, request_for: Callable[..., ChartRequest]
) -> None:
    for name in ("one", "two"):
        draw_chart(request_for(FALL), tmp_path / name)
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")
    draw_chart(request_for([*FALL, 0.08]), tmp_path / "two")
    assert _digests(tmp_path / "one") != _digests(tmp_path / "two")


def test_a_chart_names_its_record(tmp_path: Path, request_for: Callable[..., ChartRequest]) -> None:
    request = request_for(FALL, source="Monash", link="https://netwatch.example/i/x")
    alternative = draw_chart(request, tmp_path / "deep" / "chart")
    assert alternative.startswith("Line chart: internet connectivity in Iran")
    png = (tmp_path / "deep" / "chart.png").read_bytes()
    assert struct.unpack(">II", png[16:24]) == (1200, 675)
    assert alternative.encode() in png
    text = _svg_text(tmp_path / "deep" / "chart")
    ET.fromstring(text)
    for words in ("NW-IR-2019-0042 revision 1", "Source: Monash", "CC BY 4.0", "IranCell"):
        assert words in text
    assert "0%" in text
    assert alternative in text


def test_gaps_are_hatched_and_named_but_zeros_are_not(
    tmp_path: Path, request_for: Callable[..., ChartRequest]
) -> None:
    draw_chart(request_for([*[1.0] * 24, *[None] * 10]), tmp_path / "gap")
    draw_chart(request_for([*[1.0] * 24, *[0.0] * 10]), tmp_path / "zero")
    gap, zero = _svg_text(tmp_path / "gap"), _svg_text(tmp_path / "zero")
    assert "<!-- no data -->" in gap
    assert "<!-- no data -->" not in zero
    assert gap != zero


@pytest.mark.parametrize(
    "values", [[], [None], [None] * 5, [1.0], [0.0], [None, 1.0, None], [3.0, 0.5]]
)
def test_any_data_can_be_drawn(
    tmp_path: Path, request_for: Callable[..., ChartRequest], values: list[float | None]
) -> None:
    alternative = draw_chart(request_for(values), tmp_path / "chart")
    assert alternative
    assert "0%" not in alternative.replace("100%", "")


def test_a_drill_is_labelled_and_names_are_not_parsed_as_math(
    tmp_path: Path, request_for: Callable[..., ChartRequest]
) -> None:
    places = EntityTree(
        [EntityInfo(IRAN, r"$\frac{a}$ <b> မြန်မာ"), EntityInfo(NETWORK, r"$x_$", parent=IRAN)]
    )
    draw_chart(request_for(FALL, tree=places, drill=True), tmp_path / "chart")
    text = _svg_text(tmp_path / "chart")
    assert "<!-- TEST" in text
    ET.fromstring(text)
