"""Blame, netwatch against plain means: python -m benchmarks.detection.run_blame.

Twenty agents, fifty targets, forty bins a seed; honest, and with 30 % of the agents lying.
"""

import argparse
from collections.abc import Sequence
from dataclasses import astuple

from rich.console import Console
from rich.table import Table as Printed

from benchmarks.detection.blame import Blame, Table, blame_plainly, score_blame
from benchmarks.detection.count_matrices import VantageTargetLabels, table_from_matrix
from benchmarks.detection.fleet import FleetSize
from netwatch.signals.attribution.model import attribute

__all__ = ["blame_with_netwatch", "main"]

_TUNING, _HELD_OUT = (1, 2, 3), (8001, 8002, 8003, 8004, 8005)


def blame_with_netwatch(table: Table) -> Blame:
    """Return netwatch's blame of one bin."""
    ours = table_from_matrix(
        table.trials, table.successes, table.network, VantageTargetLabels(controls=table.controls)
    )
    blame = attribute(ours)
    return Blame(blame.broken, blame.dead, blame.evidence * (1 - blame.dead))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the areas under the curve; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.run_blame")
    parser.add_argument("--seeds", choices=("held-out", "tuning"), default="tuning")
    options = parser.parse_args(arguments)
    seeds = _TUNING if options.seeds == "tuning" else _HELD_OUT
    printed = Printed(title=f"Area under the ROC curve, {options.seeds} seeds")
    for heading in ("blamer", "lying", "vantage", "target", "block"):
        printed.add_column(heading)
    for name, blamer in (("netwatch", blame_with_netwatch), ("plain means", blame_plainly)):
        for lying in (0.0, 0.3):
            scores = score_blame(blamer, seeds=seeds, size=FleetSize(lying=lying))
            cells = [f"{area:.4f}" for area in astuple(scores)]
            printed.add_row(name, f"{lying:.0%}", *cells)
    Console().print(printed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
