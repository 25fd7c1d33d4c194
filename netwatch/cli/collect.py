"""The collector's commands: collect, and collect import."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from netwatch.aio.tasks import run_until_signal
from netwatch.cli.entrypoint import DEFAULT_CONFIG
from netwatch.cli.observatory import load_config
from netwatch.cli.options import ConfigPathOption, JsonOption
from netwatch.cli.output import emit, progress_bar

app = typer.Typer(invoke_without_command=True)


@app.callback()
def collect(context: typer.Context, config: ConfigPathOption = DEFAULT_CONFIG) -> None:
    """Receive, store and count measurements, until Ctrl-C.

    Runs the embedded broker if it is configured. Example: netwatch collect -c netwatch.toml
    """
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    loaded = load_config(config or DEFAULT_CONFIG)
    from netwatch.app.observatory import run_collecting

    run_until_signal(run_collecting(loaded))


@app.command("import")
def import_exports(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files of `netwatch agent export`.")],
    receipts: Annotated[
        Path | None,
        typer.Option(help="Write receipts to this file, for `netwatch agent import-receipts`."),
    ] = None,
    config: ConfigPathOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import batches from files; a collector may run at the same time.

    Importing a file twice changes nothing. Exit code 2 if a file cannot be read to its end; the
    batches before the damage, and of other files, are stored.
    Example: netwatch collect import stick/vantage.nwx --receipts stick/vantage.receipts
    """
    loaded = load_config(config or context.obj or DEFAULT_CONFIG)
    from netwatch.app.batch_import import import_files

    with progress_bar("Importing", quiet=as_json) as progress:
        result = import_files(loaded, files, receipts=receipts, progress=progress)
    line = (
        f"{result.stored_batches} batches with {result.stored_measurements} measurements stored,"
        f" {result.repeated_batches} were stored before"
    )
    emit(result, [line], as_json=as_json)
    problems = [file.problem for file in result.files if file.problem]
    sys.stderr.writelines(f"netwatch: {problem}\n" for problem in problems)
    if problems:
        raise typer.Exit(2)
