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

from adversary.frame.checks import Result, run_attack
from adversary.frame.registry import Attack, all_attacks
from adversary.frame.report import page_table, replace_between, terminal_table
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
    if options.page:
        replace_between(options.page, page_table(attacks, results))
    if options.json:
        sys.stdout.write(json.dumps([asdict(one) for one in results], indent=2) + "\n")
    else:
        Console(markup=False, emoji=False).print(terminal_table(results))
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
    parser.add_argument("--page", type=Path, help="page whose table between markers is replaced")
    return parser
