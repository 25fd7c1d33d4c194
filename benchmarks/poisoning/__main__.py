"""What liars can do: `python -m benchmarks.poisoning [--fast] [--workers N] [--json FILE]`.

`--only` takes the cells whose label contains a regular expression, to repeat one of them.
"""

import argparse
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.poisoning.cells import Cell, fast_cells, full_cells
from benchmarks.poisoning.judge import Verdict, judge
from benchmarks.poisoning.report import draw, markdown, replace_between, write_json

__all__ = ["judge_all", "main"]


def judge_all(cells: Iterable[Cell], *, workers: int = 1) -> Iterator[Verdict]:
    """Yield the verdict of every cell; those of one world are run by one process."""
    groups = [list(found) for _, found in groupby(sorted(cells, key=_world_first), key=_world)]
    if workers <= 1:
        for group in groups:
            yield from map(judge, group)
        return
    with ProcessPoolExecutor(workers, initializer=_be_quiet) as pool:
        for found in pool.map(_judge_group, groups):
            yield from found


def _world(cell: Cell) -> tuple[int, int]:
    return cell.honest, cell.seed


def _world_first(cell: Cell) -> tuple[object, ...]:
    return *_world(cell), cell.time, cell.about, cell.label()


def _judge_group(cells: Sequence[Cell]) -> list[Verdict]:
    return [judge(cell) for cell in cells]


def _be_quiet() -> None:
    """Log no warnings in this process: liars cause thousands, and the table counts them."""
    logging.disable(logging.WARNING)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return how many cells miss a goal, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.poisoning")
    parser.add_argument("--fast", action="store_true", help="a few cells that touch every goal")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worlds", type=int, default=3, help="seeds among which cells are spread")
    parser.add_argument("--every", type=int, default=1, help="take one of so many cells")
    parser.add_argument("--only", default="", help="regular expression of labels of cells")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="PNG or SVG")
    parser.add_argument("--page", type=Path, help="page whose table between markers is replaced")
    options = parser.parse_args(arguments)
    cells = fast_cells() if options.fast else full_cells(options.worlds)
    cells = [cell for cell in cells if re.search(options.only, cell.label())]
    cells = cells[:: options.every]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    verdicts = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("judging", total=len(cells))
        for verdict in judge_all(cells, workers=options.workers):
            progress.update(bar, advance=1)
            verdicts.append(verdict)
    text = markdown(verdicts)
    print(text)
    if options.json:
        write_json(options.json, verdicts)
    if options.picture:
        draw(options.picture, verdicts)
    if options.page:
        replace_between(options.page, text)
    return int(any(one.missed for one in verdicts))


if __name__ == "__main__":
    _be_quiet()
    sys.exit(main())
