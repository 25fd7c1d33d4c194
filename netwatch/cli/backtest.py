"""The command `backtest`: runs the detector over past values."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netwatch.cli.time_parsing import parse_option, parse_width
from netwatch.model.errors import ConfigError

if TYPE_CHECKING:
    from netwatch.lab.backtest.runner import Backtest
    from netwatch.lab.backtest.score import Score


app = typer.Typer()


@app.command()
def backtest(
    series: Annotated[str, typer.Argument(help="A shipped name, or a CSV or Parquet file.")],
    out: Annotated[Path, typer.Option(help="Folder for levels.parquet and incidents.json.")],
    training_until: Annotated[
        str | None, typer.Option(help="Rows before this time only teach the ordinary level.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="True events (CSV, Parquet, JSON): write a scored report.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes of this machine.")] = 1,
    dask: Annotated[
        str | None, typer.Option(help="Scheduler of a Dask cluster, such as tcp://10.0.0.1:8786.")
    ] = None,
    width: Annotated[
        str | None, typer.Option("--bin", help="Gather rows into bins of 5m, 1h …")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Judge your own series as a live system would, and write levels and incidents.

    Any number of workers gives the same bytes. Example: netwatch backtest series.csv --out
    result --training-until 2026-01-01
    """
    _require(dask)
    from netwatch.cli.output import progress_bar
    from netwatch.lab.backtest.output import write_backtest
    from netwatch.lab.backtest.runner import BacktestOptions, backtest_series
    from netwatch.lab.sample_data.catalog import open_series

    until = parse_option(training_until, "--training-until")
    known = None
    if truth is not None:
        from netwatch.lab.backtest.truth import read_truth

        known = read_truth(truth)
    opened = open_series(series, width=parse_width(width))
    with progress_bar("Analysing", quiet=as_json) as progress:
        options = BacktestOptions(workers=workers, dask=dask, progress=progress)
        found = backtest_series(opened, training_until=until, options=options)
    write_backtest(found.levels, found.incidents, out)
    scores: dict[str, Score] = {}
    if known is not None:
        from netwatch.lab.backtest.report import write_score
        from netwatch.lab.backtest.score import score_backtest
        from netwatch.model.entities import EntityTree

        scores = score_backtest(found, known, EntityTree(opened.places))
        write_score(scores, found, known, out)
    sys.stdout.write(_as_json(found, scores) if as_json else _as_text(found, out))
    if scores and not as_json:
        _print_score(scores)


def _require(dask: str | None) -> None:
    if find_spec("numpy") is None:
        raise ConfigError("a backtest needs: pip install 'netwatch-observatory[observatory]'")
    if dask is not None and find_spec("distributed") is None:
        raise ConfigError("a Dask cluster needs: pip install 'netwatch-observatory[dask]'")


def _as_text(found: "Backtest", out: Path) -> str:
    lines = []
    for incident in found.incidents:
        ended = f"{incident.ended_at:%Y-%m-%d %H:%M}" if incident.ended_at else "goes on"
        lines.append(
            f"{incident.id}  {incident.entity}  {incident.started_at:%Y-%m-%d %H:%M} to {ended}"
            f"  lowest {incident.trough.value:.0f}%"
        )
    lines += [f"{entity}: {why}" for entity, why in found.unjudged.items()]
    lines.append(f"{len(found.incidents)} incidents, {len(found.levels)} levels: {out}")
    return "".join(f"{line}\n" for line in lines)


def _print_score(scores: "dict[str, Score]") -> None:
    from rich.console import Console
    from rich.table import Table

    from netwatch.lab.backtest.report import score_rows

    table = Table("", *scores)
    for name, cells in score_rows(scores):
        table.add_row(name, *cells)
    Console(file=sys.stdout).print(table)


def _as_json(found: "Backtest", scores: "dict[str, Score]") -> str:
    from netwatch.lab.backtest.output import plain_incident

    body: dict[str, object] = {
        "incidents": [plain_incident(incident) for incident in found.incidents],
        "not_enough_data": {str(entity): why for entity, why in found.unjudged.items()},
    }
    if scores:
        body["score"] = {confidence: dict(score.metrics) for confidence, score in scores.items()}
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"
