"""The collector's commands: collect, and collect import."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from netwatch.cli.observatory import load_config, print_json
from netwatch.cli.options import DEFAULT, ConfigOption, JsonOption

app = typer.Typer(invoke_without_command=True)


@app.callback()
def collect(context: typer.Context, config: ConfigOption = DEFAULT) -> None:
    """Receive, keep and count measurements (with the embedded broker, if that is configured)."""
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    loaded = load_config(config)
    from netwatch.app.observatory import run_collecting, run_until_signal

    run_until_signal(run_collecting(loaded))


@app.command("import")
def import_exports(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="What `netwatch agent export` wrote.")],
    receipts: Annotated[
        Path | None,
        typer.Option(help="Write here what `netwatch agent import-receipts` takes."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The configuration; see `netwatch init`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take in batches that were carried here in files; a collector may run meanwhile.

    A file twice changes nothing. Exit code 2 if any file could not be read to its end; what
    stands before the damage, and in other files, is kept.
    Example: netwatch collect import stick/vantage.nwx --receipts stick/vantage.receipts
    """
    loaded = load_config(config or context.obj or DEFAULT)
    from netwatch.app.batch_import import import_files
    from netwatch.cli.progress import progress_bar

    with progress_bar("Importing", quiet=as_json) as progress:
        done = import_files(loaded, files, receipts=receipts, progress=progress)
    kept = done.batches.get("stored", 0)
    known = done.batches.get("repeated", 0)
    problems = [one.problem for _, one in done.files if one.problem]
    if as_json:
        print_json(
            kept_batches=kept,
            kept_measurements=done.measurements,
            known_batches=known,
            batches=done.batches,
            files=[
                {"file": str(path), "read": one.read, "problem": one.problem or None}
                for path, one in done.files
            ],
        )
    else:
        sys.stdout.write(
            f"{kept} batches with {done.measurements} measurements kept,"
            f" {known} were here already\n"
        )
    for problem in problems:
        sys.stderr.write(f"netwatch: {problem}\n")
    if problems:
        raise typer.Exit(2)
