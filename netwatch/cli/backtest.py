"""The command `backtest`: runs the detector over past values."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netwatch.cli.observatory import require_package
from netwatch.cli.options import JsonOption, WidthOption
from netwatch.cli.output import emit, progress_bar, table_lines
from netwatch.cli.time_parsing import parse_duration, parse_option

if TYPE_CHECKING:
    from netwatch.lab.backtest.runner import Backtest


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
    width: WidthOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge your own series as a live system would, and write levels and incidents.

    Any number of workers gives the same bytes. Example: netwatch backtest series.csv --out
    result --training-until 2026-01-01
    """
    require_package("numpy", "a backtest", extra="observatory")
    if dask is not None:
        require_package("distributed", "a Dask cluster", extra="dask")
    from netwatch.lab.backtest.output import plain_incident, write_backtest
    from netwatch.lab.backtest.runner import BacktestOptions, backtest_series
    from netwatch.lab.sample_data.catalog import open_series

    until = parse_option(training_until, "--training-until")
    known = None
    if truth is not None:
        from netwatch.lab.backtest.truth import read_truth

        known = read_truth(truth)
    opened = open_series(series, width=None if width is None else parse_duration(width, "--bin"))
    with progress_bar("Analysing", quiet=as_json) as progress:
        options = BacktestOptions(workers=workers, dask=dask, progress=progress)
        result = backtest_series(opened, training_until=until, options=options)
    levels = result.long_levels()
    write_backtest(levels, result.incidents, out)
    summary: dict[str, object] = {
        "incidents": [plain_incident(incident) for incident in result.incidents],
        "not_enough_data": {str(entity): why for entity, why in result.unjudged.items()},
    }
    lines = [
        *_describe(result),
        f"{len(result.incidents)} incidents, {len(levels)} levels: {out}",
    ]
    if known is not None:
        from netwatch.lab.backtest.report import score_rows, write_score
        from netwatch.lab.backtest.score import score_backtest
        from netwatch.model.entities import EntityTree

        scores = score_backtest(result, known, EntityTree(opened.places))
        write_score(scores, result, known, out)
        summary["score"] = {name: dict(score.metrics) for name, score in scores.items()}
        lines += table_lines(((name, *cells) for name, cells in score_rows(scores)), "", *scores)
    emit(summary, lines, as_json=as_json)


def _describe(result: "Backtest") -> list[str]:
    lines = []
    for incident in result.incidents:
        ended = f"{incident.ended_at:%Y-%m-%d %H:%M}" if incident.ended_at else "goes on"
        lines.append(
            f"{incident.id}  {incident.entity}  {incident.started_at:%Y-%m-%d %H:%M} to {ended}"
            f"  lowest {incident.trough.value:.0f}%"
        )
    return [*lines, *(f"{entity}: {why}" for entity, why in result.unjudged.items())]
