"""Results as tables for the terminal and as JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from benchmarks.detection.bootstrap import Figure, Scores

__all__ = ["difference_table", "main_table", "recall_table", "write_json"]

_COLUMNS: Sequence[tuple[str, str, float, int, bool]] = (
    ("precision", "precision", 1, 3, True),
    ("recall", "recall", 1, 3, True),
    ("F1", "f1", 1, 3, True),
    ("false / entity-week", "false_per_week", 1, 4, True),
    ("late p50/p90, bins", "late", 1, 0, False),
    ("delay p50/p90, min", "delay", 1, 0, False),
    ("onset/end error p50, min", "edges", 1, 0, False),
    ("level error, points: mean / over 100 blocks / event p50", "levels", 100, 1, False),
    ("90 % interval holds", "coverage", 100, 0, False),
    ("Brier", "brier", 1, 4, False),
    ("fragments / event", "fragments", 1, 2, False),
)


def main_table(title: str, scores: Mapping[str, Scores]) -> Table:
    """Return the table of all detectors, best F1 first; intervals are 95 %."""
    table = Table(title=title)
    table.add_column("detector")
    for heading, *_ in _COLUMNS:
        table.add_column(heading, justify="right")
    order = sorted(scores, key=lambda name: -scores[name].figures["f1"].value)
    for name in order:
        figures = scores[name].figures
        table.add_row(
            name,
            *[
                _cell(figures, key, factor=factor, digits=digits, interval=interval)
                for _, key, factor, digits, interval in _COLUMNS
            ],
        )
    return table


def _cell(
    figures: Mapping[str, Figure], name: str, *, factor: float, digits: int, interval: bool
) -> str:
    if name in {"late", "delay"}:
        return f"{_plain(figures[name + '_p50'])} / {_plain(figures[name + '_p90'])}"
    if name == "edges":
        return f"{_plain(figures['onset_error_p50'])} / {_plain(figures['end_error_p50'])}"
    if name == "levels":
        names = ("level_error", "large_level_error", "event_level_error_p50")
        values = [100 * figures[one].value for one in names]
        shown = ["-" if math.isnan(value) else f"{value:.1f}" for value in values]
        return "-" if math.isnan(values[0]) else " / ".join(shown)
    figure = figures[name]
    if math.isnan(figure.value):
        return "-"
    text = f"{figure.value * factor:.{digits}f}"
    if interval and not math.isnan(figure.low):
        low, high = figure.low * factor, figure.high * factor
        text += f"\n[dim]{low:.{digits}f}..{high:.{digits}f}[/dim]"
    return text


def _plain(figure: Figure) -> str:
    return "-" if math.isnan(figure.value) else f"{figure.value:.0f}"


def recall_table(title: str, scores: Mapping[str, Scores], table_name: str) -> Table:
    """Return recall by `kind`, `scope` or `size`: a column a detector."""
    table = Table(title=title)
    table.add_column(table_name)
    table.add_column("events", justify="right")
    names = sorted(scores, key=lambda name: -scores[name].figures["f1"].value)
    for name in names:
        table.add_column(name, justify="right")
    classes = scores[names[0]].recalls[table_name]
    for label, (_, count) in classes.items():
        cells = [f"{scores[name].recalls[table_name][label][0]:.2f}" for name in names]
        table.add_row(label, str(count), *cells)
    return table


def difference_table(title: str, rows: Mapping[str, Mapping[str, Figure]]) -> Table:
    """Return paired differences, ours minus each rival's; bold where the interval excludes 0."""
    table = Table(title=title)
    table.add_column("against")
    for name in next(iter(rows.values())):
        table.add_column(name, justify="right")
    for rival, figures in rows.items():
        cells = []
        for figure in figures.values():
            text = f"{figure.value:+.4f} ({figure.low:+.4f}..{figure.high:+.4f})"
            sure = figure.low > 0 or figure.high < 0
            cells.append(f"[bold]{text}[/bold]" if sure else text)
        table.add_row(rival, *cells)
    return table


def write_json(
    path: Path,
    scores: Mapping[str, Scores],
    paired: Mapping[str, Mapping[str, Figure]],
    about: Mapping[str, object],
) -> None:
    """Write all figures, recalls and faults; NaN becomes null."""
    body = {
        "about": dict(about),
        "detectors": {
            name: {
                "figures": {key: _numbers(figure) for key, figure in one.figures.items()},
                "recall": {
                    table: {label: {"recall": r, "events": n} for label, (r, n) in rows.items()}
                    for table, rows in one.recalls.items()
                },
                "false_alarms_by_fault": dict(one.faults),
                "reliability": [
                    {"said": round(said, 4), "so": round(share, 4), "bins": bins}
                    for said, share, bins in one.reliability
                ],
            }
            for name, one in scores.items()
        },
        "netwatch_minus": {
            rival: {key: _numbers(figure) for key, figure in figures.items()}
            for rival, figures in paired.items()
        },
    }
    path.write_text(json.dumps(body, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _numbers(figure: Figure) -> dict[str, float | None]:
    return {
        key: None if math.isnan(value) else round(value, 6) for key, value in asdict(figure).items()
    }
