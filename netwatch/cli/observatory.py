"""The commands of an observatory: up, analyze, serve, replay, drill, init."""

import json
import sys
from datetime import datetime
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from netwatch.cli.options import DEFAULT, ConfigOption, JsonOption, parse_width
from netwatch.cli.time_parsing import parse_option
from netwatch.config import Config, parse_config, read_config
from netwatch.model.errors import ConfigError

app = typer.Typer()


def load_config(path: Path) -> Config:
    """Return the configuration in `path`; without one by the usual name, the starter's."""
    if find_spec("numpy") is None:
        raise ConfigError("an observatory needs: pip install 'netwatch-observatory[observatory]'")
    if path == DEFAULT and not path.exists():
        sys.stderr.write("no netwatch.toml here: using what `netwatch init` would write\n")
        return parse_config(_starter(), name="starter configuration")
    return read_config(path)


def _starter() -> str:
    """Return the configuration to start from."""
    return files("netwatch.app").joinpath("starter.toml").read_text("utf-8")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = DEFAULT,
) -> None:
    """Write a configuration to start from, every key explained.

    Example: netwatch init && netwatch up
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_starter())
    except OSError as error:
        raise ConfigError(f"{path}: not written: {error.strerror}") from error
    sys.stdout.write(f"{path} written; `netwatch up` starts with it\n")


@app.command()
def up(config: ConfigOption = DEFAULT) -> None:
    """Run a whole observatory in one process, until Ctrl-C.

    Broker, collector, store, analysis, one vantage here, and the page. Example: netwatch up
    """
    loaded = load_config(config)
    from netwatch.app.observatory import run_until_signal, run_up

    place = f"http://{loaded.web.host}:{loaded.web.port}"
    sys.stderr.write(f"netwatch is up: {place} (Ctrl-C ends it)\n")
    run_until_signal(run_up(loaded))


@app.command()
def analyze(config: ConfigOption = DEFAULT) -> None:
    """Judge what was collected, follow incidents, and send posts."""
    loaded = load_config(config)
    from netwatch.app.observatory import run_analyzing, run_until_signal

    run_until_signal(run_analyzing(loaded))


@app.command()
def serve(config: ConfigOption = DEFAULT) -> None:
    """Serve the page, which needs no JavaScript, where the table web of the configuration says."""
    loaded = load_config(config)
    from netwatch.app.observatory import run_serving, run_until_signal

    run_until_signal(run_serving(loaded))


@app.command()
def replay(
    figures: Annotated[str, typer.Argument(help="A shipped name, or a CSV or Parquet file.")],
    out: Annotated[Path, typer.Option(help="Folder for what an observatory keeps.")] = Path(
        "replay"
    ),
    at: Annotated[
        str | None, typer.Option(help="Also print what would have been said at this time.")
    ] = None,
    width: Annotated[
        str | None, typer.Option("--bin", help="Gather rows into bins of 5m, 1h …")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replay past figures through the same functions as live ones.

    Files are in long form: time, signal, entity, value[, total, parent, weight, name].
    Example: netwatch replay iran-2019-11 --at 2019-11-17T05:30Z
    """
    from netwatch.cli.progress import progress_bar
    from netwatch.lab.replay.replay_to_folder import replay_into
    from netwatch.lab.sample_data.catalog import figures_source, open_figures

    moment = parse_option(at, "--at")
    opened = open_figures(figures, width=parse_width(width))
    with progress_bar("Replaying", quiet=as_json) as progress:
        past = replay_into(
            out, opened, at=moment, progress=progress, source=figures_source(figures)
        )
    if as_json:
        print_json(
            incidents=[incident.id for incident in past.incidents],
            statements=past.statements,
            posts=[entry.post.text for entry in past.posts],
            pictures=[str(path) for path in past.pictures],
        )
        return
    for entry in past.posts:
        sys.stdout.write(f"[{entry.post.created_at:%Y-%m-%d %H:%M} UTC]\n{entry.post.text}\n\n")
    if moment is not None:
        sys.stdout.write(f"At {moment:%d %b %Y %H:%M} UTC it would have said:\n")
        sys.stdout.writelines(f"{line}\n" for line in past.statements or ["nothing"])
    sys.stdout.writelines(f"drawn: {path}\n" for path in past.pictures)


@app.command()
def drill(
    out: Annotated[Path, typer.Option(help="Folder for what the drill leaves.")] = Path("drill"),
    as_json: JsonOption = False,
) -> None:
    """Cut a made-up country off, here on loopback, and see whether that is told.

    Takes about a minute and ends by itself; exit code 1 if anything was not reported.
    """
    import asyncio

    from netwatch.cli.drills import drill_text
    from netwatch.lab.drill.runner import Drill, run_drill

    def tell(time: datetime, text: str) -> None:
        if not as_json:
            sys.stdout.write(f"{time:%H:%M:%S} {text}\n")
            sys.stdout.flush()

    outcome = asyncio.run(run_drill(Drill(out, tell)))
    if as_json:
        print_json(
            passed=outcome.passed,
            findings=[
                {"claim": one.claim, "holds": one.holds, "seen": one.seen}
                for one in outcome.findings
            ],
            posts=[entry.post.text for entry in outcome.posts],
        )
    else:
        sys.stdout.write(drill_text(outcome))
    if not outcome.passed:
        raise typer.Exit(1)


def print_json(**values: object) -> None:
    """Print one JSON object."""
    sys.stdout.write(json.dumps(values, ensure_ascii=False, indent=2) + "\n")
