"""The command `netwatch`: what it can do, and how it says what is wrong."""

import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from netwatch import __version__
from netwatch.cli import agent, backtest, observatory
from netwatch.cli import collect as collecting
from netwatch.cli.entrypoint import begin_logging, one_line_errors

app = typer.Typer(
    name="netwatch",
    help="An Internet-shutdown monitor, from a probe to a published, checkable alert.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _mount() -> None:
    """Mount the commands that this installation can run."""
    app.add_typer(agent.app, name="agent", help="Probe from this machine, and send what is seen.")
    app.registered_commands.extend(observatory.app.registered_commands)
    app.registered_commands.extend(backtest.app.registered_commands)
    app.add_typer(collecting.app, name="collect")
    # A vantage runs for months in little memory: what it never does is not loaded.
    if find_spec("numpy") is None or sys.argv[1:2] == ["agent"]:
        return
    from netwatch.cli import fleet, outages, show, store

    app.registered_commands.extend(outages.app.registered_commands)
    app.add_typer(show.group, name="outages")
    app.add_typer(fleet.app, name="agents", help="Invite volunteers' agents and look after them.")
    app.add_typer(store.app, name="store", help="Look after the kept series.")


def _show_version(wanted: bool) -> None:
    """Print the version and end, before a missing command can be complained about."""
    if wanted:
        sys.stdout.write(f"netwatch {__version__}\n")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell more on stderr.")] = False,
) -> None:
    """An Internet-shutdown monitor, from a probe to a published, checkable alert."""
    begin_logging(verbose=verbose)


def run() -> None:
    """Run the command line; what netwatch raises on purpose is one line and exit code 2."""
    with one_line_errors():
        app()


_mount()
