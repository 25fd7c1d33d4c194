"""The commands of a vantage."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration; see `netwatch init`.")
]


@app.callback()
def main() -> None:
    """Probe from this machine, and send what is seen."""


@app.command()
def run(config: ConfigOption = Path("netwatch.toml")) -> None:
    """Measure until Ctrl-C; what was not acknowledged waits for the next start.

    Example: netwatch agent run --config vantage.toml
    """
    from netwatch.app.run import run_until_stopped
    from netwatch.app.vantage import run_vantage
    from netwatch.config import read_config

    run_until_stopped(run_vantage(read_config(config)))
