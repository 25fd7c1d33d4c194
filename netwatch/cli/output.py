"""Prints results as text or JSON; tables and progress bars."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from netwatch.model.text import escape_json, escape_line

if TYPE_CHECKING:
    from rich.table import Table

    from netwatch.agent.explain import Explanation
    from netwatch.lab.drill.runner import Outcome

_MAX_SKIPPED = 20
"""Skipped targets listed as text; one screen."""


def emit(value: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print `value` as indented JSON, or `lines`."""
    _print([value], lines, as_json=as_json, indent=2)


def emit_each(values: Iterable[object], lines: Iterable[str], *, as_json: bool) -> None:
    """Print each of `values` as one line of JSON, or `lines`."""
    _print(values, lines, as_json=as_json, indent=-1)


def _print(values: Iterable[object], lines: Iterable[str], *, as_json: bool, indent: int) -> None:
    if as_json:
        encoded = (msgspec.json.encode(value, enc_hook=str) for value in values)
        lines = (escape_json(msgspec.json.format(one, indent=indent).decode()) for one in encoded)
    sys.stdout.writelines(f"{line}\n" for line in lines)


def table_lines(rows: Iterable[Sequence[object]], *headings: str) -> list[str]:
    """Return rows as aligned columns, without wrapping."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, pad_edge=False, show_header=bool(headings))
    for row in rows:
        # Text, not markup: a name may be "[red]".
        table.add_row(*(Text(escape_line(str(cell))) for cell in row))
    return render(table)


def render(table: "Table", *, width: int | None = 1_000) -> list[str]:
    """Return the lines of a table of `width` columns, None for the terminal's."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Yield a function that takes the share done, 0 to 1, and optionally a text to show.

    It is silent unless stderr is a terminal.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr)
    with Progress(console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(title, total=1.0)

        def show(share: float, text: str = title) -> None:
            progress.update(task, completed=share, description=text)

        yield show


def explanation_lines(explanation: "Explanation") -> list[str]:
    """Return the lines of `netwatch agent explain`."""
    targets = (
        (one.tier, one.category, one.target, one.probe, one.host, f"{one.daily_runs} times a day")
        for one in explanation.targets
    )
    contacts = ((one.purpose, one.address, one.when) for one in explanation.contacts)
    example = explanation.example
    return [
        f"Targets that are probed ({len(explanation.targets)}):",
        *table_lines(targets),
        "Other hosts that are contacted:",
        *table_lines(contacts),
        *(f"Also, {text}." for text in explanation.other_traffic),
        *_skipped_lines(explanation),
        f"Probing takes about {explanation.daily_bytes / 2**20:.1f} MiB a day.",
        f"The daily budget is {explanation.budget_bytes // 2**20} MiB.",
        f"Sending the results takes {explanation.daily_sent_bytes / 2**20:.2f} MiB a day.",
        "Sent:",
        *(f"  {text}" for text in explanation.sent_fields),
        f"A batch of {example.rows} rows takes {example.message_bytes} bytes. Its header:",
        f"  {json.dumps(example.header)}",
        "and one of its rows:",
        f"  {json.dumps(example.row)}",
        "Never sent:",
        *(f"  {text}" for text in explanation.never_sent),
    ]


def _skipped_lines(explanation: "Explanation") -> list[str]:
    skipped = explanation.skipped
    if not skipped:
        return []
    rows = ((one.tier, one.target, one.host, one.reason) for one in skipped[:_MAX_SKIPPED])
    lines = [f"Targets of the observatory's list that are skipped ({len(skipped)}):"]
    lines += table_lines(rows)
    if len(skipped) > _MAX_SKIPPED:
        lines.append("… --json prints all of them")
    return lines


def drill_lines(outcome: "Outcome") -> list[str]:
    """Return posts, assertions and result of a drill."""
    lines = ["", "Posts:"]
    lines += [f"  {entry.post.text.splitlines()[0]}" for entry in outcome.posts]
    lines += ["", "Reported:"]
    for finding in outcome.findings:
        mark = "ok    " if finding.holds else "MISSED"
        lines.append(f"  {mark} {finding.claim} (published: {finding.seen})")
    result = "The drill passed." if outcome.passed else "The drill FAILED."
    return [*lines, "", result]
