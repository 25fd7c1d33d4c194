"""What the commands share: options, tables, progress bars, and printing as text or JSON."""

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from netwatch.agent.explain import Explanation
    from netwatch.lab.drill.runner import Outcome

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file; see `netwatch init`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT = Path("netwatch.toml")
_MAX_SKIPPED = 20
"""Skipped targets listed as text; one screen."""


def emit(value: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print `value` as JSON, or `lines`."""
    if as_json:
        print_json(value)
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False, indent=2) + "\n")


def iso(time: datetime | None) -> str | None:
    """Return a time as ISO 8601 text."""
    return None if time is None else time.isoformat()


def table_lines(rows: Iterable[Sequence[object]], *headings: str) -> list[str]:
    """Return rows as aligned columns, without wrapping."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, pad_edge=False, show_header=bool(headings))
    for row in rows:
        # Text, not markup: a name may be "[red]".
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=1_000, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[float], None]]:
    """Yield a function that takes the share done, 0 to 1; silent unless stderr is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr)
    with Progress(console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(title, total=1.0)

        def show(share: float) -> None:
            progress.update(task, completed=share)

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
