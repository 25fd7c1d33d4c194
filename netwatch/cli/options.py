"""Options and arguments that several commands have, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

_CONFIG = typer.Option("--config", "-c", help="The configuration file; see `netwatch init`.")
ConfigOption = Annotated[Path, _CONFIG]
OptionalConfigOption = Annotated[Path | None, _CONFIG]
DataOption = Annotated[
    Path | None, typer.Option("--data", "-d", help="Another data folder than configured.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
AsciiOption = Annotated[bool, typer.Option("--ascii", help="Print ASCII characters only.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
WidthOption = Annotated[
    str | None, typer.Option("--bin", help="Aggregate rows into bins of 5m, 1h …")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="2019-11-15, 2019-11-15T20:00, -36h, yesterday, @…")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Like --since.")]
ZoneOption = Annotated[
    str, typer.Option("--tz", help="Time zone of --since and --until: UTC or Area/City.")
]
PauseArgument = Annotated[str, typer.Argument(help="How long: 2h, 1d; 0s ends a pause.")]
