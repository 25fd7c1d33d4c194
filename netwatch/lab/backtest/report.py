"""The report of a scored backtest: `score.json`, `score.png`, and `score.html` with both."""

import base64
from collections.abc import Mapping
from pathlib import Path

import jinja2
import msgspec

from netwatch.lab.backtest.output import write_whole
from netwatch.lab.backtest.plot import describe_plot, draw_score
from netwatch.lab.backtest.runner import Backtest
from netwatch.lab.backtest.score import TOLERANCE, Score
from netwatch.lab.backtest.truth import Truth

_ROWS = (
    ("precision", ("precision",), 1, 3),
    ("recall", ("recall",), 1, 3),
    ("F1", ("f1",), 1, 3),
    ("events found / all", ("found", "events"), 1, 0),
    ("false alarms", ("false",), 1, 0),
    ("false alarms / entity-week", ("false_per_entity_week",), 1, 4),
    ("excused, fragments", ("excused", "fragments"), 1, 0),
    ("events not judged", ("not_judged",), 1, 0),
    ("delay p50 / p90, min", ("delay_minutes_p50", "delay_minutes_p90"), 1, 0),
    ("onset error p50 / p90, min", ("onset_error_minutes_p50", "onset_error_minutes_p90"), 1, 0),
    ("end error p50 / p90, min", ("end_error_minutes_p50", "end_error_minutes_p90"), 1, 0),
    ("level error, points", ("level_error",), 100, 1),
    ("interval holds, %", ("interval_coverage",), 100, 0),
)

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Scored backtest</title>
<style>body{font:15px sans-serif;max-width:80em;margin:2em auto;padding:0 1em}
td,th{padding:.15em .8em;text-align:left}img{max-width:100%}</style>
<h1>Scored backtest</h1>
<table><tr><th></th>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for name, values in rows %}<tr><td>{{ name }}</td>
{% for value in values %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table>
<p>{{ protocol }}</p>
<img src="data:image/png;base64,{{ picture }}" alt="{{ words }}">
<h2>True events</h2>
<table><tr><th>entity</th><th>from</th><th>to</th><th>verdict</th><th>called</th>
<th>delay, min</th></tr>
{% for one in events %}<tr><td>{{ one.entity }}</td><td>{{ one.started_at | time }}</td>
<td>{{ one.ended_at | time }}</td><td>{{ one.verdict }}</td><td>{{ one.called_at | time }}</td>
<td>{{ "%.0f" | format(one.delay) if one.delay is not none else "" }}</td></tr>
{% endfor %}</table>
<h2>Calls without an event</h2>
<table><tr><th>entity</th><th>from</th><th>to</th><th>verdict</th></tr>
{% for one in calls %}<tr><td>{{ one.entity }}</td><td>{{ one.started_at | time }}</td>
<td>{{ one.ended_at | time }}</td><td>{{ one.verdict }}</td></tr>
{% endfor %}</table>
{% if skipped %}<h2>Rows of the truth that were skipped</h2>
<ul>{% for line in skipped %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
</html>
"""
_PROTOCOL = (
    f"A call finds an event if it starts from {TOLERANCE} minutes (or one bin) before the event's "
    "start on and before its end, one to one, by largest overlap. More calls inside a found event "
    "are fragments; what coincides with an event of a wider or narrower entity is excused."
)


def write_score(scores: Mapping[str, Score], found: Backtest, truth: Truth, folder: Path) -> None:
    """Write `score.json`, `score.png` and `score.html`, all or none.

    Raises:
        InputError: the folder cannot be written.
    """
    confirmed = scores["confirmed"]
    body = {
        "protocol": _PROTOCOL,
        **{confidence: score.metrics for confidence, score in scores.items()},
        "events": confirmed.events,
        "calls": confirmed.calls,
        "skipped": truth.skipped,
    }
    picture = draw_score(found, confirmed)
    write_whole(
        folder,
        {
            "score.json": msgspec.json.format(msgspec.json.encode(body)) + b"\n",
            "score.png": picture,
            "score.html": _page(scores, truth, picture).encode(),
        },
    )


def score_rows(scores: Mapping[str, Score]) -> list[tuple[str, list[str]]]:
    """Return the table of metrics: a name, and a cell a confidence."""
    return [
        (title, [_cell(score.metrics, names, factor, digits) for score in scores.values()])
        for title, names, factor, digits in _ROWS
    ]


def _cell(
    metrics: Mapping[str, float | None], names: tuple[str, ...], factor: int, digits: int
) -> str:
    values = [metrics[name] for name in names]
    return " / ".join("-" if one is None else f"{factor * one:.{digits}f}" for one in values)


def _page(scores: Mapping[str, Score], truth: Truth, picture: bytes) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["time"] = lambda time: f"{time:%Y-%m-%d %H:%M}" if time else "-"
    confirmed = scores["confirmed"]
    return environment.from_string(_PAGE).render(
        columns=list(scores),
        rows=score_rows(scores),
        protocol=_PROTOCOL,
        picture=base64.b64encode(picture).decode(),
        words=describe_plot(confirmed),
        events=confirmed.events,
        calls=confirmed.calls,
        skipped=truth.skipped,
    )
