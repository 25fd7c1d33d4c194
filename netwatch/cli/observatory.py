"""The commands of an observatory: init, up, analyze, serve, replay, drill."""

import sys
from datetime import datetime
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from netwatch.aio.tasks import run_until_signal
from netwatch.cli.entrypoint import DEFAULT_CONFIG
from netwatch.cli.options import JsonOption, WidthOption, config_option
from netwatch.cli.output import drill_lines, emit, progress_bar
from netwatch.cli.time_parsing import parse_duration, parse_option
from netwatch.config import Config, parse_config, read_config
from netwatch.model.errors import ConfigError, os_errors_as

app = typer.Typer()


def require_package(name: str, purpose: str, *, extra: str) -> None:
    """Check that a package of an optional extra is installed.

    Raises:
        ConfigError: it is not; the message says how to install the extra.
    """
    if find_spec(name) is None:
        raise ConfigError(f"{purpose} needs: pip install 'netwatch-observatory[{extra}]'")


def load_config(path: Path) -> Config:
    """Return the configuration in `path`; if the default path does not exist, the starter's.

    Raises:
        ConfigError: the file is invalid, or the observatory's dependencies are not installed.
    """
    require_package("numpy", "an observatory", extra="observatory")
    if path == DEFAULT_CONFIG and not path.exists():
        sys.stderr.write("no netwatch.toml here: using what `netwatch init` would write\n")
        return parse_config(_starter(), name="starter configuration")
    return read_config(path)


def _starter() -> str:
    return files("netwatch.app").joinpath("starter.toml").read_text("utf-8")


ObservatoryOption = Annotated[Config, config_option(load_config)]


@app.command()
def init(path: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT_CONFIG) -> None:
    """Write a commented example configuration.

    Example: netwatch init && netwatch up
    """
    failed = f"{path}: not written"
    with os_errors_as(ConfigError, failed), path.open("x", encoding="utf-8") as file:
        file.write(_starter())
    sys.stdout.write(f"{path} written; `netwatch up` starts with it\n")


@app.command()
def up(config: ObservatoryOption) -> None:
    """Run a whole observatory in one process, until Ctrl-C.

    It runs broker, collector, store, analysis, page server and one vantage. Example: netwatch up
    """
    from netwatch.app.observatory import run_up

    sys.stderr.write(
        f"netwatch is up: http://{config.web.host}:{config.web.port} (Ctrl-C stops it)\n"
    )
    run_until_signal(run_up(config))


@app.command()
def analyze(config: ObservatoryOption) -> None:
    """Analyse collected bins, track incidents and send posts, until Ctrl-C.

    Example: netwatch analyze --config netwatch.toml
    """
    from netwatch.app.observatory import run_analyzing

    run_until_signal(run_analyzing(config))


@app.command()
def serve(config: ObservatoryOption) -> None:
    """Serve the observatory's pages at the address of the table web, until Ctrl-C.

    Example: netwatch serve --config netwatch.toml
    """
    from netwatch.app.observatory import run_serving

    run_until_signal(run_serving(config))


@app.command()
def replay(
    series: Annotated[
        str, typer.Argument(help="A data set that comes with netwatch, or a CSV or Parquet file.")
    ],
    out: Annotated[Path, typer.Option(help="Data folder to write.")] = Path("replay"),
    at: Annotated[
        str | None, typer.Option(help="Also print the statement that was due at this time.")
    ] = None,
    width: WidthOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay recorded series through the live pipeline.

    Columns of a file: time, signal, entity, value[, total, parent, weight, name, timezone].
    Example: netwatch replay iran-2019-11 --at 2019-11-17T05:30Z
    """
    from netwatch.lab.replay import replay_into
    from netwatch.lab.sample_data.catalog import open_series, series_source

    time = parse_option(at, "--at")
    table = open_series(series, width=None if width is None else parse_duration(width, "--bin"))
    with progress_bar("Replaying", quiet=as_json) as progress:
        result = replay_into(out, table, at=time, progress=progress, source=series_source(series))
    summary = {
        "incidents": [incident.id for incident in result.incidents],
        "statements": result.statements,
        "posts": [entry.post.text for entry in result.posts],
        "pictures": result.pictures,
    }
    lines = [
        f"[{entry.post.created_at:%Y-%m-%d %H:%M} UTC]\n{entry.post.text}\n"
        for entry in result.posts
    ]
    if time is not None:
        lines += [f"Statement at {time:%d %b %Y %H:%M} UTC:", *(result.statements or ["none"])]
    lines += [f"chart: {path}" for path in result.pictures]
    emit(summary, lines, as_json=as_json)


@app.command()
def drill(
    out: Annotated[Path, typer.Option(help="Data folder to write.")] = Path("drill"),
    as_json: JsonOption = False,
) -> None:
    """Shut down a simulated country on loopback, and check that the shutdown is reported.

    Takes about a minute; exit code 1 if an assertion fails. Example: netwatch drill --out drill
    """
    import asyncio

    from netwatch.lab.drill.runner import Drill, run_drill

    def report(time: datetime, text: str) -> None:
        if not as_json:
            sys.stdout.write(f"{time:%H:%M:%S} {text}\n")
            sys.stdout.flush()

    outcome = asyncio.run(run_drill(Drill(out, report)))
    summary = {
        "passed": outcome.passed,
        "findings": outcome.findings,
        "posts": [entry.post.text for entry in outcome.posts],
    }
    emit(summary, drill_lines(outcome), as_json=as_json)
    if not outcome.passed:
        raise typer.Exit(1)
