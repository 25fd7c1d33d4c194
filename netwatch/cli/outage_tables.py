"""Tables, sparklines and timelines of incidents and levels for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich import box
from rich.table import Table
from rich.text import Text

from netwatch.model.entities import EntityTree
from netwatch.model.incident import Incident
from netwatch.model.percent import PublishedPercent
from netwatch.model.text import escape_line
from netwatch.publish.display_names import full_name
from netwatch.publish.language import ENGLISH
from netwatch.publish.time_format import elapsed

_BARS = "▁▂▃▄▅▆▇█"
_DIGITS = "0123456789"
_HEADINGS = ("ID", "STATE", "SCOPE", "BEGAN (UTC)", "LASTED", "LOWEST", "NOW", "NETWORKS", "LEVEL")


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One line of a timeline: percents of ordinary, None where there is no data."""

    name: str
    values: tuple[float | None, ...]
    lowest: str
    now: str


def sparkline(values: Sequence[float | None], *, plain: bool = False) -> str:
    """Return one character a value, on a fixed linear scale from 0 to 100 percent.

    No data is `·`, never a space or the lowest bar. With `plain` the bars are the digits 0 to
    9 and no data is a full stop. More than 100 shows as 100.
    """
    bars, nothing = (_DIGITS, ".") if plain else (_BARS, "·")
    top = len(bars) - 1
    return "".join(
        nothing if value is None else bars[min(top, max(0, int(value / 100 * len(bars))))]
        for value in values
    )


def percent_text(percent: PublishedPercent | None) -> str:
    """Return a percentage as narrow tables show it, "no data" for None."""
    if percent is None:
        return ENGLISH.text("no_data")
    return ENGLISH.text("percent_short", percent)


def lasted_text(length: timedelta) -> str:
    """Return how long something lasts: "45 min", "12 h", "day 4 (h 82)"."""
    steps = elapsed(length)
    if steps.minutes is not None:
        return f"{steps.minutes} min"
    return f"{steps.hours} h" if steps.day is None else f"day {steps.day} (h {steps.hours})"


def outages_table(
    incidents: Sequence[Incident], places: EntityTree, *, plain: bool = False
) -> Table:
    """Return `incidents` as a table, a line each, in the order given."""
    style = box.ASCII2 if plain else box.SIMPLE_HEAD
    table = Table(box=style, show_edge=False, pad_edge=False, header_style="bold")
    for heading in _HEADINGS:
        right = heading in {"LOWEST", "NOW", "NETWORKS"}
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "SCOPE")
    for incident in incidents:
        lasted = (incident.ended_at or incident.at) - incident.started_at
        cells = (
            incident.id,
            str(incident.state),
            full_name(incident.entity, places),
            _began_text(incident, plain=plain),
            lasted_text(lasted),
            percent_text(incident.trough),
            percent_text(incident.percent),
            f"{incident.networks_lost}/{incident.networks_measured}"
            if incident.networks_measured
            else "-",
            ENGLISH.text("evidence", incident.evidence_level).partition(",")[0],
        )
        # Text, not markup: a place may be called "[red]".
        table.add_row(*(Text(escape_line(cell)) for cell in cells))
    return table


def day_ruler(start: datetime, step: timedelta, count: int) -> str:
    """Return a line of `count` characters with each day's name, UTC, where it begins.

    A span within one day is ruled by its hours.
    """
    ruler = [" "] * count
    free = 0
    whole = start + step * count
    by_day = whole - start > timedelta(hours=20)
    shown = None
    for at in range(count):
        time = (start + step * at).astimezone(UTC)
        mark = time.date() if by_day else (time.hour, time.minute - time.minute % 15)
        label = f"{time.day} {time:%b}" if by_day else f"{time:%H:%M}"
        if mark == shown or at < free or at + len(label) > count:
            shown = mark if at < free else shown
            continue
        ruler[at : at + len(label)] = label
        shown, free = mark, at + len(label) + 1
    return "".join(ruler)


def timeline_lines(
    rows: Sequence[TimelineRow], start: datetime, step: timedelta, *, plain: bool = False
) -> list[str]:
    """Return a timeline as lines: a ruler, a bar line a row with its lowest and newest, a key."""
    name_width = min(max((len(row.name) for row in rows), default=0), 32) + 2
    count = max((len(row.values) for row in rows), default=0)
    low_width = max([len("lowest"), *(len(row.lowest) for row in rows)])
    ruler = day_ruler(start, step, count)
    lines = [f"{'':{name_width}}{ruler}  {'lowest':>{low_width}}  now"]
    for row in rows:
        name = row.name if len(row.name) <= 32 else f"{row.name[:29]}..."
        bars = sparkline(row.values, plain=plain)
        lines.append(f"{name:{name_width}}{bars}  {row.lowest:>{low_width}}  {row.now}")
    key = "9 ordinary  0 below 10%  . no data" if plain else "█ ordinary  ▁ below 12%  · no data"
    lines.append(f"{key}      one character is {_step_text(step)}; times UTC; not exhaustive")
    return lines


def _began_text(incident: Incident, *, plain: bool) -> str:
    half = (incident.started_high - incident.started_low) / 2
    time = incident.started_at.astimezone(UTC)
    sign = "+-" if plain else "±"
    if half < timedelta(minutes=1):
        seconds = f"{time:%Y-%m-%d %H:%M:%S}"
        return f"{seconds} {sign}{half.total_seconds():.0f}s"
    return f"{time:%Y-%m-%d %H:%M} {sign}{half // timedelta(minutes=1)}m"


def _step_text(step: timedelta) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if step.total_seconds() >= length and step.total_seconds() % length == 0:
            return f"{step.total_seconds() / length:.0f} {unit}"
    return f"{step.total_seconds():g} s"
