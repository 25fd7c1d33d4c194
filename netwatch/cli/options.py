"""What the commands share: options, and how they print."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from netwatch.model.duration import Duration
from netwatch.model.errors import InputError

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration; see `netwatch init`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT = Path("netwatch.toml")


def say_time(value: datetime | None) -> str | None:
    """Return a moment as text, None for none."""
    return None if value is None else value.isoformat()


def parse_width(text: str | None) -> Duration | None:
    """Return the bin width that `--bin` says.

    Raises:
        InputError: it is none.
    """
    if text is None:
        return None
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise InputError(f"--bin: {error}") from error


def emit(told: object, lines: list[str], *, as_json: bool) -> None:
    """Print JSON for machines, or lines for people."""
    text = json.dumps(told, default=str, ensure_ascii=False) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
