"""Runs attacks at every door, and prints a table: the command `python -m tests.adversary`."""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adversary.frame.checks import Result, run_attack
from adversary.frame.registry import Attack, all_attacks
from adversary.frame.stage import DOORS, open_stage
from netwatch.cli.output import progress_bar

__all__ = ["main", "run_attacks"]


async def run_attacks(
    attacks: Sequence[Attack],
    doors: Sequence[str],
    folder: Path,
    *,
    show: Callable[..., None] = lambda *_: None,
) -> list[Result]:
    """Run every attack at every door; one observatory for each door withstands all of them."""
    planned = sum(door in one.doors for one in attacks for door in doors)
    results: list[Result] = []
    for door in doors:
        chosen = [one for one in attacks if door in one.doors]
        if not chosen:
            continue
        show(len(results) / planned, f"{door}: starting")
        async with open_stage(door, folder / door) as stage:
            for one in chosen:
                show(len(results) / planned, f"{door}: {one.name}")
                results.append(await run_attack(one, stage))
    return results


def table(results: Sequence[Result]) -> Table:
    """Return a row for each attack at each door."""
    found = Table("attack", "door", "acknowledged", "p99 s", "MB", "result")
    found.columns[0].no_wrap = found.columns[1].no_wrap = True
    for one in results:
        found.add_row(
            one.name, one.door, str(one.honest_batches), f"{one.p99_seconds:.2f}",
            f"{one.memory_mb:.0f}", "; ".join(one.faults) or "held",
        )  # fmt: skip
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return how many attacks found a fault."""
    attacks = all_attacks()
    options = _parser(attacks).parse_args(arguments)
    chosen = [one for one in attacks if not options.attack or one.name in options.attack]
    with (
        tempfile.TemporaryDirectory() as folder,
        progress_bar("attacks", quiet=options.json) as show,
    ):
        doors = options.door or DOORS
        results = asyncio.run(run_attacks(chosen, doors, Path(folder), show=show))
    if options.json:
        sys.stdout.write(json.dumps([asdict(one) for one in results], indent=2) + "\n")
    else:
        Console(markup=False, emoji=False).print(table(results))
    return sum(bool(one.faults) for one in results)


def _parser(attacks: Sequence[Attack]) -> argparse.ArgumentParser:
    listed = "\n".join(f"  {one.name}: {one.text}" for one in attacks)
    parser = argparse.ArgumentParser(
        "python -m tests.adversary",
        description="Attack a live observatory on loopback.",
        epilog=f"attacks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [one.name for one in attacks]
    parser.add_argument("--attack", action="append", choices=names, metavar="NAME")
    parser.add_argument("--door", action="append", choices=DOORS)
    parser.add_argument("--json", action="store_true")
    return parser
