from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from netwatch.cli.outage_tables import (
    TimelineRow,
    day_ruler,
    lasted_text,
    outages_table,
    percent_text,
    sparkline,
    timeline_lines,
)
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.percent import Precision, PublishedPercent

START = datetime(2019, 11, 15, tzinfo=UTC)


def test_a_sparkline_is_linear_on_a_fixed_scale() -> None:
    assert sparkline([0, 12.4, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 100]) == "▁▁▂▃▄▅▆▇██"
    assert sparkline([50, 50]) == "▅▅", "not stretched to what it shows"
    assert sparkline([150, -3]) == "█▁"


def test_no_data_is_neither_zero_nor_a_space() -> None:
    assert sparkline([None, 0.0, 100.0]) == "·▁█"
    assert sparkline([None, 0.0, 100.0], plain=True) == ".09"
    assert sparkline([]) == ""


def test_plain_bars_are_digits() -> None:
    assert sparkline([0, 9.9, 10, 55, 99, 100, 130], plain=True) == "0015999"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(minutes=47), "45 min"),
        (timedelta(hours=12, minutes=59), "12 h"),
        (timedelta(hours=82), "day 4 (h 82)"),
    ],
)
def test_duration_text(length: timedelta, text: str) -> None:
    assert lasted_text(length) == text


def test_percent_text() -> None:
    assert percent_text(PublishedPercent(7.0, 4.0, 10.0, Precision.EXACT)) == "7%"
    assert percent_text(PublishedPercent(40.0, 10.0, 70.0, Precision.NONE)) == "severely reduced"
    assert percent_text(PublishedPercent(0.0, 0.0, 1.0, Precision.EXACT)) == "no success"
    assert percent_text(None) == "no data"


def _rendered(incidents: list[Incident], places: EntityTree, *, plain: bool = False) -> list[str]:
    console = Console(width=160, color_system=None, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(outages_table(incidents, places, plain=plain))
    return capture.get().splitlines()


def test_a_line_an_incident_with_all_its_columns(
    make_incident: Callable[..., Incident], iran: EntityTree
) -> None:
    lines = _rendered([make_incident()], iran)
    assert lines[0].split() == [
        *("ID", "STATE", "SCOPE", "BEGAN", "(UTC)", "LASTED", "LOWEST", "NOW", "NETWORKS", "LEVEL")
    ]
    cells = " ".join(lines[2].split())
    assert cells == (
        "NW-IR-2019-0042 confirmed Iran 2019-11-16 16:30 ±60m 13 h 7% 7% 11/12 confirmed"
    )


def test_seconds_are_shown_where_they_matter(
    make_incident: Callable[..., Incident], iran: EntityTree
) -> None:
    began = make_incident().started_at
    fast = make_incident(started_low=began, started_high=began + timedelta(seconds=4))
    assert "2019-11-16 16:30:00 ±2s" in _rendered([fast], iran)[2]


def test_a_plain_table_is_ascii(make_incident: Callable[..., Incident], iran: EntityTree) -> None:
    assert "\n".join(_rendered([make_incident()], iran, plain=True)).isascii()


def test_markup_in_names_is_escaped(make_incident: Callable[..., Incident]) -> None:
    places = EntityTree([EntityInfo(Entity.parse("country:IR"), "[red]Iran[/red] \x1b[31m:smile:")])
    line = _rendered([make_incident()], places)[2]
    assert "[red]Iran[/red] [31m:smile:" in line
    assert "\x1b" not in line


def test_the_ruler_names_each_day_where_it_begins() -> None:
    ruler = day_ruler(START, timedelta(hours=3), 40)
    assert [ruler.find(f"{day} Nov") for day in (15, 16, 17, 18, 19)] == [0, 8, 16, 24, 32]
    assert len(ruler) == 40


def test_the_ruler_of_an_hour_shows_minutes_and_never_overlaps() -> None:
    ruler = day_ruler(START, timedelta(minutes=1), 60)
    assert ruler.split() == ["00:00", "00:15", "00:30", "00:45"]
    assert len(day_ruler(START, timedelta(days=1), 10)) == 10
    assert day_ruler(START, timedelta(hours=1), 3).strip() == ""


def test_timeline_lines_line_up() -> None:
    rows = [
        TimelineRow("Iran", (100.0, 50.0, None, 0.0), "no success", "7%"),
        TimelineRow("A very long name of a place that goes on", (100.0,) * 4, "97%", "ordinary"),
    ]
    lines = timeline_lines(rows, START, timedelta(days=1))
    assert lines[1].index("█▅·▁") == lines[2].index("████") == 34
    ends = [lines[0].index("lowest") + 6, lines[1].index("success") + 7, lines[2].index("97%") + 3]
    assert len(set(ends)) == 1
    assert lines[1].endswith("  7%")
    assert "one character is 1 d" in lines[-1]
    assert all(
        line.isascii() for line in timeline_lines(rows, START, timedelta(hours=3), plain=True)
    )
