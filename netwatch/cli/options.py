"""Options and arguments that several commands have, each declared once."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from netwatch.cli.entrypoint import DEFAULT_CONFIG
from netwatch.config import Config, read_config

_CONFIG_HELP = "The configuration file; see `netwatch init`."


def config_option(read: Callable[[Path], Config]) -> Any:  # noqa: ANN401 - as Typer declares it
    """Return the option that names the configuration; the command receives what `read` returns."""
    return typer.Option(
        "--config",
        "-c",
        help=_CONFIG_HELP,
        parser=lambda path: read(Path(path)),
        metavar="FILE",
        default_factory=lambda: str(DEFAULT_CONFIG),
        show_default=str(DEFAULT_CONFIG),
    )


ConfigOption = Annotated[Config, config_option(read_config)]
ConfigPathOption = Annotated[Path | None, typer.Option("--config", "-c", help=_CONFIG_HELP)]
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
