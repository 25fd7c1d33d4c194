"""The command `netwatch`: assembles the commands of this installation."""

import sys
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from netwatch import __version__
from netwatch.cli import agent, backtest, observatory
from netwatch.cli import collect as collecting
from netwatch.cli.entrypoint import begin_logging, one_line_errors


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> object:  # noqa: ANN401 - Typer's class of contexts is private
        """Run the command; click itself would exit with 1 if the pipe closes."""
        with one_line_errors():
            return super().invoke(ctx)


app = typer.Typer(
    name="netwatch",
    cls=_Commands,
    help="An Internet-shutdown monitor, from a probe to a published, checkable alert.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _mount() -> None:
    app.add_typer(agent.app, name="agent", help="Probe from this machine and send the results.")
    app.registered_commands.extend(observatory.app.registered_commands)
    app.registered_commands.extend(backtest.app.registered_commands)
    app.add_typer(collecting.app, name="collect")
    # An agent needs little memory, so commands of the observatory are not loaded for it.
    if find_spec("numpy") is None or sys.argv[1:2] == ["agent"]:
        return
    from netwatch.cli import amendments, fleet, outages, store, timeline

    app.registered_commands.extend(timeline.app.registered_commands)
    app.add_typer(outages.app, name="outages")
    app.add_typer(amendments.app, name="amendments", help="Decide about late measurements.")
    app.add_typer(fleet.app, name="agents", help="Invite and administer volunteers' agents.")
    app.add_typer(store.app, name="store", help="Inspect and maintain the store.")


def _show_version(wanted: bool) -> None:
    """Print the version and exit, before a missing command is an error."""
    if wanted:
        sys.stdout.write(f"netwatch {__version__}\n")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more to stderr.")] = False,
) -> None:
    """An Internet-shutdown monitor, from a probe to a published, checkable alert."""
    begin_logging(verbose=verbose)


def run() -> None:
    """Run the command line."""
    app()


_mount()
